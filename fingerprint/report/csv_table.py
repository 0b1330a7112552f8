"""The report as a table for spreadsheets: the verdict first, then each method with the reference and with every other."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fingerprint.text import safe_cell

if TYPE_CHECKING:
    from fingerprint.report.schema import Report

COLUMNS = ("row", "method", "access", "compared_with", "effect", "low", "high", "pvalue", "n", "log10_lr", "note")
_LONG = 1000


def render_csv(report: Report) -> str:
    """Comma-separated rows under one header; text that a spreadsheet would run as a formula is made harmless."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in _rows(report):
        writer.writerow([_cell(row.get(name)) for name in COLUMNS])
    return buffer.getvalue()


def _rows(report: Report) -> Iterator[dict[str, object]]:
    result = report.result
    reference = result.reference.name
    low, high = result.log10_lr_interval
    verdict = {"compared_with": reference, "low": low, "high": high, "log10_lr": result.log10_lr}
    yield {"row": "verdict", "method": result.verdict.kind, **verdict, "note": result.verdict.sentence}
    for part in result.evidence:
        shared = {"method": part.method, "access": part.access, "n": part.n}
        ends = part.interval or (None, None)
        own = {"effect": part.effect, "low": ends[0], "high": ends[1], "pvalue": part.pvalue, "log10_lr": part.log10_lr}
        yield {"row": "evidence", **shared, "compared_with": reference, **own, "note": part.note}
        for name, value in part.controls.items():
            yield {"row": "control", **shared, "compared_with": name, "effect": value}
    for skipped in result.skipped:
        yield {"row": "skipped", "method": skipped.method, "note": skipped.reason}
    for limit in result.limits:
        yield {"row": "limit", "note": limit}


def _cell(value: object) -> object:
    return safe_cell(value, limit=_LONG) if isinstance(value, str) else value
