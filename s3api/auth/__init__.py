"""Owns who sends a request: signatures of every kind that S3 knows, and the verified bodies that come with them."""

from s3api.auth.authenticator import Authenticator

__all__ = ["Authenticator"]
