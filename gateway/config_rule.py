"""Owns what is said of one setting beside its type: help, limits, choices."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Rule:
    """What a setting means and which values it takes. Kept in the metadata of its dataclass field."""

    help: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    is_secret: bool = False
    default_text: str = ""


def setting(default: Any, help: str, **rule: Any) -> Any:
    """A field of a settings class."""
    is_secret = rule.get("is_secret", False)
    return field(default=default, repr=not is_secret, metadata={"rule": Rule(help, **rule)})
