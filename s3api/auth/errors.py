"""Owns the errors of authentication and of body framing, as AWS says them: code, status and message by class.

`reason` replaces a class's message where AWS words one code in several ways; the other fields become elements of the
error document.
"""

from __future__ import annotations

from typing import Any, ClassVar

from s3api.protocol_errors import S3Error


class AuthError(S3Error):
    """Base of what is wrong with credentials, signatures, POST policies and framed bodies."""

    def __init__(self, reason: str = "", **fields: Any) -> None:
        super().__init__(**fields)
        if reason:
            # On the instance, over the class's own: the edge reads `message` without asking which it is.
            self.__dict__["message"] = reason


# --- who asks ----------------------------------------------------------------------------------------------------


class AccessDenied(AuthError):
    """Credentials that may not be used, or not any more. Fields: headers_not_signed, expires, server_time."""

    code = "AccessDenied"
    status = 403
    message = "Access Denied"
    elements: ClassVar = {
        "headers_not_signed": "HeadersNotSigned",
        "expires": "Expires",
        "server_time": "ServerTime",
    }


class InvalidAccessKeyId(AuthError):
    """Fields: access_key."""

    code = "InvalidAccessKeyId"
    status = 403
    message = "The AWS Access Key Id you provided does not exist in our records."
    elements: ClassVar = {"access_key": "AWSAccessKeyId"}


class InvalidToken(AuthError):
    """A session token that nobody issued."""

    code = "InvalidToken"
    message = "The provided token is malformed or otherwise invalid."


class SignatureDoesNotMatch(AuthError):
    """Fields: access_key, string_to_sign, signature_provided, canonical_request (as this side computed them)."""

    code = "SignatureDoesNotMatch"
    status = 403
    message = (
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method."
    )
    elements: ClassVar = {
        "access_key": "AWSAccessKeyId",
        "string_to_sign": "StringToSign",
        "signature_provided": "SignatureProvided",
        "canonical_request": "CanonicalRequest",
    }


class RequestTimeTooSkewed(AuthError):
    """Fields: request_time (as sent), server_time (ISO 8601), max_skew_ms."""

    code = "RequestTimeTooSkewed"
    status = 403
    message = "The difference between the request time and the current time is too large."
    elements: ClassVar = {
        "request_time": "RequestTime",
        "server_time": "ServerTime",
        "max_skew_ms": "MaxAllowedSkewMilliseconds",
    }


class AuthorizationHeaderMalformed(AuthError):
    """Fields: region (the one to sign for)."""

    code = "AuthorizationHeaderMalformed"
    message = "The authorization header you provided is invalid."
    elements: ClassVar = {"region": "Region"}


class AuthorizationQueryParametersError(AuthError):
    """Fields: region (the one to sign for)."""

    code = "AuthorizationQueryParametersError"
    message = (
        "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
        "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
    )
    elements: ClassVar = {"region": "Region"}


class ExpiresOutOfRange(AuthorizationQueryParametersError):
    """X-Amz-Expires is no number from 0 to 604,800."""

    # AWS answers 400 and Ceph 403; ceph/s3-tests asks for 403, and no client tells the two apart.
    status = 403
    message = "X-Amz-Expires must be between 0 and 604800 seconds (a week)"


class InvalidAuthArgument(AuthError):
    """Credentials of no known form. Fields: name, value."""

    code = "InvalidArgument"
    message = "Unsupported Authorization Type"
    elements: ClassVar = {"name": "ArgumentName", "value": "ArgumentValue"}


class MissingSecurityHeader(AuthError):
    """Fields: header."""

    code = "MissingSecurityHeader"
    message = "Your request was missing a required header"
    elements: ClassVar = {"header": "MissingHeaderName"}


# --- what comes in the body --------------------------------------------------------------------------------------


class InvalidDigest(AuthError):
    """A Content-MD5 that is no MD5. Fields: content_md5."""

    code = "InvalidDigest"
    message = "The Content-MD5 you specified was invalid"
    elements: ClassVar = {"content_md5": "Content-MD5"}


class BadDigest(AuthError):
    """A checksum that no bytes can have. Fields: value."""

    code = "BadDigest"
    message = "The checksum you specified did not match what we received."
    elements: ClassVar = {"value": "ExpectedDigest"}


class InvalidChunkSizeError(AuthError):
    """Fields: chunk (its number), bad_chunk_size."""

    code = "InvalidChunkSizeError"
    status = 403
    message = "Only the last chunk is allowed to have a size less than 8192 bytes"
    elements: ClassVar = {"chunk": "Chunk", "bad_chunk_size": "BadChunkSize"}


class MalformedTrailer(AuthError):
    """Trailers that are missing, not declared in x-amz-trailer, or not well-formed."""

    code = "MalformedTrailerError"
    message = (
        "The request contained trailing data that was not well-formed or did not conform to our "
        "published schema."
    )


class MalformedChunk(AuthError):
    """Bytes that are not aws-chunked framing."""

    code = "InvalidRequest"
    message = "The chunked upload is malformed."


# --- POST forms --------------------------------------------------------------------------------------------------


class MalformedPostRequest(AuthError):
    """The body is no multipart/form-data."""

    code = "MalformedPOSTRequest"
    message = "The body of your POST request is not well-formed multipart/form-data."


class PostFieldsTooLarge(AuthError):
    """The form's fields before the file are over the limit."""

    code = "MaxPostPreDataLengthExceeded"
    message = "Your POST request fields preceding the upload file were too large."


class InvalidPostField(AuthError):
    """A form field is missing or repeated. Fields: name, value."""

    code = "InvalidArgument"
    message = "Invalid Argument"
    elements: ClassVar = {"name": "ArgumentName", "value": "ArgumentValue"}


class InvalidPolicyDocument(AuthError):
    """The policy is not JSON of the right form."""

    code = "InvalidPolicyDocument"
    message = (
        "The content of the form does not meet the conditions specified in the policy document."
    )


class PostTooSmall(AuthError):
    """The file is under the policy's content-length-range. Fields: size_bytes, min_bytes."""

    code = "EntityTooSmall"
    message = "Your proposed upload is smaller than the minimum allowed size"
    elements: ClassVar = {"size_bytes": "ProposedSize", "min_bytes": "MinSizeAllowed"}
