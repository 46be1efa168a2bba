"""Owns the configuration of a bucket's default encryption."""

from __future__ import annotations

from dataclasses import replace
from xml.etree.ElementTree import Element

from core.configs.encryption import DefaultEncryption
from core.encryption import EncryptionMode
from core.errors import InvalidArgument
from s3api.call import Call, Response
from s3api.protocol_errors import (
    MalformedXML,
    NoDefaultEncryption,
    NotImplementedByWeir,
)
from s3api.xml import XML_TYPE, children, document, element, flag, optional, parse, texts

_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_CUSTOMER_KEYS = "SSE-C"
_NOTHING = "NONE"
_MAX_KEY_ID = 2048


async def get_bucket_encryption(call: Call) -> Response:
    default = call.target_bucket.props.encryption
    if default is None:
        raise NoDefaultEncryption(bucket=call.target_bucket.name)
    apply = ""
    if default.mode is not None:
        algorithm = element("SSEAlgorithm", default.mode.value)
        key_id = optional("KMSMasterKeyID", default.kms_key_id)
        apply = f"<ApplyServerSideEncryptionByDefault>{algorithm}{key_id}</ApplyServerSideEncryptionByDefault>"
    blocked = ""
    if default.blocks_customer_keys:
        blocked = (
            f"<BlockedEncryptionTypes>{element('EncryptionType', _CUSTOMER_KEYS)}"
            "</BlockedEncryptionTypes>"
        )
    rule = f"<Rule>{apply}{flag('BucketKeyEnabled', default.uses_bucket_key)}{blocked}</Rule>"
    return Response(200, [XML_TYPE], document("ServerSideEncryptionConfiguration", rule))


async def put_bucket_encryption(call: Call) -> Response:
    """A key that is named need not be there yet, as in S3."""
    default = await parse(call.document, "ServerSideEncryptionConfiguration", _default)
    await call.store.update_bucket_props(
        call.target_bucket, lambda props: replace(props, encryption=default)
    )
    return Response(200)


async def delete_bucket_encryption(call: Call) -> Response:
    await call.store.update_bucket_props(
        call.target_bucket, lambda props: replace(props, encryption=None)
    )
    return Response(204)


def _default(configuration: Element) -> DefaultEncryption:
    """Raises MalformedXML, InvalidArgument, NotImplementedByWeir."""
    rules = list(children(configuration, "Rule"))
    if len(rules) != 1:
        raise MalformedXML(reason=f"{len(rules)} rules")
    rule = rules[0]
    given = texts(rule)
    bucket_key = given.get("BucketKeyEnabled", "false").strip().lower()
    if bucket_key not in _FLAGS:
        raise MalformedXML(reason=f"BucketKeyEnabled is {bucket_key!r}")
    applied = list(children(rule, "ApplyServerSideEncryptionByDefault"))
    if len(applied) > 1:
        raise MalformedXML(reason="several defaults")
    mode, key_id = _applied(texts(applied[0])) if applied else (None, "")
    return DefaultEncryption(mode, key_id, _FLAGS[bucket_key], _blocks_customer_keys(rule))


def _applied(fields: dict[str, str]) -> tuple[EncryptionMode, str]:
    algorithm = fields.get("SSEAlgorithm", "").strip()
    key_id = fields.get("KMSMasterKeyID", "").strip()
    if algorithm == "aws:kms:dsse":
        raise NotImplementedByWeir(header="SSEAlgorithm")
    if algorithm not in (EncryptionMode.S3, EncryptionMode.KMS):
        raise MalformedXML(reason=f"SSEAlgorithm is {algorithm!r}")
    if key_id and algorithm != EncryptionMode.KMS:
        reason = "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms"
        raise InvalidArgument(name="KMSMasterKeyID", value=key_id, reason=reason)
    if len(key_id) > _MAX_KEY_ID or not key_id.isascii() or not key_id.isprintable():
        raise InvalidArgument(name="KMSMasterKeyID", value=key_id[:64], reason="Invalid keyId")
    return EncryptionMode(algorithm), key_id


def _blocks_customer_keys(rule: Element) -> bool:
    types = [
        (each.text or "").strip()
        for blocked in children(rule, "BlockedEncryptionTypes")
        for each in children(blocked, "EncryptionType")
    ]
    if not set(types) <= {_CUSTOMER_KEYS, _NOTHING} or len(set(types)) > 1:
        raise MalformedXML(reason=f"EncryptionType is {types!r}")
    return _CUSTOMER_KEYS in types
