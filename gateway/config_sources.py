"""Owns how a Config comes about: TOML file, environment, flags, in rising order, with the origin of every value.

Anything unknown or out of range is refused with its place and, for names, the nearest right one.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import os
import re
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.keys import ACCESS_KEY_FORM, is_access_key
from core.errors import InvalidArgument
from gateway.config import DEFAULT_DATA, Config, EncryptionConfig, parse_address
from gateway.config_rule import Rule
from gateway.storage_classes import storage_classes

ENV_PREFIX = "WEIR_"
CONFIG_VARIABLE = "WEIR_CONFIG"

# Kubernetes and Docker links put such variables into containers beside a service of the name "weir".
_FOREIGN_VARIABLE = re.compile(r"WEIR_(SERVICE_(HOST|PORT)(_.*)?|PORT(_.*)?)\Z")
_SIZE = re.compile(r"(\d[\d_]*)\s*(?:([kmgt])(i?)b?|b)?\Z", re.IGNORECASE)
_DESTINATION_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_DESTINATION_SCHEMES = {
    "webhook": ("http://", "https://"),
    "redis": ("redis://", "rediss://"),
}
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}


_SEE_ALL = "; weir config shows every setting"


class ConfigError(Exception):
    """The settings cannot be used. The message says what, where, and what would be right."""


class _UnfitError(Exception):
    """A value that its setting cannot take; becomes a ConfigError with the place."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One leaf of the Config tree. `path` is its name in TOML, `kind` the type of its values."""

    path: str
    kind: Any
    rule: Rule
    default: Any

    @property
    def variable(self) -> str:
        return ENV_PREFIX + self.path.replace(".", "_").upper()


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A Config with, by setting path, where each value came from."""

    config: Config
    origins: Mapping[str, str]


def settings() -> dict[str, Setting]:
    """Every setting by path, in the order of the documentation."""
    return {setting.path: setting for setting in _leaves(Config, "")}


def variable(name: str) -> str | None:
    """A variable of the environment that a command was told to read."""
    return os.environ.get(name)


def load_config(
    *,
    file: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> LoadedConfig:
    """Merge all sources. `flags` maps setting paths to values or texts; None values are skipped.

    `environment` is the process's own by default. Raises ConfigError.
    """
    variables = os.environ if environment is None else environment
    if file is None and variables.get(CONFIG_VARIABLE):
        file = Path(variables[CONFIG_VARIABLE])
    known = settings()
    values: dict[str, Any] = {}
    origins = dict.fromkeys(known, "default")
    for path, raw, origin in _sources(known, file, variables, flags or {}):
        base = file.resolve().parent if file and origin.startswith(str(file)) else Path.cwd()
        values[path] = _convert(known[path], raw, origin, base)
        origins[path] = origin
    if not values.get("data"):
        values["data"] = (Path.cwd() / DEFAULT_DATA,)
    config = _build(Config, "", values)
    _check_whole(config, origins)
    return LoadedConfig(config, origins)


# --- sources -----------------------------------------------------------------------------------------------------


def _sources(
    known: Mapping[str, Setting],
    file: Path | None,
    variables: Mapping[str, str],
    flags: Mapping[str, Any],
) -> Iterator[tuple[str, Any, str]]:
    """(path, raw value, origin) of everything that is set, weakest source first."""
    if file is not None:
        yield from _read_file(known, file)
    by_variable = {setting.variable: path for path, setting in known.items()}
    for name in sorted(variables):
        if not name.startswith(ENV_PREFIX) or name == CONFIG_VARIABLE:
            continue
        if name in by_variable:
            yield by_variable[name], variables[name], f"environment {name}"
        elif not _FOREIGN_VARIABLE.match(name):
            raise ConfigError(f"environment: unknown variable {name}{_hint(name, by_variable)}")
    for path, raw in flags.items():
        if path not in known:
            raise ConfigError(f"--set: unknown setting {path!r}{_hint(path, known)}")
        if raw is not None:
            yield path, raw, "flag"


def _read_file(known: Mapping[str, Setting], file: Path) -> Iterator[tuple[str, Any, str]]:
    try:
        text = file.read_text("utf-8")
        tree = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from None
    sections = {path.partition(".")[0] for path in known if "." in path}
    for name, value in tree.items():
        if name in sections and isinstance(value, dict):
            entries = {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            entries = {name: value}
        for path, raw in entries.items():
            place = f"{file}:{_line_of(text, path)}"
            if path not in known:
                section, _, key = path.rpartition(".")
                where = f"[{section}]" if section else "top level"
                names = {p.rpartition(".")[2]: p for p in known if p.rpartition(".")[0] == section}
                hint = _nearest(key, {**names, **dict.fromkeys(() if section else sections)})
                raise ConfigError(
                    f"{place}: {where}: unknown key {key!r}{hint or _elsewhere(key, known) or _SEE_ALL}"
                )
            yield path, raw, place


def _line_of(text: str, path: str) -> int:
    """The line that sets `path`, or the nearest that the plain forms of TOML let us find."""
    section, _, key = path.rpartition(".")
    current, best = "", 1
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("["):
            current = stripped.strip("[] \t").split("#")[0].strip()
            if current in (section, path):
                best = number
        elif re.match(rf"[\"']?{re.escape(key)}[\"']?\s*[=.]", stripped) and current == section:
            return number
    return best


def _nearest(name: str, candidates: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def _hint(name: str, candidates: Mapping[str, Any]) -> str:
    return _nearest(name, candidates) or _SEE_ALL


def _elsewhere(key: str, known: Mapping[str, Setting]) -> str:
    """A hint for a right key in the wrong section."""
    for path in known:
        if path.rpartition(".")[2] == key:
            section = path.rpartition(".")[0]
            return f"; it belongs in [{section}]" if section else "; it belongs at top level"
    return ""


# --- values ------------------------------------------------------------------------------------------------------


def _leaves(cls: Any, prefix: str) -> Iterator[Setting]:
    hints = typing.get_type_hints(cls)
    for item in dataclasses.fields(cls):
        if dataclasses.is_dataclass(hints[item.name]):
            yield from _leaves(hints[item.name], f"{prefix}{item.name}.")
            continue
        default = item.default
        if item.default_factory is not dataclasses.MISSING:
            default = item.default_factory()
        yield Setting(prefix + item.name, hints[item.name], item.metadata["rule"], default)


def _build(cls: Any, prefix: str, values: Mapping[str, Any]) -> Any:
    hints = typing.get_type_hints(cls)
    arguments = {}
    for item in dataclasses.fields(cls):
        path = prefix + item.name
        if dataclasses.is_dataclass(hints[item.name]):
            arguments[item.name] = _build(hints[item.name], f"{path}.", values)
        elif path in values:
            arguments[item.name] = values[path]
    return cls(**arguments)


def _convert(setting: Setting, raw: Any, origin: str, base: Path) -> Any:
    """A raw value (TOML's, or text) as the setting's type, within its rule. Raises ConfigError."""
    try:
        value = _parse(setting.kind, raw, base)
        _check(setting.rule, value)
    except _UnfitError as error:
        shown = "the value" if setting.rule.is_secret else f"{raw!r}"
        raise ConfigError(f"{origin}: {setting.path}: {shown}: {error}") from None
    return value


def _parse(kind: Any, raw: Any, base: Path) -> Any:
    if typing.get_origin(kind) is tuple:
        element = typing.get_args(kind)[0]
        if isinstance(raw, str) and dataclasses.is_dataclass(element):
            raw = _parse_json(raw)
        elif isinstance(raw, str):
            raw = [part.strip() for part in raw.split("," if element is str else os.pathsep)]
        if not isinstance(raw, list | tuple):
            raise _UnfitError("a list is wanted")
        return tuple(_parse(element, part, base) for part in raw if part != "")
    if isinstance(kind, types.UnionType):
        kind = typing.get_args(kind)[0]
    if dataclasses.is_dataclass(kind):
        return _parse_table(kind, raw, base)
    if kind is bool:
        return _parse_bool(raw)
    if kind is int:
        return _parse_int(raw)
    if kind is float:
        return _parse_float(raw)
    if not isinstance(raw, str | Path):
        raise _UnfitError("text is wanted")
    if kind is Path:
        return (base / Path(raw).expanduser()).absolute()
    return str(raw)


def _parse_json(raw: str) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        raise _UnfitError("a list of tables is wanted, as JSON") from None


def _parse_table(kind: Any, raw: Any, base: Path) -> Any:
    """A table of a list of tables."""
    if not isinstance(raw, Mapping):
        raise _UnfitError("a table is wanted")
    known = {setting.path: setting for setting in _leaves(kind, "")}
    values = {}
    for name, value in raw.items():
        if name not in known:
            raise _UnfitError(f"unknown key {name!r}{_nearest(str(name), known)}")
        try:
            values[name] = _parse(known[name].kind, value, base)
            _check(known[name].rule, values[name])
        except _UnfitError as error:
            raise _UnfitError(f"{name}: {error}") from None
    return _build(kind, "", values)


def _parse_bool(raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.lower() in _BOOLEANS:
        return _BOOLEANS[raw.lower()]
    raise _UnfitError("true or false is wanted")


def _parse_int(raw: Any) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    found = _SIZE.match(raw.strip()) if isinstance(raw, str) else None
    if not found:
        raise _UnfitError("a whole number is wanted, or one with a unit (64KiB, 10GB)")
    number, unit, binary = found.groups()
    power = " kmgt".index(unit.lower()) if unit else 0
    factor: int = (1024 if binary else 1000) ** power
    return int(number) * factor


def _parse_float(raw: Any) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise _UnfitError("a number is wanted")
    try:
        value = float(raw)
    except ValueError:
        raise _UnfitError("a number is wanted") from None
    if not math.isfinite(value):
        raise _UnfitError("a finite number is wanted")
    return value


def _check(rule: Rule, value: Any) -> None:
    if rule.choices and value not in rule.choices:
        close = _nearest(str(value), dict.fromkeys(rule.choices))
        raise _UnfitError(f"one of {', '.join(rule.choices)} is wanted{close}")
    if rule.minimum is not None and value < rule.minimum:
        raise _UnfitError(f"at least {rule.minimum:g} is wanted")
    if rule.maximum is not None and value > rule.maximum:
        raise _UnfitError(f"at most {rule.maximum:g} is wanted")


def _check_whole(config: Config, origins: Mapping[str, str]) -> None:
    """Rules that span settings."""
    for name, text in (("listen", config.listen), ("website_listen", config.website_listen)):
        try:
            parse_address(text)
        except ValueError as error:
            raise ConfigError(f"{origins[name]}: {name}: {text!r}: {error}") from None
    if len(set(config.data)) != len(config.data):
        raise ConfigError(f"{origins['data']}: data: a directory is named twice")
    _check_destinations(config)
    try:
        storage_classes(config)
    except ValueError as error:
        raise ConfigError(f"{origins['storage.classes']}: storage.classes: {error}") from None
    if (config.tls_cert is None) != (config.tls_key is None):
        raise ConfigError("tls_cert and tls_key are set together or not at all")
    for path in filter(None, (config.tls_cert, config.tls_key)):
        if not path.is_file():
            raise ConfigError(f"{path}: no such file; tls_cert and tls_key name PEM files")
    if bool(config.root.access_key) != bool(config.root.secret_key):
        raise ConfigError("root.access_key and root.secret_key are set together or not at all")
    if config.root.access_key and not is_access_key(config.root.access_key):
        raise ConfigError(f"root.access_key: {ACCESS_KEY_FORM} are wanted")
    if config.root.secret_key and len(config.root.secret_key) < 8:
        raise ConfigError("root.secret_key: at least 8 characters are wanted")
    twice = sorted(set(config.domains) & set(config.website_domains))
    if twice:
        raise ConfigError(f"website_domains: {twice[0]} is one of domains, which the API answers")
    _check_master_key(config.encryption)


def _check_master_key(encryption: EncryptionConfig) -> None:
    """That of a file is read when it is needed: what holds the file may be mounted later."""
    if not encryption.master_key:
        return
    if encryption.master_key_file:
        raise ConfigError("encryption.master_key and encryption.master_key_file exclude each other")
    # Here, so that only who sets a key waits for the ciphers.
    from cluster.master_key import parse_master_key

    try:
        parse_master_key(encryption.master_key, "encryption.master_key")
    except InvalidArgument as error:
        raise ConfigError(f"encryption.master_key: {error.reason}") from None


def _check_destinations(config: Config) -> None:
    names = set()
    for each in config.events.destinations:
        place = f"events.destinations: {each.name!r}"
        if not _DESTINATION_NAME.match(each.name):
            raise ConfigError(f"{place}: a name of 1 to 64 letters, digits, _ and - is wanted")
        if each.name in names:
            raise ConfigError(f"{place}: two destinations have this name")
        names.add(each.name)
        schemes = _DESTINATION_SCHEMES.get(each.kind)
        if schemes is None:
            raise ConfigError(f"{place}: kind: one of {', '.join(_DESTINATION_SCHEMES)} is wanted")
        if not each.url.startswith(schemes):
            raise ConfigError(
                f"{place}: url: one that begins with {' or '.join(schemes)} is wanted"
            )
        if (each.kind == "redis") != bool(each.stream):
            raise ConfigError(f"{place}: stream: redis needs one, and nothing else has one")
