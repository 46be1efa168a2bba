"""Owns the bucket with versions of a crash run: what clients do to it, and the judgement of what came back."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import quote, unquote_plus

from tests.crash.ledger import Ledger
from tests.crash.values import State
from tests.crash.version_ledger import ListedVersion, Version, VersionLedger
from tests.s3compat.wire import Reply

VERSIONED = "crash-versions"
ENABLE = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"

_KEYS = 3
_SHARED = "shared"
# More of a key are removed again, so that the check of a round stays short.
_MAX_VERSIONS = 6
_MAX_TAGS = 3

Send = Callable[[str, str, bytes, Mapping[str, str] | None], Reply | None]
"""(method, target, body, headers) → the reply if the server said yes; None if it refused to be asked just now."""


def target_of(key: str, query: str = "") -> str:
    return f"/{VERSIONED}/{quote(key)}" + (f"?{query}" if query else "")


class VersionActions:
    """What one client does to keys of its own and to one that all share. Raises what `send` raises."""

    def __init__(self, ledger: Ledger, number: int, choices: random.Random, send: Send) -> None:
        self._values = ledger
        self._ledger = ledger.versions
        self._random = choices
        self._send = send
        self._keys = [*(f"c{number}/v{each}" for each in range(_KEYS)), _SHARED]

    def put(self) -> None:
        """A new version; where there are many, an old one goes instead."""
        key = self._random.choice(self._keys)
        if len(self._ledger.acknowledged(key)) >= _MAX_VERSIONS:
            self.remove(key)
            return
        value = self._values.new_value(self._random.choice((10, 4096, 70_000, 200_000)))
        version = self._ledger.begin(key, value)
        self._note(version, self._send("PUT", target_of(key), value.content(), None))

    def restore(self) -> None:
        """An old version copied onto its own key."""
        key = self._random.choice(self._keys[:-1])
        known = [each for each in self._ledger.acknowledged(key) if each.state is not None]
        if not known or len(known) >= _MAX_VERSIONS:
            return
        source = self._random.choice(known)
        place = quote(f"{VERSIONED}/{key}") + f"?versionId={source.version_id}"
        version = self._ledger.begin(key, source.state)
        version.tag_counts = set(source.tag_counts)
        self._note(version, self._send("PUT", target_of(key), b"", {"x-amz-copy-source": place}))

    def mark(self) -> None:
        key = self._random.choice(self._keys)
        version = self._ledger.begin(key, None)
        self._note(version, self._send("DELETE", target_of(key), b"", None))

    def remove(self, key: str = "") -> None:
        version = self._choose(key or self._random.choice(self._keys[:-1]))
        if version is None:
            return
        self._ledger.doom(version)
        target = target_of(version.key, f"versionId={version.version_id}")
        if self._send("DELETE", target, b"", None) is not None:
            self._ledger.removed(version)

    def tag(self) -> None:
        version = self._choose(self._random.choice(self._keys[:-1]))
        if version is None or version.state is None:
            return
        count = self._random.randint(1, _MAX_TAGS)
        tags = "".join(f"<Tag><Key>{each}</Key><Value>v</Value></Tag>" for each in range(count))
        body = f"<Tagging><TagSet>{tags}</TagSet></Tagging>".encode()
        self._ledger.begin_tagging(version, count)
        target = target_of(version.key, f"tagging&versionId={version.version_id}")
        if self._send("PUT", target, body, None) is not None:
            self._ledger.tagged(version, count)

    def _choose(self, key: str) -> Version | None:
        known = self._ledger.acknowledged(key)
        return self._random.choice(known) if known else None

    def _note(self, version: Version, reply: Reply | None) -> None:
        if reply is not None:
            self._ledger.acknowledge(version, reply.headers["x-amz-version-id"])


class VersionChecker:
    """Compares a quiet server's versions with the ledger."""

    def __init__(self, ledger: VersionLedger, send: Callable[[str, str], Reply]) -> None:
        self._ledger = ledger
        self._send = send
        self.checked = 0

    def check(self, keys: Iterable[str]) -> list[str]:
        """What is wrong with these keys, and with the listings of all."""
        listed = self._list_versions()
        wrong = [
            f"{key!r} was never written" for key in listed.keys() - set(self._ledger.all_keys())
        ]
        current = self._list_current()
        for key in sorted(keys):
            wrong += self._check_key(key, listed.get(key, []))
        for key in self._ledger.all_keys():
            versions = listed.get(key, [])
            is_there = bool(versions) and not versions[0].is_marker
            if (key in current) is not is_there:
                wrong.append(f"{key!r} with {versions[:1]} is listed as current: {key in current}")
        return wrong

    def _check_key(self, key: str, listed: list[ListedVersion]) -> list[str]:
        states = {
            (version.version_id or "", version.state): version
            for version in self._ledger.all_of(key)
        }
        wrong: list[str] = []
        contents: dict[str, State] = {}
        tag_counts: dict[str, int] = {}
        for entry in listed:
            self.checked += 1
            reply = self._send("GET", target_of(key, f"versionId={entry.version_id}"))
            if entry.is_marker:
                if reply.status != 405:
                    wrong.append(f"{key!r}: the marker {entry} answers {reply.status}")
                continue
            if reply.status != 200 or reply.headers["x-amz-version-id"] != entry.version_id:
                wrong.append(f"{key!r}: {entry} answers {reply.status} {reply.headers}")
                continue
            tag_counts[entry.version_id] = int(reply.headers.get("x-amz-tagging-count", "0"))
            for version_id, state in states:
                if (
                    state is not None
                    and version_id in ("", entry.version_id)
                    and entry.size_bytes == state.size_bytes
                    and reply.body == state.content()
                ):
                    contents[entry.version_id] = state
            if entry.version_id not in contents:
                wrong.append(f"{key!r}: {entry} holds what nobody sent as it")
        wrong += self._check_latest(key, listed)
        wrong += self._ledger.judge(key, listed, contents)
        for version in self._ledger.all_of(key):
            count = tag_counts.get(version.version_id, 0)
            if count not in version.tag_counts:
                wrong.append(f"{key!r}: {version} has {count} tags")
            version.tag_counts = {count}
        return wrong

    def _check_latest(self, key: str, listed: list[ListedVersion]) -> list[str]:
        reply = self._send("GET", target_of(key))
        shown = (reply.status, reply.headers.get("x-amz-version-id", ""))
        if not listed:
            wanted = (404, "")
        else:
            wanted = (404 if listed[0].is_marker else 200, listed[0].version_id)
        return [] if shown == wanted else [f"{key!r} reads as {shown}, is listed as {wanted}"]

    def _list_versions(self) -> dict[str, list[ListedVersion]]:
        found: dict[str, list[ListedVersion]] = defaultdict(list)
        query = "versions&encoding-type=url&max-keys=50"
        more = ""
        while True:
            reply = self._send("GET", f"/{VERSIONED}?{query}{more}")
            assert reply.status == 200, reply
            texts: dict[str, str] = {}
            for element in reply.document:
                name = element.tag.rpartition("}")[2]
                if name not in ("Version", "DeleteMarker"):
                    texts[name] = element.text or ""
                    continue
                fields = {child.tag.rpartition("}")[2]: child.text or "" for child in element}
                found[unquote_plus(fields["Key"])].append(
                    ListedVersion(
                        fields["VersionId"],
                        name == "DeleteMarker",
                        fields["IsLatest"] == "true",
                        int(fields.get("Size", "0")),
                    )
                )
            if texts["IsTruncated"] != "true":
                return found
            # Encoded already.
            more = (
                f"&key-marker={texts['NextKeyMarker']}"
                f"&version-id-marker={texts['NextVersionIdMarker']}"
            )

    def _list_current(self) -> set[str]:
        reply = self._send("GET", f"/{VERSIONED}?list-type=2&encoding-type=url")
        return {
            unquote_plus(element.text or "")
            for element in reply.document.iter()
            if element.tag.rpartition("}")[2] == "Key"
        }
