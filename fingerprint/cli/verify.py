"""``fingerprint verify``: recompute a verdict that somebody else reported."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fingerprint.cli import common


def verify(
    file: Annotated[Path, typer.Argument(help="A report in JSON.")],
    recordings: Annotated[
        list[Path] | None,
        typer.Option(
            "--recordings", help="Folder of the recordings: the statistics are computed again, not only the verdict."
        ),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option("--calibration", help="The calibration of the report, where the package does not hold it."),
    ] = None,
) -> None:
    """Recompute a report. Exit 0: it comes out the same; 1: it does not, with the first difference; 2: not readable."""
    from fingerprint.code import source_digest
    from fingerprint.recompute import verify as recompute
    from fingerprint.text import safe_text

    report = common.read_report(file)
    found = recompute(report, folders=recordings or (), calibration=calibration)
    word, detail = ("same", found.recomputed) if found.same else ("different", found.difference)
    sys.stdout.write(f"{word}: {safe_text(str(file))}: {safe_text(detail, limit=600)}\n")
    if report.run.code != source_digest():
        common.say(
            f"The report was written by fingerprint {safe_text(report.run.tool_version)} with other code than this one."
        )
    if not found.same:
        raise typer.Exit(1)
