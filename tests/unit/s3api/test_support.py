"""The support page says what the operation table says."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.loaders import Loader

from s3api.peers import PEERS, Peer
from s3api.router import TABLE
from s3api.support import NOTES, render

_PAGE = Path(__file__).resolve().parents[3] / "docs/s3-support.md"


def test_page_is_current() -> None:
    assert _PAGE.read_text() == render(), "run: python -m s3api.support > docs/s3-support.md"


def test_notes_are_of_served_operations() -> None:
    assert NOTES.keys() <= {row.operation.name for row in TABLE}


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_peers_are_said_to_serve_what_s3_has(peer: Peer) -> None:
    known = {*Loader().load_service_model("s3", "service-2")["operations"], "PostObject"}
    assert peer.served | peer.limits.keys() <= known
