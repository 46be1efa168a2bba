"""Owns the website configuration of a bucket: get, put, delete (its serving is s3api.website's)."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree.ElementTree import Element

from core.configs.website import Redirect, RoutingRule, Website
from core.errors import EntityTooLarge, InvalidArgument
from core.names import MAX_KEY_BYTES
from s3api.call import Call, Response
from s3api.protocol_errors import InvalidRequest, MalformedXML, NoSuchWebsite
from s3api.xml import XML_TYPE, children, document, element, first_child, optional, parse, texts

MAX_RULES = 50
MAX_CONFIGURATION_BYTES = 128 * 1024
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252})(:[0-9]{1,5})?\Z")
_CODE = re.compile(r"[0-9]{3}\Z")


async def get_bucket_website(call: Call) -> Response:
    website = call.target_bucket.props.website
    if website is None:
        raise NoSuchWebsite(bucket=call.target_bucket.name)
    return Response(200, [XML_TYPE], document("WebsiteConfiguration", *_elements(website)))


async def put_bucket_website(call: Call) -> Response:
    size_bytes = len(call.document)
    if size_bytes > MAX_CONFIGURATION_BYTES:
        raise EntityTooLarge(size_bytes=size_bytes, max_bytes=MAX_CONFIGURATION_BYTES)
    website = await parse(call.document, "WebsiteConfiguration", _website)
    await call.store.update_bucket_props(
        call.target_bucket, lambda props: replace(props, website=website)
    )
    return Response(200)


async def delete_bucket_website(call: Call) -> Response:
    await call.store.update_bucket_props(
        call.target_bucket, lambda props: replace(props, website=None)
    )
    return Response(204)


# --- reading -----------------------------------------------------------------------------------------------------


def _website(root: Element) -> Website:
    """Raises MalformedXML, InvalidRequest, InvalidArgument."""
    redirect_all = first_child(root, "RedirectAllRequestsTo")
    index, error = first_child(root, "IndexDocument"), first_child(root, "ErrorDocument")
    routing = first_child(root, "RoutingRules")
    if redirect_all is not None:
        if (index, error, routing) != (None, None, None):
            reason = (
                "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules."
            )
            raise InvalidRequest(reason=reason)
        said = texts(redirect_all)
        return Website(redirect_all=Redirect(_host(said, is_needed=True), _protocol(said)))
    suffix = "" if index is None else texts(index).get("Suffix", "")
    if not suffix or "/" in suffix:
        _refuse("IndexDocument", suffix, "The IndexDocument Suffix is not well formed")
    error_key = "" if error is None else texts(error).get("Key", "")
    if error is not None and not error_key:
        _refuse("ErrorDocument", error_key, "The ErrorDocument Key is not well formed")
    _check_length("IndexDocument", suffix)
    _check_length("ErrorDocument", error_key)
    return Website(suffix, error_key, rules=() if routing is None else _rules(routing))


def _rules(routing: Element) -> tuple[RoutingRule, ...]:
    rules = tuple(_rule(node) for node in children(routing, "RoutingRule"))
    if not rules:
        raise MalformedXML(reason="no routing rules")
    if len(rules) > MAX_RULES:
        reason = f"{len(rules)} routing rules provided, the number of routing rules in a website "
        raise InvalidRequest(reason=f"{reason}configuration is limited to {MAX_RULES}.")
    return rules


def _rule(node: Element) -> RoutingRule:
    redirect, condition = first_child(node, "Redirect"), first_child(node, "Condition")
    if redirect is None:
        raise MalformedXML(reason="a routing rule without redirect")
    asked = {} if condition is None else texts(condition)
    if condition is not None and not asked:
        reason = "Condition cannot be empty. To redirect all requests without a condition, the "
        raise InvalidRequest(reason=f"{reason}condition element shouldn't be present.")
    prefix, error = asked.get("KeyPrefixEquals", ""), asked.get("HttpErrorCodeReturnedEquals")
    _check_length("KeyPrefixEquals", prefix)
    error_code = None if error is None else _code(error, "error", 400, 599, "4XX or 5XX")
    return RoutingRule(_redirect(redirect), prefix, error_code)


def _redirect(node: Element) -> Redirect:
    said = texts(node)
    if not said:
        raise MalformedXML(reason="an empty redirect")
    prefix, key = said.get("ReplaceKeyPrefixWith"), said.get("ReplaceKeyWith")
    if prefix is not None and key is not None:
        reason = "You can only define ReplaceKeyPrefix or ReplaceKey but not both."
        raise InvalidRequest(reason=reason)
    for text in (prefix, key):
        _check_length("Redirect", text or "")
    code = said.get("HttpRedirectCode")
    return Redirect(
        _host(said),
        _protocol(said),
        prefix,
        key,
        0 if code is None else _code(code, "redirect", 301, 399, "3XX except 300"),
    )


def _code(text: str, kind: str, least: int, most: int, valid: str) -> int:
    if not _CODE.match(text.strip()) or not least <= int(text) <= most:
        reason = f"The provided HTTP {kind} code ({text}) is not valid. Valid codes are {valid}."
        raise InvalidRequest(reason=reason)
    return int(text)


def _host(said: dict[str, str], *, is_needed: bool = False) -> str:
    """A host name, as it will stand in a Location header."""
    host = said.get("HostName", "").strip()
    if (host or is_needed) and not _HOST.match(host):
        _refuse("HostName", host, "The HostName is not well formed")
    return host


def _protocol(said: dict[str, str]) -> str:
    protocol = said.get("Protocol", "").strip()
    if protocol not in ("", "http", "https"):
        reason = "Invalid protocol, protocol can be http or https. If not defined the protocol "
        raise InvalidRequest(reason=f"{reason}will be selected automatically.")
    return protocol


def _check_length(name: str, text: str) -> None:
    if len(text.encode()) > MAX_KEY_BYTES:
        _refuse(name, text[:100], f"The {name} is longer than any key")


def _refuse(name: str, value: str, reason: str) -> None:
    raise InvalidArgument(name=name, value=value, reason=reason)


# --- showing -----------------------------------------------------------------------------------------------------


def _elements(website: Website) -> list[str]:
    if website.redirect_all is not None:
        return [f"<RedirectAllRequestsTo>{_target(website.redirect_all)}</RedirectAllRequestsTo>"]
    found = [f"<IndexDocument>{element('Suffix', website.index_suffix)}</IndexDocument>"]
    if website.error_key:
        found.append(f"<ErrorDocument>{element('Key', website.error_key)}</ErrorDocument>")
    if website.rules:
        found.append(f"<RoutingRules>{''.join(map(_rule_element, website.rules))}</RoutingRules>")
    return found


def _target(redirect: Redirect) -> str:
    return optional("HostName", redirect.host) + optional("Protocol", redirect.protocol)


def _rule_element(rule: RoutingRule) -> str:
    condition = optional("KeyPrefixEquals", rule.prefix) + optional(
        "HttpErrorCodeReturnedEquals", rule.error_code
    )
    redirect = rule.redirect
    said = [_target(redirect)]
    if redirect.replace_prefix is not None:
        said.append(element("ReplaceKeyPrefixWith", redirect.replace_prefix))
    if redirect.replace_key is not None:
        said.append(element("ReplaceKeyWith", redirect.replace_key))
    said.append(optional("HttpRedirectCode", redirect.code or None))
    shown = f"<Condition>{condition}</Condition>" if condition else ""
    return f"<RoutingRule>{shown}<Redirect>{''.join(said)}</Redirect></RoutingRule>"
