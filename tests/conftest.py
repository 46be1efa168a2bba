"""Owns what all tests share: how hypothesis runs."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# A deadline for each example would measure how busy the machine is; pytest's own timeout catches what hangs.
settings.register_profile(
    "weir",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("weir")
