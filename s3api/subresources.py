"""Owns the list of S3's subresources: the query parameters that turn a request into another operation.

All of Amazon S3 is listed, served or not, so that a request for what is not served is refused as NotImplemented and
never mistaken for the plain operation. A test holds the list against botocore's model.
"""

from __future__ import annotations

from collections.abc import Mapping

from s3api.call import Level


def _methods(table: Mapping[str, str]) -> dict[str, frozenset[str]]:
    return {name: frozenset(methods.split()) for name, methods in table.items()}


BUCKET = _methods(
    {
        "abac": "GET PUT",
        "accelerate": "GET PUT",
        "acl": "GET PUT",
        "analytics": "GET PUT DELETE",
        "cors": "GET PUT DELETE",
        "delete": "POST",
        "encryption": "GET PUT DELETE",
        "intelligent-tiering": "GET PUT DELETE",
        "inventory": "GET PUT DELETE",
        "lifecycle": "GET PUT DELETE",
        "list-type": "GET",
        "location": "GET",
        "logging": "GET PUT",
        "metadataAnnotationTable": "PUT",
        "metadataConfiguration": "GET POST DELETE",
        "metadataInventoryTable": "PUT",
        "metadataJournalTable": "PUT",
        "metadataTable": "GET POST DELETE",
        "metrics": "GET PUT DELETE",
        "notification": "GET PUT",
        "object-lock": "GET PUT",
        "ownershipControls": "GET PUT DELETE",
        "policy": "GET PUT DELETE",
        "policyStatus": "GET",
        "publicAccessBlock": "GET PUT DELETE",
        "replication": "GET PUT DELETE",
        "requestPayment": "GET PUT",
        "session": "GET",
        "tagging": "GET PUT DELETE",
        "uploads": "GET",
        "versioning": "GET PUT",
        "versions": "GET",
        "website": "GET PUT DELETE",
    }
)

OBJECT = _methods(
    {
        "acl": "GET PUT",
        "annotation": "GET PUT DELETE",
        "attributes": "GET",
        "encryption": "PUT",
        "legal-hold": "GET PUT",
        "renameObject": "PUT",
        "restore": "POST",
        "retention": "GET PUT",
        "select": "POST",
        "tagging": "GET PUT DELETE",
        "torrent": "GET",
        "uploadId": "GET PUT POST DELETE",
        "uploads": "POST",
    }
)

BY_LEVEL: Mapping[Level, Mapping[str, frozenset[str]]] = {
    Level.SERVICE: {},
    Level.BUCKET: BUCKET,
    Level.OBJECT: OBJECT,
}
"""Level → subresource → the methods that S3 knows for it."""

NAMES = frozenset(BUCKET) | frozenset(OBJECT)
