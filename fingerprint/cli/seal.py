"""``fingerprint seal``: fix the analysis before anybody is asked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fingerprint.cli import common


def seal(
    output: Annotated[Path, typer.Option("-o", "--output", help="The seal, in JSON.")],
    probes: common.ProbesOption = "all",
    seed: common.SeedOption = 0,
    temperature: common.TemperatureOption = 1.0,
    system: common.SystemOption = "",
) -> None:
    """Write the digests of probes, methods, thresholds and calibration, to publish before collecting."""
    from datetime import UTC, datetime

    from fingerprint.calibration.model import shipped
    from fingerprint.probes import load
    from fingerprint.report.seal import make_seal

    sets = [each.ref for each in load(probes)]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    made = make_seal(sets, shipped(), temperature=temperature, system=system, seed=seed, created=now)
    common.write_text(made.model_dump_json(indent=2) + "\n", output)
    sys.stdout.write(f"{made.digest}\n")
    common.say("Publish this digest, or have it timestamped, before you collect; then `fingerprint compare … --seal FILE`.")
