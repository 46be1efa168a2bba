"""The commands in README.md and the pages for administrators are commands that exist, with options that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from gateway.cli.arguments import build_parser

REPOSITORY = Path(__file__).parents[2]
PAGES = [
    "README.md",
    "docs/native-api.md",
    "docs/operations.md",
    "docs/cloud.md",
    "docker/compose.yaml",
]


_COMMAND = r"weir (?:serve|user|key|token|account|bucket|kms|job|doctor|config|version)\b"


def weir_commands() -> list[str]:
    found = []
    for page in PAGES:
        text = (REPOSITORY / page).read_text()
        found += re.findall(
            rf"^(?:#? {{3,4}})?(?:docker .* exec weir )?({_COMMAND}.*)$", text, re.MULTILINE
        )
        found += re.findall(rf"`({_COMMAND}[^`]*)`", text)
    return sorted({command for command in found if "NAME=VALUE" not in command})


@pytest.mark.parametrize("command", weir_commands())
def test_weir_command_parses(command: str) -> None:
    words = shlex.split(command)[1:]
    if all(word.isidentifier() for word in words):  # named in a sentence, without what it needs
        with pytest.raises(SystemExit, match=r"^0$"):
            build_parser().parse_args([*words, "--help"])
    else:
        build_parser().parse_args(words)


def test_commands_were_found() -> None:
    assert len(weir_commands()) >= 8


def test_links_lead_somewhere() -> None:
    for page in REPOSITORY.glob("**/*.md"):
        if ".venv" in page.parts:
            continue
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"
