"""Owns the names of condition keys: those that a policy may ask for, and those that need the object to be looked up.

Source: AWS, Condition keys for Amazon S3 (Service Authorization Reference) and AWS global condition context keys. Keys
are compared without case, but for the tag key after the slash. Some are never set here; a policy may name them.
"""

from __future__ import annotations

EXISTING_TAG = "s3:existingobjecttag/"
REQUEST_TAG = "s3:requestobjecttag/"
REQUEST_TAG_KEYS = "s3:requestobjecttagkeys"

_S3 = """
    accessgrantsinstancearn accesspointnetworkorigin accesspointtag authtype buckettag dataaccesspointaccount
    dataaccesspointarn delimiter destinationregion existingjoboperation existingjobpriority if-match if-none-match
    inventoryaccessibleoptionalfields isreplicationpauserequest jobsuspendedcause locationconstraint max-keys
    object-lock-legal-hold object-lock-mode object-lock-remaining-retention-days object-lock-retain-until-date
    objectcreationoperation prefix requestjoboperation requestjobpriority requestobjecttagkeys resourceaccount
    signatureage signatureversion tlsversion versionid x-amz-acl x-amz-content-sha256 x-amz-copy-source
    x-amz-grant-full-control x-amz-grant-read x-amz-grant-read-acp x-amz-grant-write x-amz-grant-write-acp
    x-amz-metadata-directive x-amz-object-ownership x-amz-server-side-encryption
    x-amz-server-side-encryption-aws-kms-key-id x-amz-server-side-encryption-customer-algorithm x-amz-storage-class
    x-amz-website-redirect-location
"""
_AWS = """
    assumedroot calledvia calledviafirst calledvialast chatbotsourcearn currenttime ec2instancesourceprivateipv4
    ec2instancesourcevpc epochtime federatedprovider ismcpserviceaction multifactorauthage multifactorauthpresent
    principalaccount principalarn principalisawsservice principalorgid principalorgpaths principalservicename
    principalservicenameslist principaltype referer requestedregion resourceaccount resourceorgid resourceorgpaths
    securetransport sourceaccount sourcearn sourceidentity sourceip sourceorgid sourceorgpaths sourceowner sourcevpc
    sourcevpcarn sourcevpce tagkeys tokenissuetime useragent userid username viaawsservice vpceaccount vpceorgid
    vpceorgpaths vpcsourceip
"""
_NAMES = frozenset(f"s3:{name}" for name in _S3.split()) | {f"aws:{name}" for name in _AWS.split()}
_WITH_TAG = (
    EXISTING_TAG,
    REQUEST_TAG,
    "s3:accesspointtag/",
    "s3:buckettag/",
    "aws:principaltag/",
    "aws:requesttag/",
    "aws:resourcetag/",
)


def is_known_key(key: str) -> bool:
    """Whether S3 has a condition key, given in its normal form."""
    return key in _NAMES or any(
        key.startswith(prefix) and len(key) > len(prefix) for prefix in _WITH_TAG
    )
