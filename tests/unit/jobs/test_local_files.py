"""Files that clients name are read under allowed directories only, and through no link."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.errors import InvalidArgument
from jobs.local_files import (
    LocalFile,
    LocalPath,
    NoSuchFile,
    allowed_path,
    files_sync,
    is_directory_sync,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "allowed"
    for name in ("b/two", "b/c/three", "a", "d/deep/er/four", "b.txt"):
        path = made / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (made / "empty").mkdir()
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_text("secret")
    (made / "link").symlink_to(secret / "file")
    (made / "linked").symlink_to(secret)
    os.mkfifo(made / "pipe")
    return made


ALL = [("a",), ("b", "c", "three"), ("b", "two"), ("b.txt",), ("d", "deep", "er", "four")]


@pytest.mark.parametrize(
    "text",
    ["relative", "/", "/elsewhere/file", "{root}/../secret/file", "{root}x/file", "", "{root}/\0"],
)
def test_paths_that_are_not_allowed(root: Path, text: str) -> None:
    with pytest.raises(InvalidArgument):
        allowed_path(text.replace("{root}", str(root)), [root])


def test_nothing_is_allowed_by_default(root: Path) -> None:
    with pytest.raises(InvalidArgument) as caught:
        allowed_path(str(root / "a"), [])
    assert "native.promote_from" in caught.value.reason


def test_paths_that_are_allowed(root: Path) -> None:
    assert allowed_path(f"{root}//b/./two", [root]) == LocalPath(root, ("b", "two"))
    assert allowed_path(str(root), [root]) == LocalPath(root, ())
    assert is_directory_sync(LocalPath(root, ()))
    assert is_directory_sync(LocalPath(root, ("b",)))
    assert not is_directory_sync(LocalPath(root, ("a",)))


def test_links_are_not_followed(root: Path) -> None:
    for names in (("link",), ("linked", "file"), ("linked",), ("pipe",)):
        with pytest.raises((InvalidArgument, NoSuchFile)):
            is_directory_sync(LocalPath(root, names))
        with pytest.raises((InvalidArgument, NoSuchFile)):
            LocalFile(LocalPath(root, names))
    for names in (("linked",), ("link",), ("absent",)):
        with pytest.raises((InvalidArgument, NoSuchFile)):
            list(files_sync(LocalPath(root, names), is_recursive=True))


def test_files_in_order_and_after_each(root: Path) -> None:
    path = LocalPath(root, ())
    assert list(files_sync(path, is_recursive=True)) == ALL
    assert list(files_sync(path, is_recursive=False)) == [("a",), ("b.txt",)]
    for place, names in enumerate(ALL):
        assert list(files_sync(path, is_recursive=True, after=names)) == ALL[place + 1 :]
    # What it went on after may be gone.
    assert list(files_sync(path, is_recursive=True, after=("b", "m"))) == ALL[2:]
    assert list(files_sync(LocalPath(root, ("b",)), is_recursive=True)) == [
        ("c", "three"),
        ("two",),
    ]


def test_file_is_read_and_removed(root: Path) -> None:
    file = LocalFile(LocalPath(root, ("b", "two")))
    assert file.size_bytes == 5
    assert file.read_sync(2, 10) == b"two"
    assert file.remove_sync()
    file.close_sync()
    assert not (root / "b" / "two").exists()


def test_file_that_was_written_to_is_not_removed(root: Path) -> None:
    file = LocalFile(LocalPath(root, ("a",)))
    (root / "a").write_text("longer than before")
    assert not file.remove_sync()
    file.close_sync()
    assert (root / "a").exists()
