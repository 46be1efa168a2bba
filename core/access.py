"""Owns the decision whether a caller may do a thing: one place for every front.

Pure functions over identities, buckets and objects. Bucket policy, the policies of users, ownership, ACLs, public
access block and requester pays meet here, so that no front ever decides by itself (AWS: How Amazon S3 authorizes a
request).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from core import acl
from core.claims import ALL_ACCESS, Permission
from core.errors import Denied
from core.policy.document import Effect, parsed
from core.policy.evaluation import Ask, evaluate
from core.policy.keys import EXISTING_TAG
from core.policy.permissions import permission_of
from core.policy.principals import Caller
from core.policy.public import is_public
from core.types import (
    NOBODY,
    Bucket,
    Identity,
    ObjectInfo,
    User,
)
from core.uploads import Upload

_ARN = "arn:aws:s3:::"
_EVERYBODYS = frozenset(
    {Permission.LIST_BUCKETS, Permission.CREATE_BUCKET, Permission.SHOW_CLUSTER}
)
"""What concerns no bucket, and yet users other than root may do."""
_POLICY_ACTIONS = frozenset({"s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"})


_CHANGES_ACCESS = Permission.PATCH | Permission.SET_BUCKET_ACL


class Facts(Protocol):
    """What is known of a request beside who sends it and what it addresses."""

    def values(self, key: str) -> Sequence[str] | None:
        """The request's values of a condition key in its normal form (core.policy.globs); None where it has none."""


class NoFacts:
    """Facts of a request of which nothing is known."""

    def values(self, key: str) -> Sequence[str] | None:
        """Nothing."""
        return None


NO_FACTS = NoFacts()


class Decision(Enum):
    """DENIED: something forbids it; NOT_ALLOWED: nothing allows it. UNDECIDED: the object itself decides, look it up
    and ask again."""

    ALLOWED = "allowed"
    DENIED = "denied"
    NOT_ALLOWED = "not allowed"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Resource:
    """What a request addresses. `info` is the object version, once it was looked up; `is_absent`: there is none."""

    bucket: Bucket
    key: str | None = None
    info: ObjectInfo | None = None
    is_absent: bool = False

    @property
    def arn(self) -> str:
        name = self.bucket.name
        return f"{_ARN}{name}" if self.key is None else f"{_ARN}{name}/{self.key}"


class _ObjectNeededError(Exception):
    """A condition asks for the object's tags, which are not known yet."""


def is_plain(identity: Identity, bucket: Bucket) -> bool:
    """Whether the caller may do everything in the bucket, with no policy to ask: nearly every request of its owner.

    What others wrote there stays theirs, so an object's own owner must still be looked at.
    """
    user, claims = identity.user, identity.claims
    return (
        user is not None
        and (claims is None or claims.is_admin)
        and not bucket.props.policy
        and not user.policies
        and bucket.props.native.access == ALL_ACCESS
        and (user.user_id == bucket.owner.user_id or user.is_root)
    )


def authorize(
    identity: Identity,
    action: str,
    resource: Resource,
    facts: Facts,
    permission: Permission | None = None,
) -> Decision:
    """The decision, in the order that AWS evaluates in: what a token and the bucket's `access` leave, an explicit
    denial, who pays, what the user's own policies leave, and then whether bucket policy, ownership or ACL allow it.

    `permission` is what a token must have, where that is not what the action says."""
    claims, mask = identity.claims, resource.bucket.props.native.access
    if claims is not None or mask != ALL_ACCESS:
        wanted = permission_of(action) if permission is None else permission
        if claims is not None and not claims.permits(wanted, resource.bucket.ref):
            return Decision.DENIED
        # What the bucket permits to nobody, but for the change of that.
        if wanted & ~mask & ~_CHANGES_ACCESS:
            return Decision.DENIED
    try:
        return _decide(identity, action, resource, _AllFacts(identity, resource, facts))
    except _ObjectNeededError:
        return Decision.UNDECIDED


def authorize_account(
    identity: Identity,
    action: str,
    name: str,
    facts: Facts,
    permission: Permission | None = None,
) -> bool:
    """Whether the caller may do what concerns no bucket that exists: list buckets, create the one called `name`, or,
    with a `permission` of its own, something of the whole cluster, which is root's but for a few."""
    user, claims = identity.user, identity.claims
    if user is None:
        return False
    if claims is not None:
        wanted = permission_of(action) if permission is None else permission
        if not claims.permits(wanted, None):
            return False
    if permission is not None and not user.is_root and permission not in _EVERYBODYS:
        return False
    if not action.startswith("s3:"):
        # Policies can name actions of S3 alone.
        return True
    caller = Caller(user.user_id, user.name)
    values = _AccountFacts(caller, user, facts).values
    return not user.policies or _by_user(user, Ask(caller, action, _ARN + name, values)) is (
        Effect.ALLOW
    )


def authorize_service(service: str, action: str, resource: Resource, facts: Facts) -> bool:
    """Whether the bucket's policy lets a service ("logging.s3.amazonaws.com") act; nothing else lets it."""
    policy = resource.bucket.props.policy
    if not policy:
        return False
    ask = Ask(Caller(service=service), action, resource.arn, facts.values)
    return evaluate(parsed(policy), ask) is Effect.ALLOW


def _decide(identity: Identity, action: str, resource: Resource, facts: _AllFacts) -> Decision:
    bucket, user = resource.bucket, identity.user
    is_owner = user is not None and user.user_id == bucket.owner.user_id
    ask = Ask(facts.caller, action, resource.arn, facts.values)
    by_bucket = evaluate(parsed(bucket.props.policy), ask) if bucket.props.policy else None
    by_user = _by_user(user, ask) if user is not None and user.policies else Effect.ALLOW
    if by_user is Effect.DENY:
        return Decision.DENIED
    if by_bucket is Effect.DENY and not _keeps_policy(user, action, bucket):
        return Decision.DENIED
    if user is not None and user.is_root:
        return Decision.ALLOWED
    if bucket.props.is_requester_pays and not is_owner and not facts.accepts_charge:
        return Decision.DENIED
    is_granted = by_bucket is Effect.ALLOW and (is_owner or not _is_restricted(bucket))
    # In one's own account either policy is enough; elsewhere both accounts must allow it.
    if by_user is None and not (is_owner and is_granted):
        return Decision.NOT_ALLOWED
    if resource.key is not None and action in acl.OBJECT_PERMISSIONS:
        return _decide_by_object(identity, action, resource, is_owner, is_granted)
    if is_owner or is_granted or acl.bucket_acl_allows(identity, action, bucket):
        return Decision.ALLOWED
    return Decision.NOT_ALLOWED


def _decide_by_object(
    identity: Identity, action: str, resource: Resource, is_owner: bool, is_granted: bool
) -> Decision:
    """Its bucket's owner and policy rule over an object as far as the bucket's owner owns it too; over what others own,
    they can only deny. What nobody in particular wrote is the bucket owner's, for want of another."""
    if resource.is_absent:
        return Decision.ALLOWED if is_owner or is_granted else Decision.NOT_ALLOWED
    info = resource.info
    if info is None:
        return Decision.UNDECIDED
    bucket = resource.bucket
    owner_id = acl.object_owner(bucket, info.attributes)
    if owner_id in (bucket.owner.user_id, NOBODY) and (is_owner or is_granted):
        return Decision.ALLOWED
    if acl.object_acl_allows(identity, action, bucket, info.attributes):
        return Decision.ALLOWED
    return Decision.NOT_ALLOWED


def _by_user(user: User, ask: Ask) -> Effect | None:
    found = {evaluate(parsed(text), ask) for _, text in user.policies}
    if Effect.DENY in found:
        return Effect.DENY
    return Effect.ALLOW if Effect.ALLOW in found else None


def _keeps_policy(user: User | None, action: str, bucket: Bucket) -> bool:
    """A bucket's owner can always read and change its policy, whatever that denies, so that no bucket is locked for
    good (AWS: PutBucketPolicy), but for one who confirmed to give that up; then root of the node still can."""
    if user is None or action not in _POLICY_ACTIONS:
        return False
    is_owner = user.user_id == bucket.owner.user_id
    return user.is_root or (is_owner and not bucket.props.policy_binds_owner)


def _is_restricted(bucket: Bucket) -> bool:
    """Whether the policy, being public, counts for nobody but the owner (RestrictPublicBuckets)."""
    block = bucket.props.public_access_block
    return (
        block is not None
        and block.restrict_public_buckets
        and is_public(parsed(bucket.props.policy))
    )


def keys_asked(identity: Identity, bucket: Bucket) -> frozenset[str]:
    """The condition keys that the policies on a caller and a bucket ask for."""
    texts = [] if identity.user is None else [text for _, text in identity.user.policies]
    if bucket.props.policy:
        texts.append(bucket.props.policy)
    return frozenset[str]().union(*(parsed(text).keys for text in texts))


def has_public_policy(bucket: Bucket) -> bool:
    """Whether the bucket has a policy that makes it public."""
    return bool(bucket.props.policy) and is_public(parsed(bucket.props.policy))


def rules_bucket(identity: Identity, bucket: Bucket) -> bool:
    """Whether the bucket is the caller's, or the caller is root. What a token permits has been asked before."""
    user = identity.user
    return user is not None and (user.is_root or user.user_id == bucket.owner.user_id)


def began_upload(identity: Identity, upload: Upload) -> bool:
    """Whether the caller is who began the upload. The anonymous are nobody in particular."""
    return identity.user is not None and identity.user.user_id == upload.initiator.user_id


# --- what conditions may ask for ---------------------------------------------------------------------------------


class _AccountFacts:
    """The keys that follow from who asks, beside those of the request."""

    __slots__ = ("_facts", "_user", "caller")

    def __init__(self, caller: Caller, user: User | None, facts: Facts) -> None:
        self.caller = caller
        self._user = user
        self._facts = facts

    def values(self, key: str) -> Sequence[str] | None:
        user = self._user
        match key:
            case "aws:principaltype":
                if user is None:
                    return ("Anonymous",)
                return ("Account",) if user.is_root else ("User",)
            case "aws:principalisawsservice" | "aws:viaawsservice":
                return ("false",)
            case "aws:userid":
                return ("anonymous",) if user is None else (user.user_id,)
            case "aws:username":
                return None if user is None else (user.name,)
            case "aws:principalaccount":
                return None if user is None else (user.user_id,)
            case "aws:principalarn":
                return None if user is None else (self.caller.arn,)
        return self._facts.values(key)

    @property
    def accepts_charge(self) -> bool:
        """Whether the caller pays for the request (AWS: Using Requester Pays buckets). The anonymous cannot."""
        said = self._facts.values("x-amz-request-payer")
        return self._user is not None and said is not None and "requester" in said


class _AllFacts(_AccountFacts):
    """The keys that follow from the resource too."""

    __slots__ = ("_resource",)

    def __init__(self, identity: Identity, resource: Resource, facts: Facts) -> None:
        user = identity.user
        caller = Caller() if user is None else Caller(user.user_id, user.name)
        super().__init__(caller, user, facts)
        self._resource = resource

    def values(self, key: str) -> Sequence[str] | None:
        resource = self._resource
        if key in ("aws:resourceaccount", "s3:resourceaccount"):
            return (resource.bucket.owner.user_id,)
        if key.startswith(EXISTING_TAG):
            return self._existing_tag(key[len(EXISTING_TAG) :])
        return super().values(key)

    def _existing_tag(self, name: str) -> Sequence[str] | None:
        resource = self._resource
        if resource.key is None or resource.is_absent:
            return None
        if resource.info is None:
            raise _ObjectNeededError
        value = resource.info.attributes.tags.get(name)
        return None if value is None else (value,)


def denied(action: str, bucket: Bucket) -> Denied:
    """The refusal of an action; its reason is for the log alone."""
    return Denied(reason=f"{action} on {bucket.name}")
