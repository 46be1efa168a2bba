"""Owns GetBucketVersioning and PutBucketVersioning (versions are listed in s3api.operations.listing)."""

from __future__ import annotations

from dataclasses import replace

from core.configs.versioning import Versioning
from core.errors import InvalidBucketState
from core.types import BucketProps
from s3api.call import Call, Response
from s3api.protocol_errors import (
    IllegalVersioningConfiguration,
    MalformedXML,
    MfaDeleteNotImplemented,
)
from s3api.xml import XML_TYPE, document, optional, parse, texts


async def get_bucket_versioning(call: Call) -> Response:
    """An empty configuration: versioning was never enabled on the bucket."""
    status = call.target_bucket.props.versioning.value
    return Response(
        200, [XML_TYPE], document("VersioningConfiguration", optional("Status", status))
    )


async def put_bucket_versioning(call: Call) -> Response:
    fields = await parse(call.document, "VersioningConfiguration", texts)
    wanted = _status(fields.get("Status", ""))
    _refuse_mfa_delete(fields.get("MfaDelete", ""))
    name = call.target_bucket.name

    def change(props: BucketProps) -> BucketProps:
        if wanted is Versioning.SUSPENDED and props.object_lock is not None:
            reason = (
                "An Object Lock configuration is present on this bucket, so the versioning state "
                "cannot be changed."
            )
            raise InvalidBucketState(bucket=name, reason=reason)
        return replace(props, versioning=wanted)

    await call.store.update_bucket_props(call.target_bucket, change)
    return Response(200)


def _status(text: str) -> Versioning:
    """Raises IllegalVersioningConfiguration, MalformedXML."""
    if not text:
        raise IllegalVersioningConfiguration
    try:
        return Versioning(text)
    except ValueError:
        raise MalformedXML(reason=f"versioning status {text}") from None


def _refuse_mfa_delete(text: str) -> None:
    """Raises MfaDeleteNotImplemented: there are no devices whose codes could be asked for."""
    if text == "Enabled":
        raise MfaDeleteNotImplemented(header="MfaDelete")
    if text not in ("", "Disabled"):
        raise MalformedXML(reason=f"MfaDelete {text}")
