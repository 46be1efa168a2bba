"""Unmodified S3 clients, and requests that no client would send, against the real process."""
