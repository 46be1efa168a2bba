"""Owns the judgement of a server that came back: every key, the listing, the uploads, and the store itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote_plus

from tests.crash.ledger import Ledger, OpenUpload
from tests.crash.load import (
    BUCKET,
    Caller,
    completion,
    describe,
    matching,
    target_of,
    text_of,
)
from tests.crash.versions import VersionChecker
from tests.s3compat.wire import Reply
from tests.server import Server


@dataclass(frozen=True, slots=True)
class Listed:
    """One row of a listing."""

    size_bytes: int
    etag: str


class Checker:
    """Compares a quiet server with the ledger; what differs goes into `violations`."""

    def __init__(self, server: Server, ledger: Ledger) -> None:
        self._server = server
        self._ledger = ledger
        self._caller = Caller(server)
        self.violations: list[str] = []
        self.checked = 0

    def check(self, keys: Iterable[str], *, with_all_versions: bool = False) -> list[str]:
        """Read `keys`, go on with the open uploads, and compare the listing of everything. Of the bucket with versions,
        read the keys written since the last check, or all."""
        listing = self._list()
        self._check_uploads(listing)
        listing = self._list()
        for key in sorted(keys):
            self._check_key(key, listing.get(key))
        self._check_listing(listing)
        self._check_versions(with_all_versions)
        self._caller.close()
        return self.violations

    def _check_versions(self, with_all: bool) -> None:
        ledger = self._ledger.versions
        touched = ledger.take_touched()
        checker = VersionChecker(ledger, self._caller.send)
        self.violations += checker.check(ledger.all_keys() if with_all else touched)
        self.checked += checker.checked

    def _check_key(self, key: str, listed: Listed | None) -> None:
        reply = self._caller.send("GET", target_of(key))
        self.checked += 1
        states = self._ledger.possible(key)
        found = matching(reply, states)
        if found is None:
            self._violate(f"{key!r} holds {describe(reply)}, may hold {states}")
            return
        self._ledger.settle(key, found[0])
        shown = None if found[0] is None else Listed(len(reply.body), reply.headers["etag"])
        if listed != shown:
            self._violate(f"{key!r} is listed as {listed} and read as {shown}")
        if found[0] is not None and "-" not in reply.headers["etag"]:
            md5 = found[0].md5()
            if reply.headers["etag"] != f'"{md5}"':
                self._violate(f"{key!r} has ETag {reply.headers['etag']}, its bytes {md5}")

    def _check_listing(self, listing: dict[str, Listed]) -> None:
        known = set(self._ledger.keys())
        for key in listing.keys() - known:
            self._violate(f"{key!r} is listed and was never written")
        for key in known:
            states = self._ledger.possible(key)
            if not any(
                listing.get(key) is None if state is None
                else key in listing and listing[key].size_bytes == state.size_bytes
                for state in states
            ):  # fmt: skip
                self._violate(f"{key!r} is listed as {listing.get(key)}, may hold {states}")

    def _list(self) -> dict[str, Listed]:
        found: dict[str, Listed] = {}
        last = ""
        token = ""
        while True:
            more = f"&continuation-token={quote(token, safe='')}" if token else ""
            query = f"list-type=2&encoding-type=url&max-keys=100{more}"
            reply = self._caller.send("GET", f"/{BUCKET}?{query}")
            if reply.status != 200:
                self._violate(f"listing: {describe(reply)}")
                return found
            for key, listed in _rows(reply):
                if key.encode() <= last.encode():
                    self._violate(f"{key!r} is listed after {last!r}")
                found[key] = listed
                last = key
            if text_of(reply, "IsTruncated") != "true":
                return found
            token = text_of(reply, "NextContinuationToken")

    # --- uploads ---

    def _check_uploads(self, listing: dict[str, Listed]) -> None:
        """Acknowledged parts must be there still; then every upload is completed or, unfinished, aborted."""
        for upload in list(self._ledger.uploads.values()):
            target = target_of(upload.key, f"uploadId={upload.upload_id}")
            reply = self._caller.send("GET", target)
            if reply.status != 200:
                self._violate(f"upload of {upload.key!r}: {describe(reply)}")
                continue
            missing = [etag for etag in upload.etags.values() if not _names_etag(reply, etag)]
            if missing:
                self._violate(f"upload of {upload.key!r} lost the parts {missing}")
            if len(upload.etags) == 2:
                self._complete(upload, target)
            else:
                self._expect(self._caller.send("DELETE", target), 204, "abort")
        self._ledger.uploads.clear()

    def _complete(self, upload: OpenUpload, target: str) -> None:
        intent = self._ledger.begin(upload.key, upload.value)
        reply = self._caller.send("POST", target, completion(upload))
        if self._expect(reply, 200, f"completion of {upload.key!r}"):
            self._ledger.acknowledge([intent])

    def _expect(self, reply: Reply, status: int, what: str) -> bool:
        if reply.status == status and b"<Error>" not in reply.body:
            return True
        self._violate(f"{what}: {describe(reply)}")
        return False

    def _violate(self, what: str) -> None:
        self.violations.append(what)


def _rows(reply: Reply) -> Iterable[tuple[str, Listed]]:
    for element in reply.document.iter():
        if element.tag.rpartition("}")[2] == "Contents":
            fields = {child.tag.rpartition("}")[2]: child.text or "" for child in element}
            yield unquote_plus(fields["Key"]), Listed(int(fields["Size"]), fields["ETag"])


def _names_etag(reply: Reply, etag: str) -> bool:
    return any(element.text == etag for element in reply.document.iter())
