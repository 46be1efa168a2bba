"""Owns PostObject: the upload of one file by a browser's form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from core.errors import Denied, PreconditionFailed
from core.events import with_origin
from core.names import ObjectKey, parse_object_key
from core.types import MAX_PUT_BYTES, Identity, ObjectAttributes, ObjectInfo
from s3api.auth.post_form import PostForm, read_post_form
from s3api.call import Call, Response
from s3api.encryption import read_encryption, written_encryption_headers
from s3api.expiration import expiration_headers
from s3api.headers import read_attributes, write_conditions
from s3api.operations.guarded import authorize_extras
from s3api.operations.tagging import read_object_tags
from s3api.origins import origin_of
from s3api.response_headers import HeaderList, checksum_headers, quoted_etag, written_headers
from s3api.xml import XML_TYPE, document, echo, element

_SUCCESS_STATUSES = {"200": 200, "201": 201}
_DEFAULT_STATUS = 204


async def post_object(call: Call) -> Response:
    """The key is known only from the form, and so is the caller: both are checked before the file is read."""
    form = await _read_form(call)
    bucket = call.target_bucket
    call.identity = _authenticate(call, form)
    if bucket.origin is not None:
        # Only now is it known who asks.
        bucket = with_origin(bucket, origin_of(call.request, call.identity, call.settings))
    call.key = key = parse_object_key(form.fields["key"].encode())
    fields = _as_headers(form.fields)
    if tagging := form.fields.get("tagging"):
        # Here the tags are a document.
        tags = await read_object_tags(tagging.encode())
        fields["x-amz-tagging"] = urlencode(tags)
    assert call.authorize is not None
    await call.authorize(call, "s3:PutObject", key, fields=fields)
    attributes = read_attributes(call, fields)
    await _authorize_extras(call, attributes, fields)
    encryption = read_encryption(call, fields)
    form.file.limit(0, MAX_PUT_BYTES)
    info = await call.store.put(
        bucket,
        key,
        form.file,
        attributes=attributes,
        conditions=write_conditions(fields),
        encryption=encryption,
    )
    answer = _answer(call, form, key, info)
    answer.headers += written_encryption_headers(info.encryption, encryption)
    return answer


async def _read_form(call: Call) -> PostForm:
    content_type = call.request.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/form-data"):
        raise PreconditionFailed(
            condition="Bucket POST must be of the enclosure-type multipart/form-data"
        )
    assert call.raw_body is not None
    return await read_post_form(call.raw_body, content_type)


def _authenticate(call: Call, form: PostForm) -> Identity:
    """Who posts. Only the form's own signature counts: it alone covers what the form asks for."""
    assert call.authenticate_form is not None
    identity = call.authenticate_form(form, call.target_bucket.name, call.clock.now_ns())
    expected_owner = form.fields.get("x-amz-expected-bucket-owner")
    if expected_owner is not None and expected_owner != call.target_bucket.owner.user_id:
        raise Denied(reason="bucket owner differs from x-amz-expected-bucket-owner")
    return identity


async def _authorize_extras(
    call: Call, attributes: ObjectAttributes, fields: Mapping[str, str]
) -> None:
    """Whom an ACL lets post an object may tag it, as ceph/s3-tests has it: no ACL could allow that by itself. Where
    policies decide, they decide on tags too; locks always need a permission of their own. Raises Denied."""
    user = call.identity.user
    has_policies = bool(call.target_bucket.props.policy or (user is not None and user.policies))
    asked = attributes if has_policies else replace(attributes, tags={})
    await authorize_extras(call, asked, fields)


def _as_headers(fields: Mapping[str, str]) -> dict[str, str]:
    """Form fields as the headers that they stand for: text as UTF-8, one latin-1 character a byte."""
    found = {name: value.encode().decode("latin-1") for name, value in fields.items()}
    if "acl" in found:
        found["x-amz-acl"] = found.pop("acl")
    return found


def _answer(call: Call, form: PostForm, key: ObjectKey, info: ObjectInfo) -> Response:
    """What the form asks to be answered: a redirect, an empty 200 or 204, or 201 with a document."""
    fields = form.fields
    bucket = call.target_bucket.name
    headers: HeaderList = [(b"etag", quoted_etag(info)), *checksum_headers(info.checksum)]
    if call.target_bucket.props.lifecycle is not None:
        headers += expiration_headers(call, info)
    headers += written_headers(info)
    redirect = fields.get("success_action_redirect") or fields.get("redirect")
    if redirect and (target := _redirect_target(redirect, bucket, key, info)):
        return Response(303, [(b"location", target), *headers])
    location = _location(call, key)
    headers.append((b"location", location.encode()))
    status = _SUCCESS_STATUSES.get(fields.get("success_action_status", ""), _DEFAULT_STATUS)
    if status != 201:
        return Response(status, headers)
    body = document(
        "PostResponse",
        element("Location", location),
        element("Bucket", bucket),
        echo("Key", key),
        element("ETag", f'"{info.etag}"'),
        namespace=False,
    )
    return Response(201, [XML_TYPE, *headers], body)


def _redirect_target(url: str, bucket: str, key: ObjectKey, info: ObjectInfo) -> bytes:
    """Where a form's sender is sent, told what was stored; empty for what is no URL, which S3 ignores."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return b""
    if parts.scheme not in ("http", "https") or not parts.netloc or not url.isprintable():
        return b""
    stored = urlencode({"bucket": bucket, "key": key, "etag": f'"{info.etag}"'})
    query = f"{parts.query}&{stored}" if parts.query else stored
    return urlunsplit(parts._replace(query=query)).encode()


def _location(call: Call, key: ObjectKey) -> str:
    request = call.request
    path = quote(key, safe="/-_.~")
    if not request.is_virtual_host:
        path = f"{call.target_bucket.name}/{path}"
    return f"{request.scheme}://{request.host}/{path}"
