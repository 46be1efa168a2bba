"""Owns both fronts over one store inside the test's process, and a client of each that speaks plain HTTP."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

import httpx
import msgpack

from cluster.control import EmbeddedControlStore
from core.load import FixedLoad
from core.names import UserId
from core.types import Identity, User
from gateway.app import Websites, build_app
from gateway.native.call import NativeServices, NodeIdentity
from gateway.native.front import NativeFront
from gateway.service import SingleNodeService
from s3api.auth.body import UNCHECKED, open_body
from s3api.auth.post_form import PostForm
from s3api.call import Authenticated, Request, Settings
from s3api.edge import S3Front
from s3api.router import OperationRouter
from storage.shards.service import LocalShards
from tests.contract.local_world import LocalWorld
from tests.unit.jobs.fake_records import FakeRecords

ROOT = User(UserId("root"), "root", "root", is_root=True)
_S3 = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@dataclass
class Seen:
    """An object as one side shows it. Native clients see no tags."""

    data: bytes
    etag: str
    metadata: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] | None = None


class Sender:
    """An authenticator to whom every request is `identity`'s."""

    def __init__(self) -> None:
        self.identity = Identity(ROOT)

    def authenticate(self, request: Request, now_ns: int) -> Authenticated:
        """As s3api.call.Authenticator."""
        del now_ns
        return Authenticated(self.identity, partial(open_body, request, UNCHECKED))

    def authenticate_form(self, form: PostForm, bucket: str, now_ns: int) -> Identity:
        """As s3api.call.Authenticator."""
        del form, bucket, now_ns
        return self.identity


class Fronts:
    """A store on disk, both fronts over it, and an HTTP client on them. Jobs are only written down, in `jobs`."""

    def __init__(self, directory: Path, users: Sequence[User] = ()) -> None:
        self._world = world = LocalWorld(directory / "data", mountpath_count=2)
        self._control = EmbeddedControlStore(directory)
        for user in (ROOT, *users):
            self._control.add_user_sync(user)
        self.sender = authenticator = Sender()
        self.jobs = FakeRecords()
        service = SingleNodeService(self._control, world.node, world.clock)
        settings = Settings()
        self._shards = LocalShards(world.node)
        absent = cast(Any, None)  # no request of these tests needs it
        services = NativeServices(
            service,
            self.jobs,
            self._shards,
            world.clock,
            NodeIdentity("c", "t1", 0, "0"),
            standing=absent,
            load=FixedLoad(),
            batch_nodes=absent,
        )
        app = build_app(
            S3Front(service, authenticator, OperationRouter(), world.clock, settings),
            NativeFront(services, authenticator, settings),
            world.node.health,
            Websites(absent),
        )
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://127.0.0.1"
        )

    def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
    ) -> httpx.Response:
        """A request and its answer, whatever that says."""
        self._world.clock.advance(1)
        fields = [(name.encode(), value.encode()) for name, value in headers]
        return self._world.run(self._client.request(method, path, headers=fields, content=body))

    def ok(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
    ) -> httpx.Response:
        """A request that must succeed."""
        reply = self.send(method, path, body, headers)
        assert reply.status_code in (200, 204), (method, path, reply.status_code, reply.text)
        return reply

    def ask(
        self,
        method: str,
        path: str,
        message: Mapping[str, Any],
        headers: Sequence[tuple[str, str]] = (),
    ) -> httpx.Response:
        """A request with a message, which must succeed."""
        return self.ok(method, path, json.dumps(message).encode(), headers)

    def close(self) -> None:
        self._world.run(self._client.aclose())
        self._shards.close()
        self._control.close()
        self._world.close()


class S3Side:
    """What an S3 client does with a bucket."""

    def __init__(self, fronts: Fronts, bucket: str) -> None:
        self._fronts = fronts
        self._bucket = bucket

    def _path(self, name: str, **query: str) -> str:
        return f"/{self._bucket}/{quote(name)}" + (f"?{urlencode(query)}" if query else "")

    def put(self, name: str, data: bytes, metadata: Mapping[str, str]) -> None:
        self._fronts.ok("PUT", self._path(name), data, _meta(metadata))

    def delete(self, name: str) -> None:
        self._fronts.ok("DELETE", self._path(name))

    def copy(self, name: str, to: str) -> None:
        source = quote(f"/{self._bucket}/{name}")
        self._fronts.ok("PUT", self._path(to), b"", [("x-amz-copy-source", source)])

    def set_metadata(self, name: str, metadata: Mapping[str, str]) -> None:
        source = quote(f"/{self._bucket}/{name}")
        headers = [("x-amz-copy-source", source), ("x-amz-metadata-directive", "REPLACE")]
        self._fronts.ok("PUT", self._path(name), b"", [*headers, *_meta(metadata)])

    def set_tags(self, name: str, tags: Mapping[str, str]) -> None:
        rows = "".join(f"<Tag><Key>{k}</Key><Value>{v}</Value></Tag>" for k, v in tags.items())
        body = f"<Tagging><TagSet>{rows}</TagSet></Tagging>".encode()
        self._fronts.ok("PUT", self._path(name, tagging=""), body)

    def upload(self, name: str, parts: Sequence[bytes]) -> None:
        """All but the last part are of S3's minimal size in the tests' store."""
        reply = self._fronts.ok("POST", self._path(name, uploads=""))
        upload_id = ElementTree.fromstring(reply.content).findtext(f"{_S3}UploadId", "")
        rows = ""
        for number, part in enumerate(parts, 1):
            path = self._path(name, partNumber=str(number), uploadId=upload_id)
            etag = self._fronts.ok("PUT", path, part).headers["etag"]
            rows += f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        body = f"<CompleteMultipartUpload>{rows}</CompleteMultipartUpload>".encode()
        reply = self._fronts.ok("POST", self._path(name, uploadId=upload_id), body)
        assert b"<Error>" not in reply.content

    def list(self, prefix: str, page_size: int) -> dict[str, tuple[int, str]]:
        """Sizes and ETags by name, in order."""
        found: dict[str, tuple[int, str]] = {}
        query = {"list-type": "2", "prefix": prefix, "max-keys": str(page_size)}
        while True:
            reply = self._fronts.ok("GET", f"/{self._bucket}?{urlencode(query)}")
            page = ElementTree.fromstring(reply.content)
            for entry in page.iter(f"{_S3}Contents"):
                name = entry.findtext(f"{_S3}Key", "")
                etag = entry.findtext(f"{_S3}ETag", "").strip('"')
                found[name] = (int(entry.findtext(f"{_S3}Size", "")), etag)
            token = page.findtext(f"{_S3}NextContinuationToken")
            if not token:
                return found
            query["continuation-token"] = token

    def look(self, name: str) -> Seen | None:
        reply = self._fronts.send("GET", self._path(name))
        if reply.status_code == 404:
            return None
        head = self._fronts.ok("HEAD", self._path(name))
        assert head.headers["content-length"] == str(len(reply.content))
        assert head.headers["etag"] == reply.headers["etag"]
        prefix = "x-amz-meta-"
        metadata = {
            each.removeprefix(prefix): value
            for each, value in reply.headers.items()
            if each.startswith(prefix)
        }
        tagging = self._fronts.ok("GET", self._path(name, tagging=""))
        tags = {
            tag.findtext(f"{_S3}Key", ""): tag.findtext(f"{_S3}Value", "")
            for tag in ElementTree.fromstring(tagging.content).iter(f"{_S3}Tag")
        }
        return Seen(reply.content, reply.headers["etag"].strip('"'), metadata, tags)


class NativeSide:
    """What a native client does with the same bucket."""

    def __init__(self, fronts: Fronts, bucket: str) -> None:
        self._fronts = fronts
        self._bucket = bucket

    def _path(self, name: str, **query: str) -> str:
        query = {"provider": "ais", **query}
        return f"/v1/objects/{self._bucket}/{quote(name)}?{urlencode(query)}"

    def put(self, name: str, data: bytes, metadata: Mapping[str, str]) -> None:
        self._fronts.ok("PUT", self._path(name), data, _custom(metadata))

    def delete(self, name: str) -> None:
        self._fronts.ok("DELETE", self._path(name))

    def copy(self, name: str, to: str) -> None:
        self._fronts.ok("PUT", self._path(name, object_to=f"ais/@#/{self._bucket}/{to}"))

    def rename(self, name: str, to: str) -> None:
        self._fronts.ask("POST", self._path(name), {"action": "rename-obj", "name": to})

    def set_metadata(self, name: str, metadata: Mapping[str, str], *, merges: bool) -> None:
        query = {} if merges else {"set-new-custom": "true"}
        message = {"action": "", "name": "", "value": dict(metadata)}
        self._fronts.ask("PATCH", self._path(name, **query), message)

    def upload(self, name: str, parts: Sequence[bytes]) -> None:
        upload_id = self._fronts.ask("POST", self._path(name), {"action": "mpt-upload"}).text
        for number, part in enumerate(parts, 1):
            path = self._path(name, uploadId=upload_id, partNumber=str(number))
            self._fronts.ok("PUT", path, part)
        value = [{"part-number": number, "etag": ""} for number in range(1, len(parts) + 1)]
        message = {"action": "mpt-complete", "value": value}
        self._fronts.ask("POST", self._path(name, uploadId=upload_id), message)

    def list(self, prefix: str, page_size: int) -> dict[str, dict[str, Any]]:
        """Entries by name, in order."""
        found: dict[str, dict[str, Any]] = {}
        value: dict[str, Any] = {
            "prefix": prefix,
            "pagesize": page_size,
            "props": "name,size,checksum,custom,version",
        }
        while True:
            reply = self._fronts.ask(
                "GET",
                f"/v1/buckets/{self._bucket}?provider=ais",
                {"action": "list", "value": value},
                [("accept", "application/msgpack")],
            )
            page = msgpack.unpackb(reply.content)
            found |= {entry["n"]: entry for entry in page["Entries"]}
            if not page["ContinuationToken"]:
                return found
            value |= {"uuid": page["UUID"], "continuation_token": page["ContinuationToken"]}

    def look(self, name: str) -> Seen | None:
        reply = self._fronts.send("GET", self._path(name))
        if reply.status_code == 404:
            return None
        head = self._fronts.ok("HEAD", self._path(name, props="checksum,custom,etag"))
        assert head.headers["content-length"] == str(len(reply.content))
        if head.headers.get("ais-checksum-type") == "md5":
            digest = hashlib.md5(reply.content, usedforsecurity=False).hexdigest()
            assert head.headers["ais-checksum-value"] == digest
        metadata = dict(line.split("=", 1) for line in head.headers.get_list("ais-custom-md"))
        return Seen(reply.content, head.headers["etag"].strip('"'), metadata)


def _meta(metadata: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(f"x-amz-meta-{name}", value) for name, value in metadata.items()]


def _custom(metadata: Mapping[str, str]) -> list[tuple[str, str]]:
    return [("ais-custom-md", f"{name}={value}") for name, value in metadata.items()]
