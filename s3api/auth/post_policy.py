"""Owns what a POST form may do: its signature, and the policy document that the form must satisfy.

Source: AWS, "POST Policy" and "Browser-Based Uploads Using POST" (versions 4 and 2 of the signature).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from core.names import AccessKey
from core.types import ANONYMOUS, Credential, Identity
from s3api.auth import sigv2, sigv4
from s3api.auth.canonical import NS_PER_S, parse_basic_time
from s3api.auth.errors import (
    AccessDenied,
    InvalidPolicyDocument,
    InvalidPostField,
    InvalidToken,
    SignatureDoesNotMatch,
)
from s3api.auth.post_form import PostForm, missing_field
from s3api.auth.sigv4 import CredentialSource
from s3api.call import Settings

# Fields that need no condition. x-amz-checksum-* is not on AWS's list, yet S3 takes it: it only narrows the file.
_FREE_FIELDS = frozenset({"file", "policy", "signature", "awsaccesskeyid", "x-amz-signature"})
_FREE_PREFIXES = ("x-ignore-", "x-amz-checksum-")

_V4_FIELDS = ("x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature")
_V2_FIELDS = ("awsaccesskeyid", "signature")

_is_expiration = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z", re.ASCII).fullmatch
# JSON knows no `\$`, but policies write a literal dollar so.
_escape = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Match:
    """A condition on one field: equal to `value`, or beginning with it."""

    name: str
    value: str
    is_prefix: bool

    def holds(self, fields: Mapping[str, str]) -> bool:
        actual = fields.get(self.name)
        if not self.is_prefix:
            return actual == self.value
        if actual is None:
            return not self.value
        if self.name == "content-type":
            return all(item.strip().startswith(self.value) for item in actual.split(","))
        return actual.startswith(self.value)

    def __str__(self) -> str:
        operator = "starts-with" if self.is_prefix else "eq"
        return json.dumps([operator, f"${self.name}", self.value])


@dataclass(frozen=True, slots=True)
class _SizeRange:
    """The condition content-length-range."""

    min_bytes: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class _Policy:
    expires_ns: int
    matches: tuple[_Match, ...]
    sizes: tuple[_SizeRange, ...]


def verify_post(
    form: PostForm, control: CredentialSource, now_ns: int, settings: Settings, bucket: str
) -> Identity:
    """Who posts, once the form's signature holds and its policy allows the form; ANONYMOUS if it has neither.

    The policy's size limits are set on the form's file and enforced while it is read. Raises the S3 signature errors,
    InvalidPostField, InvalidPolicyDocument, AccessDenied.
    """
    fields = form.fields
    is_v4 = not {"x-amz-signature", "x-amz-credential", "x-amz-algorithm"}.isdisjoint(fields)
    if not is_v4 and not {"policy", *_V2_FIELDS} & fields.keys():
        return ANONYMOUS
    for name in ("policy", *(_V4_FIELDS if is_v4 else _V2_FIELDS)):
        if name not in fields:
            raise missing_field(name)
    credential = _verify_v4(fields, control, settings) if is_v4 else _verify_v2(fields, control)
    if fields.get("x-amz-security-token"):
        raise InvalidToken
    policy = _parse_policy(fields["policy"])
    _check_policy(policy, {**fields, "bucket": bucket}, now_ns)
    for sizes in policy.sizes:
        form.file.limit(sizes.min_bytes, sizes.max_bytes)
    return Identity(credential.user, credential.access_key)


def _verify_v4(
    fields: Mapping[str, str], control: CredentialSource, settings: Settings
) -> Credential:
    if fields["x-amz-algorithm"] != sigv4.ALGORITHM:
        raise InvalidPostField(
            'X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"',
            name="x-amz-algorithm",
            value=fields["x-amz-algorithm"],
        )
    timestamp = fields["x-amz-date"]
    scope = sigv4.parse_scope(fields["x-amz-credential"])
    if scope is None or parse_basic_time(timestamp) is None:
        name = "x-amz-credential" if scope is None else "x-amz-date"
        raise InvalidPostField(f"Invalid {name}", name=name, value=fields[name])
    sigv4.check_scope(scope, timestamp, settings, InvalidPostField)
    credential = sigv4.find_credential(control, scope.access_key)
    key = sigv4.signing_key(credential.secret_key, scope.date, scope.region)
    expected = sigv4.sign(key, fields["policy"])
    _check_signature(expected, fields["x-amz-signature"], fields["policy"], scope.access_key)
    return credential


def _verify_v2(fields: Mapping[str, str], control: CredentialSource) -> Credential:
    access_key = AccessKey(fields["awsaccesskeyid"])
    credential = sigv4.find_credential(control, access_key)
    expected = sigv2.sign(credential.secret_key, fields["policy"].encode())
    _check_signature(expected, fields["signature"], fields["policy"], access_key)
    return credential


def _check_signature(expected: str, provided: str, policy: str, access_key: AccessKey) -> None:
    if not sigv4.is_same(expected, provided):
        raise SignatureDoesNotMatch(
            access_key=access_key, string_to_sign=policy, signature_provided=provided
        )


def _check_policy(policy: _Policy, fields: Mapping[str, str], now_ns: int) -> None:
    if now_ns >= policy.expires_ns:
        raise AccessDenied("Invalid according to Policy: Policy expired.")
    for match in policy.matches:
        if not match.holds(fields):
            raise AccessDenied(f"Invalid according to Policy: Policy Condition failed: {match}")
    covered = {match.name for match in policy.matches} | _FREE_FIELDS
    extra = [name for name in fields if name not in covered and not name.startswith(_FREE_PREFIXES)]
    if extra:
        raise AccessDenied(
            f"Invalid according to Policy: Extra input fields: {', '.join(sorted(extra))}"
        )


def _parse_policy(encoded: str) -> _Policy:
    try:
        text = base64.b64decode(encoded).decode("utf-8")
        document = json.loads(_escape.sub(lambda m: "$" if m[1] == "$" else m[0], text))
    except (ValueError, binascii.Error, RecursionError):
        raise InvalidPolicyDocument("Invalid Policy: Invalid JSON.") from None
    if not isinstance(document, dict):
        raise InvalidPolicyDocument("Invalid Policy: Invalid JSON.")
    conditions = document.get("conditions")
    if not isinstance(conditions, list):
        raise InvalidPolicyDocument("Invalid Policy: Policy missing conditions.")
    parsed = [_parse_condition(condition) for condition in conditions]
    return _Policy(
        _parse_expiration(document.get("expiration")),
        tuple(item for item in parsed if isinstance(item, _Match)),
        tuple(item for item in parsed if isinstance(item, _SizeRange)),
    )


def _parse_expiration(value: object) -> int:
    if value is None:
        raise InvalidPolicyDocument("Invalid Policy: Policy missing expiration.")
    if isinstance(value, str) and _is_expiration(value):
        try:
            return int(datetime.fromisoformat(value).timestamp()) * NS_PER_S
        except ValueError:
            pass
    raise InvalidPolicyDocument(f"Invalid Policy: Invalid 'expiration' value: '{value}'")


def _parse_condition(condition: object) -> _Match | _SizeRange:
    if isinstance(condition, dict):
        if len(condition) != 1:
            raise InvalidPolicyDocument(
                "Invalid Policy: Invalid Simple-Condition: Simple-Conditions must have exactly one "
                "property specified."
            )
        ((name, value),) = condition.items()
        if isinstance(value, str):
            return _Match(name.lower(), value, is_prefix=False)
    elif isinstance(condition, list) and len(condition) == 3 and isinstance(condition[0], str):
        operator, first, second = condition
        operator = operator.lower()
        if operator == "content-length-range":
            return _parse_size_range(first, second)
        is_match = operator in ("eq", "starts-with")
        if is_match and isinstance(first, str) and first[:1] == "$" and isinstance(second, str):
            return _Match(first[1:].lower(), second, is_prefix=operator == "starts-with")
    raise InvalidPolicyDocument(f"Invalid Policy: Invalid condition: {json.dumps(condition)}")


def _parse_size_range(first: object, second: object) -> _SizeRange:
    try:
        least, most = _whole_number(first), _whole_number(second)
    except ValueError:
        raise InvalidPolicyDocument(
            "Invalid Policy: Invalid content-length-range: expected two whole numbers."
        ) from None
    return _SizeRange(least, most)


def _whole_number(value: object) -> int:
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)
