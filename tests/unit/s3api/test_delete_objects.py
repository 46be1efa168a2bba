"""DeleteObjects: an outcome for every key, and nothing deleted on a damaged list."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json

import pytest

from tests.unit.s3api.front import Answer, Front


def delete(front: Front, body: str, *, user: str = "alice") -> Answer:
    digest = base64.b64encode(hashlib.md5(body.encode()).digest()).decode()
    return front("POST", "/bucket?delete", body.encode(), {"content-md5": digest}, user=user)


def objects(*keys: str, quiet: bool = False) -> str:
    listed = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
    flag = "<Quiet>true</Quiet>" if quiet else ""
    return f'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{listed}{flag}</Delete>'


def test_delete_objects(front: Front) -> None:
    front("PUT", "/bucket/a", b"")
    front("PUT", "/bucket/%20%3C", b"")
    answer = delete(front, objects("a", " &lt;", "absent"))
    assert (answer.status, answer.xml.tag) == (200, "DeleteResult")
    assert answer.texts("Deleted/Key") == ["a", " <", "absent"]
    assert front("GET", "/bucket").texts("Contents") == []


def test_delete_objects_quiet(front: Front) -> None:
    assert list(delete(front, objects("a", "b", quiet=True)).xml) == []


def test_delete_objects_by_version_and_condition(front: Front) -> None:
    front("PUT", "/bucket/a", b"")
    wrong = "<Delete><Object><Key>a</Key><ETag>x</ETag></Object></Delete>"
    answer = delete(front, wrong)
    assert (answer.text("Error/Key"), answer.text("Error/Code")) == ("a", "PreconditionFailed")
    right = "<Delete><Object><Key>a</Key><VersionId>null</VersionId></Object></Delete>"
    answer = delete(front, right)
    assert answer.text("Deleted/VersionId") == "null"
    assert front("HEAD", "/bucket/a").status == 404


def test_delete_objects_bad_key_is_its_own_error(front: Front) -> None:
    front("PUT", "/bucket/a", b"")
    answer = delete(front, objects("x" * 1025, "a"))
    assert answer.texts("Error/Code") == ["KeyTooLongError"]
    assert answer.texts("Deleted/Key") == ["a"]


def test_delete_objects_of_another(front: Front) -> None:
    front("PUT", "/bucket/a", b"")
    answer = delete(front, objects("a"), user="bob")
    assert (answer.status, answer.texts("Error/Code")) == (200, ["AccessDenied"])
    assert front("HEAD", "/bucket/a").status == 200


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<Delete/>",
        "<Delete><Object></Object></Delete>",
        "<Other/>",
        objects(*map(str, range(1001))),
        '<!DOCTYPE d [<!ENTITY e "a">]><Delete><Object><Key>&e;</Key></Object></Delete>',
    ],
)
def test_delete_objects_malformed(front: Front, body: str) -> None:
    answer = delete(front, body)
    assert (answer.status, answer.code) == (400, "MalformedXML")


def test_delete_objects_thousand(front: Front) -> None:
    answer = delete(front, objects(*map(str, range(1000))))
    assert len(answer.texts("Deleted")) == 1000


def test_delete_objects_demands_a_digest(front: Front) -> None:
    front("PUT", "/bucket/a", b"")
    body = objects("a").encode()
    assert front("POST", "/bucket?delete", body).code == "InvalidRequest"
    wrong = {"content-md5": base64.b64encode(bytes(16)).decode()}
    assert front("POST", "/bucket?delete", body, wrong).code == "BadDigest"
    assert front("HEAD", "/bucket/a").status == 200


def test_others_are_served_while_a_policy_is_asked_of_each_key(front: Front) -> None:
    said = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject"}
    policy = {"Version": "2012-10-17", "Statement": {**said, "Resource": "arn:aws:s3:::bucket/*"}}
    assert front("PUT", "/bucket?policy", json.dumps(policy).encode()).status == 204
    keys = "".join(f"<Object><Key>{number}</Key></Object>" for number in range(200))
    body = f"<Delete>{keys}</Delete>".encode()
    digest = base64.b64encode(hashlib.md5(body).digest()).decode()

    async def turns_of_others() -> int:
        headers = {"content-md5": digest, "x-test-user": "alice"}
        request = asyncio.create_task(front._send("POST", "/bucket?delete", body, headers))
        turns = 0
        while not request.done():
            await asyncio.sleep(0)
            turns += 1
        assert (await request).status == 200
        return turns

    assert asyncio.run(turns_of_others()) >= 200
