"""Owns CORS: the configuration of a bucket, and the preflights that browsers ask before they send."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree.ElementTree import Element

from core.configs.cors import CorsRule
from core.cors import find_rule
from core.errors import AmbiguousBucketName, EntityTooLarge, NoSuchBucket
from core.names import BucketName
from s3api.call import Call, Response
from s3api.cors import REQUEST_METHOD, rule_headers
from s3api.protocol_errors import (
    BadPreflight,
    InvalidRequest,
    MalformedXML,
    NoSuchCors,
    PreflightForbidden,
)
from s3api.tokens import is_token
from s3api.xml import XML_TYPE, children, document, element, optional, parse, texts

MAX_RULES = 100
MAX_CONFIGURATION_BYTES = 64 * 1024
_MAX_ID = 255
_METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD")
_MAX_REQUESTED_HEADERS = 100
"""Each is compared with every pattern that a rule has, of which there may be thousands."""

_SECONDS = re.compile(r"[0-9]{1,10}\Z")
_ORIGIN = re.compile(r"[!-~]+\Z")
_NOT_ALLOWED = (
    "CORSResponse: This CORS request is not allowed. This is usually because the evalution of "
    "Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are "
    "not whitelisted by the resource's CORS spec."
)


# --- preflights --------------------------------------------------------------------------------------------------


async def preflight(call: Call) -> Response:
    """OPTIONS, on a bucket or a key that need not exist. Raises BadPreflight, PreflightForbidden."""
    headers = call.request.headers
    origin = headers.get("origin")
    if not origin:
        raise BadPreflight
    method = headers.get(REQUEST_METHOD)
    if method not in _METHODS:
        raise BadPreflight(reason=f"Invalid Access-Control-Request-Method: {method or 'null'}")
    resource = "OBJECT" if call.request.key else "BUCKET"
    try:
        bucket = call.store.find_bucket(BucketName(call.request.bucket or ""))
    except (NoSuchBucket, AmbiguousBucketName):
        reason = "CORSResponse: Bucket not found"
        raise PreflightForbidden(method=method, resource=resource, reason=reason) from None
    if not bucket.props.cors:
        raise PreflightForbidden(method=method, resource=resource)
    wanted = _requested_headers(headers.get("access-control-request-headers", ""))
    rule = find_rule(bucket.props.cors, origin, method, wanted)
    if rule is None:
        raise PreflightForbidden(method=method, resource=resource, reason=_NOT_ALLOWED)
    answer = rule_headers(rule, origin)
    if wanted:
        answer.append((b"access-control-allow-headers", ", ".join(wanted).encode()))
    return Response(200, answer)


def _requested_headers(value: str) -> list[str]:
    """Raises BadPreflight for what is no list of header names."""
    names = [name.strip().lower() for name in value.split(",") if name.strip()]
    if len(names) > _MAX_REQUESTED_HEADERS or not all(map(is_token, names)):
        raise BadPreflight(reason="Invalid Access-Control-Request-Headers")
    return names


# --- configuration -----------------------------------------------------------------------------------------------


async def get_bucket_cors(call: Call) -> Response:
    rules = call.target_bucket.props.cors
    if not rules:
        raise NoSuchCors(bucket=call.target_bucket.name)
    return Response(200, [XML_TYPE], document("CORSConfiguration", *map(_rule_element, rules)))


async def put_bucket_cors(call: Call) -> Response:
    size_bytes = len(call.document)
    if size_bytes > MAX_CONFIGURATION_BYTES:
        raise EntityTooLarge(size_bytes=size_bytes, max_bytes=MAX_CONFIGURATION_BYTES)
    rules = await parse(call.document, "CORSConfiguration", _rules)
    await call.store.update_bucket_props(
        call.target_bucket, lambda props: replace(props, cors=rules)
    )
    return Response(200)


async def delete_bucket_cors(call: Call) -> Response:
    await call.store.update_bucket_props(call.target_bucket, lambda props: replace(props, cors=()))
    return Response(204)


def _rules(root: Element) -> tuple[CorsRule, ...]:
    rules = tuple(_rule(node) for node in children(root, "CORSRule"))
    if not 1 <= len(rules) <= MAX_RULES:
        raise MalformedXML(reason=f"{len(rules)} rules")
    return rules


def _rule(node: Element) -> CorsRule:
    """Raises MalformedXML, InvalidRequest."""
    methods, origins = _all(node, "AllowedMethod"), _all(node, "AllowedOrigin")
    if not methods or not origins:
        raise MalformedXML(reason="a rule without methods or origins")
    for method in methods:
        if method not in _METHODS:
            _refuse(f"Found unsupported HTTP method in CORS config. Unsupported method is {method}")
    headers, exposed = _all(node, "AllowedHeader"), _all(node, "ExposeHeader")
    _check_wildcards("AllowedOrigin", origins)
    _check_wildcards("AllowedHeader", headers)
    for name in exposed:
        if "*" in name:
            _refuse(
                f'ExposeHeader "{name}" contains wildcard. We currently do not support wildcard '
                "for ExposeHeader."
            )
        if not is_token(name):
            _refuse(f'ExposeHeader "{name}" is not the name of a header')
    said = texts(node)
    max_age, rule_id = said.get("MaxAgeSeconds"), said.get("ID", "")
    if max_age is not None and not _SECONDS.match(max_age.strip()):
        raise MalformedXML(reason="MaxAgeSeconds is no number")
    if len(rule_id) > _MAX_ID:
        _refuse(f"ID length should not exceed allowed limit of {_MAX_ID}")
    return CorsRule(
        origins, methods, headers, exposed, None if max_age is None else int(max_age), rule_id
    )


def _all(node: Element, name: str) -> tuple[str, ...]:
    return tuple((child.text or "").strip() for child in children(node, name))


def _check_wildcards(kind: str, patterns: tuple[str, ...]) -> None:
    for pattern in patterns:
        if pattern.count("*") > 1:
            _refuse(f'{kind} "{pattern}" can not have more than one wildcard.')
        if not _ORIGIN.match(pattern):
            _refuse(f'{kind} "{pattern}" is not valid.')


def _refuse(reason: str) -> None:
    raise InvalidRequest(reason=reason)


def _rule_element(rule: CorsRule) -> str:
    said = [
        optional("ID", rule.rule_id),
        *(element("AllowedMethod", method) for method in rule.methods),
        *(element("AllowedOrigin", origin) for origin in rule.origins),
        *(element("AllowedHeader", name) for name in rule.headers),
        *(element("ExposeHeader", name) for name in rule.exposed_headers),
        optional("MaxAgeSeconds", rule.max_age_s),
    ]
    return f"<CORSRule>{''.join(said)}</CORSRule>"
