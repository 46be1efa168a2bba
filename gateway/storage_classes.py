"""Owns what the setting `storage.classes` says: the names of the storage classes, and the directories of each."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.config import Config

STANDARD = "STANDARD"
_NAME = re.compile(r"[A-Z][A-Z0-9_-]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class StorageClass:
    """A class and where it lies; no directories: wherever its objects' records do."""

    name: str
    directories: tuple[Path, ...]


def storage_classes(config: Config) -> Sequence[StorageClass]:
    """In the order of the setting. Raises ValueError."""
    found = [_parse(text, config.data) for text in config.storage.classes]
    names = [each.name for each in found]
    if len(set(names)) < len(names):
        raise ValueError("a class is named twice")
    if STANDARD not in names:
        raise ValueError(f"{STANDARD} is missing, which objects have that are put without a class")
    return found


def _parse(text: str, data: Sequence[Path]) -> StorageClass:
    name, _, places = text.partition("=")
    if not _NAME.match(name):
        raise ValueError(f"{name!r} is no name of a class; A-Z, 0-9, _ and - are allowed")
    directories = tuple(Path(each).absolute() for each in places.split(os.pathsep) if each)
    for directory in directories:
        if directory not in data:
            raise ValueError(f"{name}: {directory} is not one of the directories in `data`")
    return StorageClass(name, directories)
