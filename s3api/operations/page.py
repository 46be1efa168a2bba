"""Owns what the pages of all listings share: names and their encoding, common prefixes, owners."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from urllib.parse import quote

from core.names import UserId
from core.types import NOBODY, Checksum, User
from s3api.call import Call
from s3api.parameters import is_url_encoded
from s3api.response_headers import checksum_text
from s3api.xml import element, escape

Encode = Callable[[str], str]

ANONYMOUS_ID = UserId("65a011a29cdf8ec533ec3d1ccaae921c")
"""The canonical id under which S3 shows what an anonymous caller owns."""

_NEEDS_QUOTING = re.compile(r"[^A-Za-z0-9_.~/-]")


def url_encode(name: str) -> str:
    """A name as encoding-type=url has it; the result needs no XML escaping."""
    # Not urllib's quote(): over a whole name it costs three times as much as this over the few characters.
    return _NEEDS_QUOTING.sub(_percent_encoded, name)


@lru_cache(maxsize=4096)
def _quoted(character: str) -> str:
    return quote(character, safe="")


def _percent_encoded(match: re.Match[str]) -> str:
    return _quoted(match.group())


def name_encoder(call: Call) -> Encode:
    """How the names of this answer are written. Raises InvalidArgument."""
    return url_encode if is_url_encoded(call.request.query) else escape


def name_element(tag: str, name: str, encode: Encode) -> str:
    """An element that holds a name."""
    return f"<{tag}>{encode(name)}</{tag}>"


def optional_name(tag: str, name: str, encode: Encode) -> str:
    """An element that holds a name, nothing for an empty name."""
    return name_element(tag, name, encode) if name else ""


def encoding_type_element(encode: Encode) -> str:
    """Says that names are percent-encoded, if they are."""
    return "<EncodingType>url</EncodingType>" if encode is url_encode else ""


def common_prefix_elements(prefixes: Iterable[str], encode: Encode) -> list[str]:
    """One element a common prefix."""
    return [
        f"<CommonPrefixes><Prefix>{encode(prefix)}</Prefix></CommonPrefixes>" for prefix in prefixes
    ]


def user_element(tag: str, user: User) -> str:
    """A user as S3 shows an owner or initiator."""
    return (
        f"<{tag}>{element('ID', user.user_id)}{element('DisplayName', user.display_name)}</{tag}>"
    )


class Owners:
    """The Owner elements of a page, one rendering an owner."""

    def __init__(self, call: Call) -> None:
        owner = call.target_bucket.owner
        self._names = {owner.user_id: owner.display_name}
        user = call.identity.user
        if user is not None:
            self._names[user.user_id] = user.display_name
        self._elements: dict[UserId, str] = {}
        # What lives elsewhere has an owner only with its copy; without one it is the bucket's owner's.
        is_remote = call.target_bucket.props.backend is not None
        self._of_nobody = owner.user_id if is_remote else NOBODY

    def add(self, user: User) -> None:
        """Make one more user known by name."""
        self._names[user.user_id] = user.display_name

    def element(self, owner_id: UserId) -> str:
        """An owner. The bucket's owner, the caller and who was added are known by name; others are shown by id."""
        owner_id = self._of_nobody if owner_id == NOBODY else owner_id
        found = self._elements.get(owner_id)
        if found is None:
            name = self._names.get(owner_id)
            shown_id = ANONYMOUS_ID if owner_id == NOBODY else owner_id
            display_name = "" if name is None else element("DisplayName", name)
            found = f"<Owner>{element('ID', shown_id)}{display_name}</Owner>"
            self._elements[owner_id] = found
        return found


def checksum_element(checksum: Checksum) -> str:
    """A checksum, in the element that its algorithm has."""
    return element(f"Checksum{checksum.algorithm.value}", checksum_text(checksum))
