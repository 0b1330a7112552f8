"""What a comparison may be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fingerprint.calibration.model import Calibration
from fingerprint.collection.budget import Budget
from fingerprint.collection.collect import Progress, silent
from fingerprint.collection.plan import Settings
from fingerprint.collection.store import default_root

if TYPE_CHECKING:
    from fingerprint.report.seal import Seal


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a comparison may be told; the defaults are what the calibration was made with."""

    probes: str = "all"
    settings: Settings = field(default_factory=Settings)
    budget: Budget = field(default_factory=Budget)
    store: Path = field(default_factory=default_root)
    calibration: Calibration | None = None
    prior: float | None = None
    progress: Progress = silent
    sequential: float | None = None  # the level α at which to stop asking early
    seal: Seal | None = None  # what was fixed before; the report says whether it was kept
    base: str | None = None  # spec of what the suspect was before it learned, if known; never a control
