"""Owns what access policies say: their grammar, their conditions, whom and what they name, and what they answer. Pure.

Source: AWS, IAM JSON policy elements reference and Policies and permissions in Amazon S3. What follows from an answer,
beside ownership and ACLs, is core.access's.
"""
