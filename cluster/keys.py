"""Owns how access key pairs and user ids are made, and what chosen access keys look like."""

from __future__ import annotations

import re
import secrets
import string

from core.names import AccessKey, UserId

# AWS's own lengths, which some clients check: 20 and 40 characters.
_ACCESS_KEY_ALPHABET = string.ascii_uppercase + "234567"
_SECRET_KEY_ALPHABET = string.ascii_letters + string.digits

# An access key is a field of the Authorization header, where commas, slashes and spaces end it.
_ACCESS_KEY = re.compile(r"[!-+\-.0-~]{3,128}\Z")
ACCESS_KEY_FORM = "3 to 128 ASCII characters other than space, comma and slash"


def is_access_key(text: str) -> bool:
    """Whether requests can carry it."""
    return _ACCESS_KEY.match(text) is not None


def new_access_key() -> AccessKey:
    """20 characters, recognizable in logs by their prefix."""
    return AccessKey("WEIR" + "".join(secrets.choice(_ACCESS_KEY_ALPHABET) for _ in range(16)))


def new_secret_key() -> str:
    """40 characters (238 bits) that need no quoting in a shell, a URL or an INI file."""
    return "".join(secrets.choice(_SECRET_KEY_ALPHABET) for _ in range(40))


def new_user_id() -> UserId:
    """64 hexadecimal digits, the form of S3's canonical user ids."""
    return UserId(secrets.token_hex(32))
