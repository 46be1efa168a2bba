"""Owns the decision what a job may do to the objects that it meets, on behalf of the user who started it.

The request that starts a job is asked for the bucket as a whole; objects of other owners, and policies that tell keys
apart, are asked for one by one while it runs. Conditions on requests cannot be: no request is there any more.
"""

from __future__ import annotations

from core import access
from core.access import NO_FACTS, Decision, Resource
from core.errors import Denied
from core.names import ObjectKey
from core.types import NOBODY, Bucket, Identity, ObjectInfo, User


def check_conditions(identity: Identity, bucket: Bucket) -> None:
    """To be called as the job is asked for. Raises Denied where policies that hold here have conditions."""
    if not access.is_plain(Identity(identity.user), bucket) and access.keys_asked(identity, bucket):
        raise Denied(reason=f"jobs cannot keep the conditions of the policies on {bucket.name}")


class JobAccess:
    """What one user may do to the objects of one bucket."""

    def __init__(self, user: User, bucket: Bucket) -> None:
        self._identity = Identity(user)
        self._bucket = bucket
        self._is_plain = access.is_plain(self._identity, bucket)
        self._own = (bucket.owner.user_id, NOBODY)

    def allows(self, action: str, key: ObjectKey, info: ObjectInfo | None = None) -> bool:
        """Whether an S3 action is allowed on an object. `info` for those on one that is there, with its owner."""
        if self._is_plain and (info is None or info.attributes.owner_id in self._own):
            return True
        resource = Resource(self._bucket, key, info, is_absent=info is None)
        decision = access.authorize(self._identity, action, resource, NO_FACTS)
        return decision is Decision.ALLOWED

    def require(self, action: str, key: ObjectKey, info: ObjectInfo | None = None) -> None:
        """Raises Denied."""
        if not self.allows(action, key, info):
            raise access.denied(action, self._bucket)
