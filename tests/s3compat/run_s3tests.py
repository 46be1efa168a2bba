"""Runs ceph/s3-tests against a weir of its own and says what passed, group by group.

    python -m tests.s3compat.run_s3tests --suite DIR [--group NAME ...] [--list] [--jobs N] [-- PYTEST ARGUMENTS]

DIR is a checkout of https://github.com/ceph/s3-tests. Its libraries (munch, isodate, httplib2, lxml, pytz, PyYAML,
requests) must be installed beside this program. Exits with 1 if a test that counts failed.
"""

from __future__ import annotations

import argparse
import configparser
import os
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from defusedxml import ElementTree

from tests.s3compat.s3tests_selection import KNOWN, SuiteTest, select
from tests.server import REPOSITORY, Keys, Server, ServerOptions

USERS: Mapping[str, Mapping[str, str]] = {
    section: {
        "user_id": user_id,
        "display_name": name,
        "email": f"{name}@example.com",
        "access_key": f"S3TESTS{name.upper():0<13}",
        "secret_key": f"secret/of+{name:0<30}",
    }
    for section, user_id, name in (
        ("s3 main", "testid", "main"),
        ("s3 alt", "56789abcdef0123456789abcdef0123456789abcdef0123456789abcdef01234", "alt"),
        ("s3 tenant", "9876543210abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "tenant"),
        ("iam", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "iam"),
        ("iam root", "RGW11111111111111111", "iamroot"),
        ("iam alt root", "RGW22222222222222222", "iamaltroot"),
    )
}
"""The sections of the suite's configuration that name a user."""

KMS_KEYS = {"kms_keyid": "testkey-1", "kms_keyid2": "testkey-2"}
"""The encryption keys that the suite uses, by their names in its configuration."""


_DAY_S = 3
CLASSES = ("LUKEWARM", "FROZEN")
SHORT_DAYS = {
    "WEIR_LIFECYCLE_DAY_S": str(_DAY_S),
    "WEIR_LIFECYCLE_INTERVAL_S": "0.5",
    "WEIR_LIFECYCLE_MIN_TRANSITION_BYTES": "0",
}
"""The settings for tests that wait for lifecycle rules."""


def main() -> int:
    options = _parse()
    tests = select(options.suite)
    if options.list:
        _print_selection(tests)
        return 0
    chosen = [
        test
        for test in tests
        if (not test.reason or test.name in options.also)
        and (not options.group or test.group in options.group)
    ]
    outcomes = _serve_and_run(options, [test for test in chosen if not test.has_short_days], {})
    waiting = [test for test in chosen if test.has_short_days]
    outcomes |= _serve_and_run(options, waiting, SHORT_DAYS)
    return _report(tests, chosen, outcomes)


def _serve_and_run(
    options: argparse.Namespace, chosen: Sequence[SuiteTest], settings: Mapping[str, str]
) -> dict[str, str]:
    if not chosen:
        return {}
    with tempfile.TemporaryDirectory(prefix="weir-s3tests-") as directory:
        base = Path(directory)
        data, cold = base / "data", base / "cold"
        classes = ",".join(("STANDARD", *(f"{name}={cold}" for name in CLASSES)))
        environment = {**settings, "WEIR_STORAGE_CLASSES": classes}
        server = Server(
            ServerOptions([data, cold], workers=options.workers, environment=environment)
        )
        server.start()
        try:
            return _run(options, chosen, _configure(server, base), base)
        finally:
            if options.log:
                with options.log.open("ab") as log:
                    log.write(server.log_path.read_bytes())
            server.stop()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", type=Path, required=True, help="checkout of ceph/s3-tests")
    parser.add_argument("--group", action="append", default=[], help="run this group only")
    parser.add_argument(
        "--also", action="append", default=[], help="run this test too, though it does not count"
    )
    parser.add_argument("--list", action="store_true", help="say which tests count, and why not")
    parser.add_argument("--jobs", type=int, default=1, help="test processes (pytest-xdist)")
    parser.add_argument("--workers", type=int, default=2, help="request workers of weir")
    parser.add_argument("--log", type=Path, help="keep weir's log here")
    parser.add_argument("rest", nargs="*", help="arguments for pytest, after --")
    options = parser.parse_args()
    options.suite = options.suite.resolve()
    return options


def _configure(server: Server, base: Path) -> Path:
    """Make the suite's users and write its configuration file."""
    for user in USERS.values():
        server.add_user(
            user["email"].partition("@")[0],
            Keys(user["access_key"], user["secret_key"]),
            *("--id", user["user_id"], "--display-name", user["display_name"]),
            *("--email", user["email"]),
        )
    config = configparser.RawConfigParser()
    config["DEFAULT"] = {
        "host": server.host,
        "port": str(server.port),
        "is_secure": "False",
        "ssl_verify": "False",
    }
    config["fixtures"] = {"bucket prefix": "s3tests-{random}-"}
    for section, user in USERS.items():
        config[section] = dict(user)
    # As for AWS in us-east-1, where a bucket has no location to name.
    config["s3 main"]["api_name"] = ""
    config["s3 main"]["lc_debug_interval"] = str(_DAY_S)
    config["s3 main"]["storage_classes"] = " ".join(CLASSES)
    config["s3 tenant"]["tenant"] = ""
    for name, key_id in KMS_KEYS.items():
        server.admin("kms", "create", key_id)
        config["s3 main"][name] = key_id
    path = base / "s3tests.conf"
    with path.open("w") as file:
        config.write(file)
    return path


def _run(
    options: argparse.Namespace, chosen: Sequence[SuiteTest], config: Path, base: Path
) -> dict[str, str]:
    """Outcome ("passed" or its first line of failure) by test name."""
    report = base / "report.xml"
    nodes = base / "nodes"
    nodes.write_text("\n".join(test.node for test in chosen))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    kept["S3TEST_CONF"] = str(config)
    kept["PYTHONPATH"] = os.pathsep.join((str(options.suite), str(REPOSITORY)))
    command = [sys.executable, "-m", "pytest", "-p", "tests.s3compat.s3tests_plugin"]
    command += ["-p", "no:cacheprovider", "-q", "--tb=short", "--timeout=120"]
    command += [f"--junitxml={report}", f"@{nodes}", *options.rest]
    if options.jobs > 1:
        command += ["-n", str(options.jobs), "--dist", "load"]
    subprocess.run(command, check=False, cwd=options.suite, env=kept)
    outcomes: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = str(case.get("name", "")).partition("[")[0]
        outcome = _outcome(case)
        # A failure of the body or of the cleanup after it both count, and the first is the one to tell.
        if outcomes.get(name, "passed") == "passed":
            outcomes[name] = outcome
    return outcomes


def _outcome(case: Element) -> str:
    for tag in ("failure", "error", "skipped"):
        found = case.find(tag)
        if found is not None:
            return f"{tag}: {(found.get('message') or '').splitlines()[0][:150]}"
    return "passed"


def _print_selection(tests: Sequence[SuiteTest]) -> None:
    for test in sorted(tests, key=lambda each: (each.reason, each.group, each.name)):
        print(f"{'in: ' + test.group if not test.reason else 'out: ' + test.reason:32} {test.name}")


def _report(
    tests: Sequence[SuiteTest], chosen: Sequence[SuiteTest], outcomes: Mapping[str, str]
) -> int:
    left_out = Counter(test.reason for test in tests if test.reason)
    groups: dict[str, list[SuiteTest]] = defaultdict(list)
    for test in chosen:
        groups[test.group].append(test)
    print("\n| group | passed | of | known not to pass |\n|---|---|---|---|")
    totals = [0, 0, 0]
    for group in sorted(groups):
        row = [
            sum(outcomes.get(test.name) == "passed" for test in groups[group]),
            len(groups[group]),
            sum(test.name in KNOWN for test in groups[group]),
        ]
        totals = [before + now for before, now in zip(totals, row, strict=True)]
        print(f"| {group} | {row[0]} | {row[1]} | {row[2]} |")
    print(f"| all | {totals[0]} | {totals[1]} | {totals[2]} |")
    print("\nleft out:", ", ".join(f"{reason} {n}" for reason, n in left_out.most_common()))
    is_good = True
    for test in sorted(chosen, key=lambda each: each.group):
        outcome = outcomes.get(test.name, "not run")
        if (outcome == "passed") != (test.name in KNOWN):
            continue
        if outcome == "passed":
            print(f"PASSED, though known not to [{test.group}] {test.name}")
        elif outcome.startswith("skipped"):
            print(f"SKIPPED [{test.group}] {test.name}: {outcome}")
            continue
        else:
            print(f"FAILED [{test.group}] {test.name}: {outcome}")
        is_good = False
    for name, reason in KNOWN.items():
        print(f"known: {name}: {reason}")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
