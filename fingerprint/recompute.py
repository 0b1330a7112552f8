"""Recompute a report from its file, or from its recordings as well: `fingerprint verify`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fingerprint import api, shipped
from fingerprint.calibration.model import known, read
from fingerprint.report import verify as recompute
from fingerprint.report.schema import Report
from fingerprint.report.verify import Verification


def verify(report: Report, folders: Sequence[Path] = (), calibration: Path | None = None) -> Verification:
    """Recompute a report from itself, or from the recordings in some folders and those that ship.

    Raises:
        UsageError: a file cannot be read, or the report lacks what a verdict needs.

    """
    calibrations = dict(known())
    if calibration is not None:
        given = read(calibration)
        calibrations[given.digest] = given
    if not folders:
        return recompute.verify(report, calibrations)
    recordings = [recording for folder in folders for recording in api.read_folder(folder)]
    return recompute.verify_from(report, [*recordings, *shipped.recordings()], calibrations)
