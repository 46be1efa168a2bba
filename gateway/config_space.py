"""Owns the settings of how full disks may become with copies of what backends have."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config_rule import setting as _setting


@dataclass(frozen=True, slots=True)
class SpaceConfig:
    """How full disks, or their quota, may become with copies of what backends have."""

    high_percent: float = _setting(
        90.0,
        "above this, copies that were read longest ago are evicted",
        minimum=1,
        maximum=100,
    )
    low_percent: float = _setting(
        75.0, "down to this they are evicted; less than the high mark", minimum=0, maximum=100
    )
    out_of_space_percent: float = _setting(
        95.0,
        "above this no more copies are kept: what backends have is passed through",
        minimum=1,
        maximum=100,
    )
    check_interval_s: float = _setting(
        10.0, "time between looks at the disks", minimum=0.1, maximum=3600
    )
