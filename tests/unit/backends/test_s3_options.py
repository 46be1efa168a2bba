"""Accounts that are reached by S3's protocol: what their settings and the environment make of them."""

from __future__ import annotations

import pytest

from backends.s3_options import options_of_aws, options_of_gcp, options_of_oci
from core.accounts import Account
from core.errors import InvalidArgument

KEYS = {"access_key": "id", "secret_key": "secret", "session_token": "token"}


def test_aws_leaves_to_the_standard_chain_what_is_not_said() -> None:
    options = options_of_aws(Account("aws"))
    assert (options.endpoint, options.region, options.access_key) == ("", "", "")
    assert not options.is_anonymous
    assert options.conditional_writes is None


def test_what_an_account_says() -> None:
    settings = {
        "addressing": "virtual",
        "timeout_s": "5",
        "max_connections": "7",
        "conditional_writes": "true",
        "anonymous": "true",
        "requester_pays": "on",
        "md5_etags": "false",
        "ca_file": "/ca.pem",
    }
    options = options_of_aws(
        Account("aws", "name", "https://s3.example:9000/", "eu", "work", settings, KEYS)
    )
    assert options.endpoint == "https://s3.example:9000"
    assert (options.region, options.profile, options.addressing) == ("eu", "work", "virtual")
    assert (options.access_key, options.secret_key) == ("id", "secret")
    assert options.session_token == "token"
    assert (options.timeout_s, options.max_connections, options.ca_file) == (5, 7, "/ca.pem")
    assert options.is_anonymous
    assert options.conditional_writes
    assert options.pays_requests
    assert not options.has_md5_etags


def test_secrets_are_not_shown() -> None:
    assert "secret" not in repr(options_of_aws(Account("aws", secrets=KEYS)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout_s", "soon"),
        ("timeout_s", "0"),
        ("timeout_s", "nan"),
        ("max_connections", "-1"),
        ("addressing", "other"),
        ("anonymous", "perhaps"),
    ],
)
def test_bad_settings(name: str, value: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        options_of_aws(Account("aws", settings={name: value}))
    assert caught.value.name == name


@pytest.mark.parametrize("endpoint", ["ftp://h", "host:9000", "http://", "http://h:port", "x"])
def test_bad_endpoints(endpoint: str) -> None:
    with pytest.raises(InvalidArgument):
        options_of_aws(Account("aws", endpoint=endpoint))


def test_google() -> None:
    environment = {"GS_ACCESS_KEY_ID": "GOOG1", "GS_SECRET_ACCESS_KEY": "hmac"}
    options = options_of_gcp(Account("gcp"), environment)
    assert options.endpoint == "https://storage.googleapis.com"
    assert (options.access_key, options.secret_key) == ("GOOG1", "hmac")
    assert not options.is_anonymous
    assert options.conditional_writes is False
    # Never with the credentials of AWS.
    assert options_of_gcp(Account("gcp"), {"AWS_ACCESS_KEY_ID": "x"}).is_anonymous
    assert options_of_gcp(Account("gcp", secrets=KEYS), environment).access_key == "id"


def test_oracle() -> None:
    environment = {
        "OCI_NAMESPACE": "axaxnpcrorw5",
        "OCI_REGION": "eu-frankfurt-1",
        "OCI_ACCESS_KEY_ID": "id",
        "OCI_SECRET_ACCESS_KEY": "secret",
    }
    options = options_of_oci(Account("oci"), environment)
    host = "axaxnpcrorw5.compat.objectstorage.eu-frankfurt-1.oraclecloud.com"
    assert options.endpoint == f"https://{host}"
    assert (options.region, options.addressing) == ("eu-frankfurt-1", "path")
    other = Account("oci", region="us-phoenix-1", settings={"namespace": "other"})
    assert options_of_oci(other, environment).endpoint == (
        "https://other.compat.objectstorage.us-phoenix-1.oraclecloud.com"
    )
    with pytest.raises(InvalidArgument, match="namespace"):
        options_of_oci(Account("oci", region="us-phoenix-1"), {})
    with pytest.raises(InvalidArgument):
        options_of_oci(Account("oci", region="a.evil.example/"), environment)
