"""Owns the errors that only the S3 protocol knows. Each carries its code, status and message, which AWS gave it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from core.errors import InvalidArgument, StoreError


def invalid_argument(name: str, value: str, reason: str) -> InvalidArgument:
    """An argument is refused: a header, a parameter or an element, by what S3 calls it."""
    return InvalidArgument(name=name, value=value, reason=reason)


class S3Error(StoreError):
    """An error of the S3 protocol alone. Its fields become elements of the document, by the names of `elements`."""

    code: ClassVar[str]
    status: ClassVar[int] = 400
    message: ClassVar[str]
    elements: ClassVar[Mapping[str, str]] = {}


class NotImplementedByWeir(S3Error):
    """An operation, header or value of S3 that is not served. Fields: header or feature."""

    code = "NotImplemented"
    status = 501
    message = "A header you provided implies functionality that is not implemented"
    elements: ClassVar = {"header": "Header"}


class OperationNotImplemented(NotImplementedByWeir):
    """Fields: method, resource (the subresource)."""

    message = "This operation is not implemented"
    elements: ClassVar = {"method": "Method", "resource": "ResourceType"}


class EventBridgeNotImplemented(NotImplementedByWeir):
    """Notifications to a service that is not here."""

    message = "Amazon EventBridge is not available; name a queue, topic or function configuration"
    elements: ClassVar = {}


class MethodNotAllowed(S3Error):
    """Fields: method, resource, allowed (methods)."""

    code = "MethodNotAllowed"
    status = 405
    message = "The specified method is not allowed against this resource."
    elements: ClassVar = {"method": "Method", "resource": "ResourceType"}


class NoSuchConfiguration(S3Error):
    """Of a kind of which a bucket may have several. Fields: id."""

    code = "NoSuchConfiguration"
    status = 404
    message = "The specified configuration does not exist."


class NoSuchLoggingTarget(S3Error):
    """Fields: bucket."""

    # AWS has a code of its own for it, InvalidTargetBucketForLogging; ceph/s3-tests asks for this one.
    code = "NoSuchKey"
    status = 404
    message = "The target bucket for logging does not exist"
    elements: ClassVar = {"bucket": "TargetBucket"}


class NoReplicationConfiguration(S3Error):
    """Fields: bucket."""

    code = "ReplicationConfigurationNotFoundError"
    status = 404
    message = "The replication configuration was not found"
    elements: ClassVar = {"bucket": "BucketName"}


class BadPreflight(S3Error):
    """A CORS preflight that says too little. Fields: reason."""

    code = "BadRequest"
    message = "Insufficient information. Origin request header needed."


class PreflightForbidden(S3Error):
    """A CORS preflight that no rule allows. Fields: method, resource, reason."""

    code = "AccessForbidden"
    status = 403
    message = "CORSResponse: CORS is not enabled for this bucket."
    elements: ClassVar = {"method": "Method", "resource": "ResourceType"}


class NoSuchCors(S3Error):
    """Fields: bucket."""

    code = "NoSuchCORSConfiguration"
    status = 404
    message = "The CORS configuration does not exist"
    elements: ClassVar = {"bucket": "BucketName"}


class NoDefaultEncryption(S3Error):
    """Fields: bucket."""

    code = "ServerSideEncryptionConfigurationNotFoundError"
    status = 404
    message = "The server side encryption configuration was not found"
    elements: ClassVar = {"bucket": "BucketName"}


class InvalidEncryptionAlgorithm(S3Error):
    """Fields: name (of the header), value."""

    code = "InvalidEncryptionAlgorithmError"
    message = "The encryption request you specified is not valid. Supported value: AES256."
    elements: ClassVar = {"name": "ArgumentName", "value": "ArgumentValue"}


class NoSuchWebsite(S3Error):
    """Fields: bucket."""

    code = "NoSuchWebsiteConfiguration"
    status = 404
    message = "The specified bucket does not have a website configuration"
    elements: ClassVar = {"bucket": "BucketName"}


class InvalidRedirectLocation(S3Error):
    """An x-amz-website-redirect-location that leads nowhere. Fields: reason."""

    code = "InvalidRedirectLocation"
    message = "The website redirect location must have a prefix of 'http://' or 'https://' or '/'."


class InvalidRequest(S3Error):
    """A request that contradicts itself or S3's rules. Fields: reason (a sentence for the user)."""

    code = "InvalidRequest"
    message = "Invalid Request"


class MalformedXML(S3Error):
    """The document is not XML, or not the XML that the operation takes. Fields: reason (for the log)."""

    code = "MalformedXML"
    message = (
        "The XML you provided was not well-formed or did not validate against our published schema"
    )


class InvalidChecksum(S3Error):
    """A checksum that is none of its algorithm. Fields: name (of the header or element)."""

    # AWS answers InvalidRequest here and BadDigest for a digest that differs; ceph/s3-tests asks for BadDigest in both
    # cases, and to a client both say that what it sent was damaged.
    code = "BadDigest"
    message = "The checksum you specified is not valid"
    elements: ClassVar = {"name": "Header"}


class MissingContentLength(S3Error):
    """A write that does not say how long it is."""

    code = "MissingContentLength"
    status = 411
    message = "You must provide the Content-Length HTTP header."


class MetadataTooLarge(S3Error):
    """Fields: size_bytes, max_bytes."""

    code = "MetadataTooLarge"
    message = "Your metadata headers exceed the maximum allowed metadata size"
    elements: ClassVar = {"size_bytes": "Size", "max_bytes": "MaxSizeAllowed"}


class InvalidStorageClass(S3Error):
    """Fields: storage_class."""

    code = "InvalidStorageClass"
    message = "The storage class you specified is not valid"
    elements: ClassVar = {"storage_class": "StorageClassRequested"}


class InvalidLocationConstraint(S3Error):
    """Fields: region."""

    code = "InvalidLocationConstraint"
    message = "The specified location-constraint is not valid"
    elements: ClassVar = {"region": "LocationConstraint"}


class IllegalLocationConstraint(S3Error):
    """A region, but not this endpoint's. Fields: region, reason."""

    code = "IllegalLocationConstraintException"
    message = "The location constraint is incompatible for the region specific endpoint"


class NoSuchLifecycleConfiguration(S3Error):
    """Fields: bucket."""

    code = "NoSuchLifecycleConfiguration"
    status = 404
    message = "The lifecycle configuration does not exist"
    elements: ClassVar = {"bucket": "BucketName"}


class IllegalVersioningConfiguration(S3Error):
    """A versioning configuration without a status."""

    code = "IllegalVersioningConfigurationException"
    message = "The versioning configuration specified in the request is invalid."


class NoSuchTagSet(S3Error):
    """Fields: bucket."""

    code = "NoSuchTagSet"
    status = 404
    message = "The TagSet does not exist"
    elements: ClassVar = {"bucket": "BucketName"}


class ObjectLockConfigurationNotFound(S3Error):
    """Fields: bucket."""

    code = "ObjectLockConfigurationNotFoundError"
    status = 404
    message = "Object Lock configuration does not exist for this bucket"
    elements: ClassVar = {"bucket": "BucketName"}


class NoSuchObjectLockConfiguration(S3Error):
    """The version has no retention, or never had a legal hold."""

    code = "NoSuchObjectLockConfiguration"
    status = 404
    message = "The specified object does not have a ObjectLock configuration"


class InvalidRetentionPeriod(S3Error):
    """A default retention of no time, or of too long. Fields: reason."""

    # AWS answers InvalidArgument; ceph/s3-tests asks for this, which AWS documents.
    code = "InvalidRetentionPeriod"
    message = "Default retention period must be a positive integer value"


class MfaDeleteNotImplemented(NotImplementedByWeir):
    """Fields: header."""

    message = "MFA delete is not implemented"
