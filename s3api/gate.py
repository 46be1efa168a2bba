"""Owns which permissions a request needs, and the asking for them: of core.access, with what the request says and,
where the decision hangs on it, the object.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from core import access, acl
from core.access import Decision, Resource
from core.claims import Permission
from core.errors import Denied, NoSuchKey, NoSuchUpload, NoSuchVersion, VersionIsDeleteMarker
from core.names import ObjectKey, UploadId
from core.policy.actions import of_version
from core.protocols import Clock, ObjectStore
from core.shards import MemberInfo
from core.types import Bucket, Identity, ObjectInfo
from s3api import upload_facts
from s3api.call import Call, CopySource, Operation, Settings
from s3api.facts import RequestFacts

_GRANTS = ("read", "write", "read-acp", "write-acp", "full-control")
_ACL_HEADERS = frozenset({"x-amz-acl", *(f"x-amz-grant-{name}" for name in _GRANTS)})
_GET = "s3:GetObject"
_PUT = "s3:PutObject"
_BESIDE = {"GetObjectAttributes": "s3:GetObject"}
"""Operation → the action that it needs beside its own (AWS: GetObjectAttributes, Permissions)."""
_PERMISSIONS = {
    "HeadObject": Permission.HEAD_OBJECT,
    "HeadBucket": Permission.HEAD_BUCKET,
}
"""Operation → what a token must permit, where S3 shares an action with another operation and tokens do not."""


class Access:
    """What one caller asks of one bucket where more than ownership decides, and what was decided so far."""

    __slots__ = ("_bucket", "_decided", "_facts", "_identity", "_store")

    def __init__(
        self, store: ObjectStore, identity: Identity, bucket: Bucket, facts: RequestFacts
    ) -> None:
        self._store = store
        self._identity = identity
        self._bucket = bucket
        self._facts = facts
        self._decided: list[tuple[str, ObjectKey, ObjectInfo, Permission | None]] = []

    @property
    def is_charged(self) -> bool:
        """Whether the caller pays for what it does in another's bucket."""
        return self._bucket.props.is_requester_pays and not access.rules_bucket(
            self._identity, self._bucket
        )

    async def require(
        self,
        action: str,
        key: ObjectKey | None,
        version_id: str | None = None,
        permission: Permission | None = None,
    ) -> ObjectInfo | None:
        """The object, if it had to be looked up. `permission` as in core.access.

        Raises Denied; what a look-up raises, only where the caller may list: who may not is not told what is absent."""
        if version_id is not None:
            action = of_version(action)
        decision = self._ask(action, Resource(self._bucket, key), permission)
        info: ObjectInfo | None = None
        if decision is Decision.UNDECIDED:
            assert key is not None
            try:
                info = await self._store.head_with_tags(self._bucket, key, version_id=version_id)
            except (NoSuchKey, NoSuchVersion, VersionIsDeleteMarker) as error:
                self._decide_on_absent(action, key, error)
                return None
            decision = self._ask(action, Resource(self._bucket, key, info), permission)
            self._decided.append((action, key, info, permission))
        if decision is not Decision.ALLOWED:
            raise access.denied(action, self._bucket)
        return info

    def _ask(
        self, action: str, resource: Resource, permission: Permission | None = None
    ) -> Decision:
        return access.authorize(self._identity, action, resource, self._facts, permission)

    def _decide_on_absent(self, action: str, key: ObjectKey, error: Exception) -> None:
        """What reads an absent object fails: as such where the caller may list it, else as Denied. Other actions may
        still be allowed."""
        absent = Resource(self._bucket, key, is_absent=True)
        if action not in acl.OBJECT_PERMISSIONS:
            if self._ask(action, absent) is not Decision.ALLOWED:
                raise access.denied(action, self._bucket)
            return
        listing = "s3:ListBucket"
        if isinstance(error, NoSuchVersion | VersionIsDeleteMarker):
            listing = "s3:ListBucketVersions"
        facts = self._facts.of_absent(key)
        may_list = access.authorize(self._identity, listing, Resource(self._bucket), facts)
        if may_list is not Decision.ALLOWED:
            raise access.denied(action, self._bucket) from None
        raise error

    def check(self, info: ObjectInfo) -> None:
        """Decide again if the version that is about to be read is not like the one that was decided on in all that
        decides: owner, ACL and tags. Raises Denied."""
        for action, key, decided, permission in self._decided:
            if info.attributes == decided.attributes:
                continue
            resource = Resource(self._bucket, key, info)
            if self._ask(action, resource, permission) is not Decision.ALLOWED:
                raise access.denied(action, self._bucket)
        if isinstance(info, MemberInfo):
            # Who may not read the shard gets no member of it by its own name either.
            shard = Resource(self._bucket, info.shard, info)
            if self._ask(_GET, shard) is not Decision.ALLOWED:
                raise access.denied(_GET, self._bucket)

    def check_acl_headers(self, key: ObjectKey | None, fields: Mapping[str, str]) -> None:
        """An ACL that comes with an object needs no permission beside s3:PutObject, as in AWS's examples of policies
        that demand one; but it can be denied. Raises Denied."""
        if _ACL_HEADERS.isdisjoint(fields):
            return
        resource = Resource(self._bucket, key, is_absent=True)
        if self._ask("s3:PutObjectAcl", resource) is Decision.DENIED:
            raise access.denied("s3:PutObjectAcl", self._bucket)


class Gate:
    """Lets requests through, or raises Denied. Whoever owns the bucket passes at once where no policy is attached."""

    def __init__(self, store: ObjectStore, clock: Clock, settings: Settings) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings

    def admit_to_account(self, call: Call, operation: Operation) -> None:
        """For operations on no bucket, or on one that need not exist."""
        if not operation.action:
            return
        facts = self._facts(call)
        for action in (operation.action, *_beside_creation(call.request.headers)):
            if not access.authorize_account(
                call.identity, action, call.request.bucket or "", facts
            ):
                raise Denied(reason=f"{action} at account level")

    async def admit(self, call: Call, operation: Operation) -> None:
        """For operations on a bucket or object, before anything else is done for them."""
        action, bucket = operation.action, call.target_bucket
        call.action = action
        # An object in one's own bucket may be somebody else's. Most readers look when they have it open.
        if access.is_plain(call.identity, bucket) and (
            operation.checks_object or action not in acl.OBJECT_PERMISSIONS
        ):
            return
        if not action:
            return
        fields = await self._said_at_creation(call, operation)
        asked = call.access = self._access(call, fields)
        key, version_id = call.key, call.request.query.get("versionId")
        await asked.require(action, key, version_id, _PERMISSIONS.get(operation.name))
        if operation.name in _BESIDE:
            await asked.require(_BESIDE[operation.name], key, version_id)
        if action == _PUT:
            asked.check_acl_headers(key, call.request.headers)

    async def authorize(
        self,
        call: Call,
        action: str,
        key: ObjectKey | None,
        *,
        version_id: str | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        """As s3api.call.Authorize."""
        if access.is_plain(call.identity, call.target_bucket):
            return
        if fields is None:
            fields = call.request.headers
        asked = self._access(call, fields, version_id)
        call.access = call.access or asked
        await asked.require(action, key, version_id)
        if action == _PUT:
            asked.check_acl_headers(key, fields)

    async def admit_to_source(self, call: Call, source: CopySource) -> CopySource:
        """The source of a copy, with what it is now if the right to read hangs on that. Raises Denied."""
        identity, bucket = call.identity, source.bucket
        user = identity.user
        if user is not None and user.is_root and access.is_plain(identity, bucket):
            return source
        facts = self._facts(call)
        asked = Access(self._store, identity, bucket, facts.of_source(source.version_id))
        info = await asked.require("s3:GetObject", source.key, source.version_id)
        if info is not None and info.attributes.tags and _copies_tags(call):
            await asked.require("s3:GetObjectTagging", source.key, source.version_id)
            await self.authorize(call, "s3:PutObjectTagging", call.key)
        return CopySource(bucket, source.key, source.version_id, info)

    async def _said_at_creation(self, call: Call, operation: Operation) -> Mapping[str, str] | None:
        """What stands for the headers of a request that goes on with an upload; None where they stand for
        themselves."""
        if operation.name not in upload_facts.OPERATIONS:
            return None
        if not upload_facts.asks_of_creation(access.keys_asked(call.identity, call.target_bucket)):
            return None
        upload_id = UploadId(call.request.query.get("uploadId", ""))
        try:
            upload = await self._store.get_upload(call.target_bucket, call.target_key, upload_id)
        except NoSuchUpload:
            return None
        return {**upload_facts.said_at_creation(upload), **call.request.headers}

    def _access(
        self,
        call: Call,
        fields: Mapping[str, str] | None = None,
        version_id: str | None = None,
    ) -> Access:
        facts = self._facts(call, fields, version_id)
        return Access(call.store, call.identity, call.target_bucket, facts)

    def _facts(
        self,
        call: Call,
        fields: Mapping[str, str] | None = None,
        version_id: str | None = None,
    ) -> RequestFacts:
        more = None if version_id is None else {"s3:versionid": (version_id,)}
        now_ns = self._clock.now_ns()
        return RequestFacts(call.request, now_ns, self._settings.region, fields, more)


def _beside_creation(headers: Mapping[str, str]) -> Iterator[str]:
    """What the headers of CreateBucket need beside its own action (AWS: CreateBucket, Permissions)."""
    if not _ACL_HEADERS.isdisjoint(headers):
        yield "s3:PutBucketAcl"
    if "x-amz-object-ownership" in headers:
        yield "s3:PutBucketOwnershipControls"
    if headers.get("x-amz-bucket-object-lock-enabled", "").strip().lower() == "true":
        yield from ("s3:PutBucketObjectLockConfiguration", "s3:PutBucketVersioning")


def _copies_tags(call: Call) -> bool:
    headers = call.request.headers
    is_part = "uploadId" in call.request.query
    return not is_part and headers.get("x-amz-tagging-directive") != "REPLACE"
