"""Owns which tests of ceph/s3-tests count here, and to which group of operations each belongs.

A test is in unless it carries the suite's own mark of failing on AWS, or needs an operation that weir does not
serve yet. What a test needs is read from its source: the calls, parameters and strings that it and the helpers it
calls use. So a test is left out for what it does, never for its result.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MODULES = ("test_s3", "test_headers")

LATER_CALLS: Mapping[str, str] = {
    "cloud transition": r"restore_object",
    "iam": r"get_iam\w*client|get_sts\w*client|iam_root|iam_alt_root",
    "select": r"select_object_content",
}
"""Operations and headers of later work, by name, in a test or in a helper that it calls."""

LATER_PARAMETERS: Mapping[str, str] = {}
"""Parameters of later work that a test itself passes. Helpers have some that most tests leave out."""

LATER_MARKS: Mapping[str, str] = {
    "appendobject": "append",
    "cloud_restore": "cloud transition",
    "cloud_transition": "cloud transition",
    "s3select": "select",
    "user_policy": "iam",
}

GROUPS: Sequence[tuple[str, str]] = (
    ("lifecycle", r"_lifecycle|lifecyclev2|delete_marker_expiration"),
    ("encryption", r"sse_|_kms|encrypt|_enc(_|$)"),
    ("POST forms", r"test_post_object"),
    ("versioning", r"version|delete_marker"),
    ("tagging", r"tagging|_tags?(_|$)"),
    ("object lock", r"object_lock"),
    ("policy", r"_policy|policy_status"),
    ("checksums", r"checksum|cksum"),
    ("presigned/auth", r"raw_|presigned|_auth|anon|authorization|_date_|aws2$|tenant$"),
    ("multipart", r"multipart|upload_part|_resend_"),
    ("copy", r"_copy"),
    (
        "conditionals",
        r"ifmatch|ifnonematch|ifnonmatch|ifmodified|ifunmodified|conditional|if_match|if_none_match",
    ),
    ("ranges", r"ranged_|get_part"),
    ("headers", r"_create_bad_|100_continue|contentlength"),
    ("listing", r"test_bucket_list|listv2|basic_key_count|special_key_names"),
    ("buckets", r"^test_(buckets?|bucketv2|list_buckets|head_bucket|access_bucket)_"),
)
"""The group of a test by the first pattern that its name meets; the rest is reading and writing objects."""

OBJECTS = "object read/write"

_RESET = "botocore sets the header again after the test took it away, so a good request is sent"
KNOWN: Mapping[str, str] = {
    "test_object_create_bad_contentlength_none": _RESET,
    "test_object_create_bad_authorization_empty": _RESET,
    "test_object_create_bad_authorization_none": _RESET,
    "test_bucket_create_bad_authorization_empty": _RESET,
    "test_bucket_create_bad_authorization_none": _RESET,
    "test_object_create_bad_authorization_incorrect_aws2": _RESET,
    "test_object_create_bad_authorization_invalid_aws2": _RESET,
    "test_bucket_create_bad_authorization_invalid_aws2": _RESET,
    "test_object_create_bad_date_none_aws2": _RESET,
    "test_bucket_create_bad_date_none_aws2": _RESET,
    "test_bucket_policy_set_condition_operator_end_with_IfExists": "an Allow that does not apply takes nothing away "
    "from the bucket's owner",
    "test_bucket_policy_put_obj_request_obj_tag": "sets the tags on another client than the one that puts",
    "test_bucket_logging_owner": "puts a policy without Resource, which S3 refuses as malformed",
    "test_object_read_unreadable": "the key is legal UTF-8, and absent: 404",
    "test_object_set_get_unicode_metadata": "sends UTF-8, reads Latin-1: the bytes that come back are those sent",
}
"""Tests that count and cannot pass, with why AWS cannot pass them either. They are reported, apart."""


@dataclass(frozen=True, slots=True)
class SuiteTest:
    """One test function of the suite. `reason` says why it does not count here; empty if it does. `has_short_days`: it
    waits for lifecycle rules, so it needs a server whose days are seconds."""

    module: str
    name: str
    group: str
    reason: str
    has_short_days: bool = False

    @property
    def node(self) -> str:
        return f"s3tests/functional/{self.module}.py::{self.name}"


@dataclass(slots=True)
class _Function:
    marks: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    parameters: set[str] = field(default_factory=set)


def select(suite: Path) -> list[SuiteTest]:
    """Every test of the two modules, judged."""
    tests: list[SuiteTest] = []
    for module in MODULES:
        path = suite / "s3tests" / "functional" / f"{module}.py"
        functions = _functions(ast.parse(path.read_text()))
        tests += [
            SuiteTest(
                module,
                name,
                group_of(module, name),
                _reason(name, functions),
                "get_lc_debug_interval" in _closure(name, functions),
            )
            for name in functions
            if name.startswith("test_")
        ]
    return tests


def group_of(module: str, name: str) -> str:
    for group, pattern in GROUPS:
        if re.search(pattern, name):
            return group
    return "headers" if module == "test_headers" else OBJECTS


def _functions(tree: ast.Module) -> dict[str, _Function]:
    """Functions by name. A later definition of a name replaces an earlier one, as Python has it."""
    found: dict[str, _Function] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            function = _Function()
            for decorator in node.decorator_list:
                function.marks |= {
                    part for part in re.split(r"\W+", ast.unparse(decorator)) if part
                }
            for each in ast.walk(node):
                match each:
                    case ast.keyword(arg=str(name)):
                        function.parameters.add(name)
                    case (
                        ast.Name(id=name)
                        | ast.Attribute(attr=name)
                        | ast.Constant(value=str(name))
                        | ast.arg(arg=name)
                    ):
                        function.names.add(name)
                    case _:
                        pass
            found[node.name] = function
    return found


def _reason(name: str, functions: Mapping[str, _Function]) -> str:
    function = functions[name]
    if "fails_on_aws" in function.marks:
        return "fails on AWS"
    for mark, reason in LATER_MARKS.items():
        if mark in function.marks:
            return reason
    for reason, pattern in LATER_PARAMETERS.items():
        if _meets(pattern, function.parameters):
            return reason
    used = _closure(name, functions)
    for reason, pattern in LATER_CALLS.items():
        if _meets(pattern, used):
            return reason
    return ""


def _meets(pattern: str, names: Iterable[str]) -> bool:
    return any(re.fullmatch(pattern, name) for name in names)


def _closure(name: str, functions: Mapping[str, _Function]) -> set[str]:
    """The names that the function and the module's functions it calls use, directly or not."""
    used: set[str] = set()
    seen: set[str] = set()
    queue = [name]
    while queue:
        current = queue.pop()
        if current not in seen:
            seen.add(current)
            used |= functions[current].names
            queue += [each for each in functions[current].names if each in functions]
    return used
