"""Owns the errors of ACLs, object ownership and public access blocks, as AWS gave them."""

from __future__ import annotations

from typing import ClassVar

from s3api.protocol_errors import S3Error


class MalformedACL(S3Error):
    """The document is not the XML of an ACL, or has too many grants. Fields: reason (for the log)."""

    code = "MalformedACLError"
    message = (
        "The XML you provided was not well-formed or did not validate against our published schema"
    )


class UnresolvableEmail(S3Error):
    """No user has the e-mail address. Fields: email."""

    code = "UnresolvableGrantByEmailAddress"
    message = "The e-mail address you provided does not match any account on record."
    elements: ClassVar = {"email": "EmailAddress"}


class AmbiguousEmail(S3Error):
    """Several users have the e-mail address. Fields: email."""

    code = "AmbiguousGrantByEmailAddress"
    message = "The e-mail address you provided is associated with more than one account."
    elements: ClassVar = {"email": "EmailAddress"}


class UnexpectedContent(S3Error):
    """An ACL came in headers and in a document at once."""

    code = "UnexpectedContent"
    message = "This request does not support content"


class MissingSecurityHeader(S3Error):
    """An ACL came neither in headers nor in a document. Fields: name (of the header)."""

    code = "MissingSecurityHeader"
    message = "Your request was missing a required header"
    elements: ClassVar = {"name": "MissingHeaderName"}


class AclsNotSupported(S3Error):
    """ACLs are turned off in the bucket."""

    code = "AccessControlListNotSupported"
    message = "The bucket does not allow ACLs"


class AclsInTheWay(S3Error):
    """ACLs cannot go off while the bucket's grants somebody else anything."""

    code = "InvalidBucketAclWithObjectOwnership"
    message = "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"


class NoOwnershipControls(S3Error):
    """Fields: bucket."""

    code = "OwnershipControlsNotFoundError"
    status = 404
    message = "The bucket ownership controls were not found"
    elements: ClassVar = {"bucket": "BucketName"}


class NoPublicAccessBlock(S3Error):
    """Fields: bucket."""

    code = "NoSuchPublicAccessBlockConfiguration"
    status = 404
    message = "The public access block configuration was not found"
    elements: ClassVar = {"bucket": "BucketName"}
