"""Owns the configurations that a bucket may carry, one module a feature: frozen values, no I/O, nothing of HTTP or XML.

`core.types.BucketProps` holds one of each; the control store keeps them as they are.
"""
