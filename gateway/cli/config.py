"""Owns `weir config` and `weir version`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from gateway.cli.options import load
from gateway.config import Config
from gateway.config_sources import Setting, settings
from gateway.version import __version__

_MASK = "***"


def show(arguments: argparse.Namespace) -> int:
    """weir config"""
    if arguments.markdown:
        print(settings_table())
        return 0
    loaded = load(arguments)
    rows = [
        (setting, _value(loaded.config, setting), loaded.origins[setting.path])
        for setting in settings().values()
    ]
    if arguments.json:
        plain = {s.path: {"value": _plain(value), "origin": origin} for s, value, origin in rows}
        print(json.dumps(plain, indent=2))
        return 0
    shown = [(setting.path, _toml(value), origin) for setting, value, origin in rows]
    width = max(len(f"{path} = {value}") for path, value, _ in shown)
    for path, value, origin in shown:
        print(f"{f'{path} = {value}':<{min(width, 60)}}  # {origin}")
    return 0


def version(_: argparse.Namespace) -> int:
    """weir version"""
    print(f"weir {__version__}")
    return 0


def settings_table() -> str:
    """Every setting, as the table in docs/operations.md."""
    lines = ["| setting | environment | default | meaning |", "|---|---|---|---|"]
    for setting in settings().values():
        rule = setting.rule
        default = rule.default_text or f"`{_toml(setting.default)}`"
        choices = (
            f"; one of {', '.join(f'`{choice}`' for choice in rule.choices)}"
            if rule.choices
            else ""
        )
        lines.append(
            f"| `{setting.path}` | `{setting.variable}` | {default} | {rule.help}{choices} |"
        )
    return "\n".join(lines)


def _value(config: Config, setting: Setting) -> Any:
    value: Any = config
    for name in setting.path.split("."):
        value = getattr(value, name)
    return _MASK if setting.rule.is_secret and value else value


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _toml(value: Any) -> str:
    """As it would stand in the file; unset paths as empty text."""
    return '""' if value is None else json.dumps(_plain(value), ensure_ascii=False)
