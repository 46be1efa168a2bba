"""Settings: their sources in rising order, what is refused and how it is said, and that all are documented."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from gateway.cli.config import settings_table
from gateway.config import Config, parse_address
from gateway.config_sources import ConfigError, LoadedConfig, load_config, settings

REPOSITORY = Path(__file__).parents[3]


def load(
    tmp_path: Path,
    toml: str | None = None,
    environment: dict[str, str] | None = None,
    **flags: object,
) -> LoadedConfig:
    file = None
    if toml is not None:
        file = tmp_path / "weir.toml"
        file.write_text(toml)
    named = {name.replace("__", "."): value for name, value in flags.items()}
    return load_config(file=file, flags=named, environment=environment or {})


class TestSources:
    def test_defaults(self, tmp_path: Path) -> None:
        loaded = load(tmp_path)
        assert loaded.config.listen_address == ("127.0.0.1", 9000)
        assert loaded.config.data == (Path.cwd() / "weir-data",)
        assert loaded.config.workers == len(os.sched_getaffinity(0))
        assert set(loaded.origins.values()) == {"default"}

    def test_file_then_environment_then_flags(self, tmp_path: Path) -> None:
        loaded = load(
            tmp_path,
            'region = "eu-1"\nlisten = ":1"\nworkers = 3\n[log]\nlevel = "debug"\n',
            {"WEIR_LISTEN": ":2", "WEIR_WORKERS": "4"},
            workers="5",
        )
        config = loaded.config
        assert (config.region, config.listen, config.workers) == ("eu-1", ":2", 5)
        assert config.log.level == "debug"
        assert loaded.origins["region"] == f"{tmp_path}/weir.toml:1"
        assert loaded.origins["log.level"] == f"{tmp_path}/weir.toml:5"
        assert loaded.origins["listen"] == "environment WEIR_LISTEN"
        assert loaded.origins["workers"] == "flag"

    def test_file_named_by_the_environment(self, tmp_path: Path) -> None:
        (tmp_path / "other.toml").write_text('region = "eu-2"')
        loaded = load(tmp_path, environment={"WEIR_CONFIG": str(tmp_path / "other.toml")})
        assert loaded.config.region == "eu-2"

    def test_directories_in_a_file_are_relative_to_it(self, tmp_path: Path) -> None:
        assert load(tmp_path, 'data = ["a", "/b"]').config.data == (tmp_path / "a", Path("/b"))

    def test_directories_elsewhere_are_relative_to_here(self, tmp_path: Path) -> None:
        assert load(tmp_path, environment={"WEIR_DATA": "a:/b"}).config.data == (
            Path.cwd() / "a",
            Path("/b"),
        )
        assert load(tmp_path, data=["c"]).config.data == (Path.cwd() / "c",)

    @pytest.mark.parametrize(
        ("text", "value"),
        [("65536", 65536), ("64KiB", 65536), ("64 kib", 65536), ("1MB", 10**6), ("9b", 9)],
    )
    def test_sizes_may_have_units(self, tmp_path: Path, text: str, value: int) -> None:
        loaded = load(tmp_path, environment={"WEIR_STORAGE_SMALL_OBJECT_BYTES": text})
        assert loaded.config.storage.small_object_bytes == value

    def test_lists_and_booleans_as_text(self, tmp_path: Path) -> None:
        loaded = load(
            tmp_path, environment={"WEIR_DOMAINS": "a.test, b.test", "WEIR_LOG_ACCESS": "no"}
        )
        assert loaded.config.domains == ("a.test", "b.test")
        assert loaded.config.log.access is False

    def test_variables_that_kubernetes_makes_are_let_be(self, tmp_path: Path) -> None:
        environment = {
            "WEIR_SERVICE_HOST": "10.0.0.1",
            "WEIR_PORT": "tcp://10.0.0.1:9000",
            "WEIR_PORT_9000_TCP_ADDR": "10.0.0.1",
        }
        assert load(tmp_path, environment=environment).config == load(tmp_path).config


class TestRefusals:
    @pytest.mark.parametrize(
        ("toml", "said"),
        [
            (
                "\nregoin = 'x'",
                r"weir\.toml:2: top level: unknown key 'regoin'; did you mean 'region'\?",
            ),
            (
                "[storage]\nverify_rat = 1",
                r"weir\.toml:2: \[storage\]: unknown key 'verify_rat'; did you mean 'verify_rate'\?",
            ),
            ("[storge]\nverify_rate = 1", r"unknown key 'storge'; did you mean 'storage'\?"),
            ("small_object_bytes = 1", r"it belongs in \[storage\]"),
            ("[log]\nregion = 'x'", "it belongs at top level"),
            ("region = ", "not valid TOML"),
            ("region = 5", r"weir\.toml:1: region: 5: text is wanted"),
            ("workers = 0", "at least 1 is wanted"),
            ("workers = true", "a whole number is wanted"),
            ("[storage]\nverify_rate = 1.5", "at most 1 is wanted"),
            ("[storage]\nverify_rate = nan", "a finite number is wanted"),
            ("[log]\nformat = 'jsn'", "did you mean 'json'"),
            ("[log]\naccess = 'perhaps'", "true or false is wanted"),
            ("domains = 5", "a list is wanted"),
            ("data = ['a', 'a']", "named twice"),
            ("listen = 'host:port'", "is no port"),
            ("listen = '::1:9000'", "brackets"),
            ("tls_cert = 'a.pem'", "tls_cert and tls_key are set together"),
            ("tls_cert = 'a.pem'\ntls_key = 'b.pem'", r"a\.pem: no such file"),
            ("[root]\naccess_key = 'abc'", "are set together"),
            ("[root]\naccess_key = 'abc'\nsecret_key = 'short'", "at least 8"),
            ("[root]\naccess_key = 'a b'\nsecret_key = 'hush-hush'", "other than space"),
            ("domains = ['a.b', 'c']\nwebsite_domains = ['c']", "c is one of domains"),
            ("[encryption]\nmaster_key = 'c2hvcnQ='", "32 random bytes in base64"),
            ("[encryption]\nmaster_key = 'a'\nmaster_key_file = 'b'", "exclude each other"),
        ],
    )
    def test_file(self, tmp_path: Path, toml: str, said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            load(tmp_path, toml)

    def test_unreadable_file(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="cannot be read"):
            load_config(file=tmp_path / "absent.toml", environment={})

    def test_unknown_variable(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="WEIR_REGOIN; did you mean 'WEIR_REGION'"):
            load(tmp_path, environment={"WEIR_REGOIN": "x"})

    def test_unknown_setting_flag(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"did you mean 'log\.level'"):
            load(tmp_path, log__levle="info")

    def test_secrets_are_not_repeated(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError) as caught:
            load(tmp_path, "[root]\naccess_key = 'abc'\nsecret_key = 12345678")
        assert "12345678" not in str(caught.value)
        config = load(tmp_path, "[root]\naccess_key = 'abc'\nsecret_key = 'hush-hush'").config
        assert "hush" not in repr(config)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9000", ("127.0.0.1", 9000)),
        ("[::1]:80", ("::1", 80)),
        ("[::1]", ("::1", 9000)),
        (":0", ("0.0.0.0", 0)),
        ("localhost", ("localhost", 9000)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


def test_every_setting_is_documented() -> None:
    """The table in docs/operations.md is the output of `weir config --markdown`."""
    assert settings_table() in (REPOSITORY / "docs" / "operations.md").read_text()


def _names_used(source: str) -> set[str]:
    tree = ast.parse(source)
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def test_every_setting_does_something() -> None:
    used = {
        name
        for path in (REPOSITORY / "gateway").rglob("*.py")
        if path.name not in ("config_sources.py",)
        for name in _names_used(path.read_text())
    }
    assert {path.rpartition(".")[2] for path in settings()} <= used


def test_environment_is_read_in_one_place() -> None:
    readers = {
        str(path.relative_to(REPOSITORY))
        for package in ("core", "gateway", "s3api", "storage", "backends", "jobs", "cluster")
        for path in (REPOSITORY / package).rglob("*.py")
        if _names_used(path.read_text()) & {"environ", "environb", "getenv"}
    }
    # Adapters read the variables of their providers' own standard chains, for credentials that no account has.
    chains = {
        "backends/azure_client.py",
        "backends/google_tokens.py",
        "backends/s3_options.py",
    }
    assert readers - chains == {"gateway/config_sources.py"}


def test_config_is_frozen() -> None:
    with pytest.raises(AttributeError):
        Config().region = "x"  # type: ignore[misc]


class TestTables:
    """Settings that are a list of tables."""

    TOML = """
        [events]
        timeout_s = 3
        [[events.destinations]]
        name = "hooks"
        kind = "webhook"
        url = "https://example.org/hook"
        [[events.destinations]]
        name = "stream"
        kind = "redis"
        url = "redis://:secret@localhost"
        stream = "s3"
        """

    def test_from_a_file(self, tmp_path: Path) -> None:
        events = load(tmp_path, self.TOML).config.events
        assert events.timeout_s == 3
        assert [(each.name, each.kind, each.stream) for each in events.destinations] == [
            ("hooks", "webhook", ""),
            ("stream", "redis", "s3"),
        ]

    def test_from_the_environment(self, tmp_path: Path) -> None:
        text = '[{"name": "hooks", "kind": "webhook", "url": "http://localhost:1"}]'
        events = load(tmp_path, environment={"WEIR_EVENTS_DESTINATIONS": text}).config.events
        assert events.destinations[0].url == "http://localhost:1"

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("nonsense", "JSON"),
            ("[1]", "a table is wanted"),
            ('[{"nam": "a"}]', "did you mean 'name'"),
            ('[{"name": 1}]', "name: text is wanted"),
            ('[{"name": "a b", "kind": "webhook", "url": "http://h"}]', "letters"),
            ('[{"name": "a", "kind": "kafka", "url": "http://h"}]', "one of webhook, redis"),
            ('[{"name": "a", "url": "http://h"}]', "one of webhook, redis"),
            ('[{"name": "a", "kind": "webhook", "url": "ftp://h"}]', "http:// or https://"),
            ('[{"name": "a", "kind": "redis", "url": "redis://h"}]', "stream"),
            (
                '[{"name": "a", "kind": "webhook", "url": "http://h"},'
                ' {"name": "a", "kind": "webhook", "url": "http://h"}]',
                "two destinations",
            ),
        ],
    )
    def test_refused(self, tmp_path: Path, text: str, said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            load(tmp_path, environment={"WEIR_EVENTS_DESTINATIONS": text})

    def test_secrets_are_not_shown(self, tmp_path: Path) -> None:
        assert "secret" not in repr(load(tmp_path, self.TOML).config)
        with pytest.raises(ConfigError) as caught:
            load(tmp_path, environment={"WEIR_EVENTS_DESTINATIONS": '[{"url": "secret"}]'})
        assert "secret" not in str(caught.value)
