"""Owns CORS on the wire: the headers by which a browser learns that a page may see an answer.

A request without Origin comes from no page of another origin, and costs nothing here.
"""

from __future__ import annotations

from core.configs.cors import CorsRule
from core.cors import allows_any_origin, find_rule
from core.errors import AmbiguousBucketName, NoSuchBucket
from core.names import BucketName
from core.protocols import ObjectService
from s3api.call import Request
from s3api.response_headers import HeaderList

REQUEST_METHOD = "access-control-request-method"
_VARY = (b"vary", b"Origin, Access-Control-Request-Headers, Access-Control-Request-Method")


def answer_headers(store: ObjectService, request: Request, origin: str) -> HeaderList:
    """What the answer to an actual request of a page of `origin` says beside all else, errors too.

    As S3 does it, a method that the request names as a preflight would is what the rules are asked for.
    """
    try:
        rules = store.find_bucket(BucketName(request.bucket or "")).props.cors
    except (NoSuchBucket, AmbiguousBucketName):
        return []
    if not rules or request.method == "OPTIONS":
        return []
    rule = find_rule(rules, origin, request.headers.get(REQUEST_METHOD) or request.method)
    return [_VARY] if rule is None else rule_headers(rule, origin)


def rule_headers(rule: CorsRule, origin: str) -> HeaderList:
    """What a rule says to pages of an origin that it allows."""
    if allows_any_origin(rule):
        headers = [(b"access-control-allow-origin", b"*")]
    else:
        headers = [
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-allow-credentials", b"true"),
        ]
    headers.append((b"access-control-allow-methods", ", ".join(rule.methods).encode()))
    if rule.exposed_headers:
        names = ", ".join(rule.exposed_headers).encode()
        headers.append((b"access-control-expose-headers", names))
    if rule.max_age_s is not None:
        headers.append((b"access-control-max-age", b"%d" % rule.max_age_s))
    headers.append(_VARY)
    return headers
