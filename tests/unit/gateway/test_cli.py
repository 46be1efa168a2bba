"""The `weir` command, in process: what it says, what it refuses, and the store that first start makes."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.control import EmbeddedControlStore
from core.names import AccessKey, BucketName, BucketRef
from core.types import BucketProps
from gateway.cli.main import main
from gateway.clock import SystemClock
from gateway.config import Config, RootConfig
from gateway.node import open_node
from gateway.startup import NoSuchStore, StoreInUse, prepare_store


class Weir:
    """The command against one store; remembers what was printed."""

    def __init__(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.data = data
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *arguments: str) -> int:
        status = main([*arguments, "--data", str(self.data)])
        self.out, self.err = self._capsys.readouterr()
        return status

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        assert self(*arguments, "--json") == 0, self.err
        rows: list[dict[str, Any]] = json.loads(self.out)
        return rows


def start_once(*data: Path, root: RootConfig | None = None) -> object:
    """What weir serve does to a store before it serves; returns the new root credential."""
    prepared = prepare_store(Config(data=data, root=root or RootConfig()))
    for fd in prepared.held_fds:
        os.close(fd)
    return prepared.new_root


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("WEIR_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def weir(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Weir:
    start_once(tmp_path / "data")
    return Weir(tmp_path / "data", capsys)


class TestUsers:
    def test_add_with_everything_given(self, weir: Weir) -> None:
        pair = ("--access-key", "AKALICE", "--secret-key", "secret-of-alice")
        about = ("--id", "alice-id", "--display-name", "Alice A.", "--email", "a@example.org")
        assert weir("user", "add", "alice", *pair, *about) == 0, weir.err
        assert "AKALICE" in weir.out
        alice = weir.rows("user", "ls")[0]
        assert alice == {
            "name": "alice",
            "id": "alice-id",
            "display_name": "Alice A.",
            "email": "a@example.org",
            "is_root": False,
            "keys": 1,
            "buckets": 0,
        }

    def test_add_makes_what_is_not_given(self, weir: Weir) -> None:
        assert weir("user", "add", "alice") == 0
        key = weir.rows("key", "ls", "alice", "--show-secrets")[0]
        assert key["access_key"] in weir.out
        assert len(key["secret_key"]) == 40

    def test_add_twice(self, weir: Weir) -> None:
        weir("user", "add", "alice")
        assert weir("user", "add", "alice") == 1
        assert "exists already" in weir.err

    @pytest.mark.parametrize("name", ["", "a b", "team/alice", "a:b", "*", "ann\u00e9", "x" * 65])
    def test_add_a_name_that_means_something_else_in_policies(self, weir: Weir, name: str) -> None:
        assert weir("user", "add", name) == 1
        assert "a user's name has" in weir.err

    @pytest.mark.parametrize("id", ["a b", "a/b", "a:b", "*", "x" * 129])
    def test_add_an_id_that_means_something_else_in_policies(self, weir: Weir, id: str) -> None:
        assert weir("user", "add", "alice", "--id", id) == 1
        assert "a user's id has" in weir.err

    @pytest.mark.parametrize("taken", ["alice", "alice-id"])
    def test_add_a_name_or_id_that_is_either_of_another(self, weir: Weir, taken: str) -> None:
        weir("user", "add", "alice", "--id", "alice-id")
        assert weir("user", "add", taken) == 1
        assert weir("user", "add", "bob", "--id", taken) == 1
        assert "exists already" in weir.err

    def test_add_with_a_taken_key_leaves_no_user(self, weir: Weir) -> None:
        weir("user", "add", "alice", "--access-key", "SAME", "--secret-key", "12345678")
        assert weir("user", "add", "bob", "--access-key", "SAME", "--secret-key", "12345678") == 1
        assert [row["name"] for row in weir.rows("user", "ls")] == ["alice", "root"]

    def test_remove(self, weir: Weir) -> None:
        weir("user", "add", "alice")
        assert weir("user", "rm", "alice") == 0
        assert weir("user", "rm", "alice") == 1
        assert "see weir user ls" in weir.err

    def test_remove_refuses_owners_and_root(self, weir: Weir) -> None:
        weir("user", "add", "alice")
        control = EmbeddedControlStore(weir.data)
        alice = control.user_named("alice")
        assert alice is not None
        control.create_bucket_sync(BucketRef(BucketName("photos")), alice, "", BucketProps(), 1)
        control.close()
        assert weir("user", "rm", "alice") == 1
        assert "owns 1 buckets (photos" in weir.err
        assert weir("user", "rm", "root") == 1
        assert "root cannot be removed" in weir.err

    def test_table(self, weir: Weir) -> None:
        assert weir("user", "ls") == 0
        header, row = weir.out.splitlines()
        assert header.split()[:3] == ["name", "id", "display"]
        assert row.startswith("root  ")


class TestKeys:
    def test_add_list_and_remove(self, weir: Weir) -> None:
        weir("user", "add", "alice")
        assert (
            weir("key", "add", "alice", "--access-key", "SECOND", "--secret-key", "12345678") == 0
        )
        rows = weir.rows("key", "ls", "alice")
        assert {row["secret_key"] for row in rows} == {"***"}
        assert len(rows) == 2
        assert weir("key", "rm", "SECOND") == 0
        assert weir("key", "rm", "SECOND") == 1
        assert "see weir key ls" in weir.err
        assert len(weir.rows("key", "ls")) == 2

    @pytest.mark.parametrize(
        ("pair", "said"),
        [
            (("--access-key", "ABC"), "together"),
            (("--secret-key", "12345678"), "together"),
            (("--access-key", "AB", "--secret-key", "12345678"), "3 to 128"),
            (("--access-key", "A/B", "--secret-key", "12345678"), "comma and slash"),
            (("--access-key", "A,B", "--secret-key", "12345678"), "comma and slash"),
            (("--access-key", "A B", "--secret-key", "12345678"), "space"),
            (("--access-key", "KÉY", "--secret-key", "12345678"), "ASCII"),
            (("--access-key", "ABC", "--secret-key", "1234567"), "at least 8"),
        ],
    )
    def test_unfit_pairs(self, weir: Weir, pair: tuple[str, ...], said: str) -> None:
        assert weir("key", "add", "root", *pair) == 1
        assert said in weir.err

    def test_of_nobody(self, weir: Weir) -> None:
        assert weir("key", "add", "nobody") == 1
        assert "no user 'nobody'" in weir.err


class TestStore:
    def test_found_by_the_environment(self, weir: Weir, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WEIR_DATA", str(weir.data))
        assert main(["user", "ls"]) == 0

    def test_found_by_a_file(self, weir: Weir, tmp_path: Path) -> None:
        (tmp_path / "weir.toml").write_text('data = ["data"]')
        assert main(["user", "ls", "--config", str(tmp_path / "weir.toml")]) == 0

    def test_absent(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["user", "ls", "--data", str(tmp_path / "nothing")]) == 1
        said = capsys.readouterr().err
        assert "--data DIR" in said
        assert not (tmp_path / "nothing").exists()


class TestFirstStart:
    def test_makes_a_root_pair_once(self, tmp_path: Path) -> None:
        assert start_once(tmp_path / "a") is not None
        assert start_once(tmp_path / "a") is None

    def test_root_pair_from_the_settings(self, tmp_path: Path) -> None:
        for secret in ("first-secret", "second-secret"):
            assert start_once(tmp_path / "a", root=RootConfig("ROOTKEY", secret)) is None
            control = EmbeddedControlStore(tmp_path / "a")
            found = control.credential(AccessKey("ROOTKEY"))
            assert found is not None
            assert (found.secret_key, found.user.is_root) == (secret, True)
            assert control.root_credential() == found
            control.close()

    def test_secrets_are_for_the_owner_alone(self, tmp_path: Path) -> None:
        start_once(tmp_path / "a", tmp_path / "b")
        for path in (tmp_path / "a" / "control").iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path

    def test_second_server_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gateway.startup._LOCK_WAIT_S", 0.0)
        data = (tmp_path / "a", tmp_path / "b")
        prepared = prepare_store(Config(data=data))
        with pytest.raises(StoreInUse, match=str(os.getpid())):
            prepare_store(Config(data=data))
        for fd in prepared.held_fds:
            os.close(fd)
        start_once(*data)

    def test_lost_mountpath_is_a_problem_and_no_new_one(self, tmp_path: Path) -> None:
        a, b = tmp_path / "a", tmp_path / "b"
        start_once(a, b)
        b.rename(tmp_path / "elsewhere")
        prepared = prepare_store(Config(data=(a, b)))
        assert len(prepared.problems) == 1
        for fd in prepared.held_fds:
            os.close(fd)
        assert not b.exists()

    def test_mountpaths_without_their_control_store(self, tmp_path: Path) -> None:
        a, b = tmp_path / "a", tmp_path / "b"
        start_once(a, b)
        with pytest.raises(NoSuchStore):
            start_once(b)


class TestDoctor:
    @pytest.fixture
    def served(self, weir: Weir) -> Weir:
        """A store whose databases exist, as after its first start."""

        async def open_and_close() -> None:
            node = await open_node(Config(data=(weir.data,)), SystemClock())
            await node.close()

        asyncio.run(open_and_close())
        return weir

    def test_sound_store(self, served: Weir) -> None:
        assert served("doctor") == 0, served.out
        assert "damage     none" in served.out
        assert served("doctor", "--clean") == 0
        assert "nothing to remove" in served.out

    def test_damaged_index_is_found_and_made_anew(self, served: Weir) -> None:
        for path in served.data.glob("index.db*"):
            path.unlink()
        assert served("doctor") == 1
        assert "index.db is missing" in served.out
        assert served("doctor", "--rebuild-index") == 0, served.err
        assert served("doctor") == 0

    def test_damaged_control_store_is_found(self, served: Weir) -> None:
        path = served.data / "control" / "control.db"
        with path.open("r+b") as file:
            file.seek(5 * 4096)
            file.write(b"\xff" * 4096 * 3)
        assert served("doctor") == 1
        assert "control" in served.out + served.err

    def test_index_is_not_made_anew_under_a_server(
        self, served: Weir, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gateway.startup._LOCK_WAIT_S", 0.0)
        prepared = prepare_store(Config(data=(served.data,)))
        assert served("doctor", "--rebuild-index") == 1
        assert "stop that one first" in served.err
        for fd in prepared.held_fds:
            os.close(fd)


def help_of(run: Callable[[], object], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as left:
        run()
    assert left.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [[], ["serve"], ["user"], ["user", "add"], ["key", "ls"], ["doctor"], ["config"], ["version"]],
    ids=" ".join,
)
def test_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    said = help_of(lambda: main([*command, "--help"]), capsys)
    assert said.startswith("usage: weir")


def test_config_shows_values_and_origins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "weir.toml"
    file.write_text('region = "eu-1"\n[root]\naccess_key = "ROOT"\nsecret_key = "hush-hush"\n')
    assert main(["config", "--config", str(file), "--set", "log.level=debug", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["region"] == {"value": "eu-1", "origin": f"{file}:1"}
    assert shown["root.secret_key"]["value"] == "***"
    assert shown["log.level"] == {"value": "debug", "origin": "flag"}
    assert shown["workers"]["origin"] == "default"


def test_bad_setting_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--set", "regoin=x"]) == 2
    assert "did you mean 'region'" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out.startswith("weir ")
