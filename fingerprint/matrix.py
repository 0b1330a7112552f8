"""All pairs of a folder of recordings: each pair is seen against everybody else in the folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from fingerprint.calibration.model import Calibration, LogLR
from fingerprint.evidence.text import usable_answers
from fingerprint.recording import Recording
from fingerprint.stats.textsim import pair_scores
from fingerprint.verdict import Kind, panel_kind

#: Fewest models from which a folder is its own population.
SMALLEST_PANEL = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRow:
    """One pair; symmetric in ``a`` and ``b``."""

    a: str
    b: str
    log10_lr: float
    log10_lr_uncapped: float
    kind: Kind
    score: float
    shared_prompts: int


def compare_all(recordings: Sequence[Recording], calibration: Calibration) -> tuple[tuple[str, ...], list[PairRow]]:
    """Names and rows of all pairs, from the answers alone.

    With fewer than `SMALLEST_PANEL` models, or without a panel tier in the calibration, pairs are ranked but no
    likelihood ratio is claimed.
    """
    names = _names(recordings)
    answers = [usable_answers(recording) for recording in recordings]
    keys = list(dict.fromkeys(key for found in answers for key in found))
    scores = pair_scores([[found[key][0] if key in found else None for key in keys] for found in answers])
    tier = calibration.tiers.get("panel")
    populated = tier is not None and len(recordings) >= SMALLEST_PANEL and scores.normalised
    rows = []
    for i, j in combinations(range(len(names)), 2):
        value, shared = float(scores.score[i, j]), int(scores.shared_prompts[i, j])
        uncapped = tier.log10_lr({"panel_z": value}) if tier else value
        # Without a common prompt nothing was compared, and nothing is said.
        bounds = tier.bounds if tier and populated and shared else (0.0, 0.0)
        log_lr = LogLR.bounded("panel", uncapped, (uncapped, uncapped), bounds)
        rows.append(
            PairRow(
                a=names[i],
                b=names[j],
                log10_lr=log_lr.value,
                log10_lr_uncapped=log_lr.uncapped,
                kind=panel_kind(log_lr, shared),
                score=round(value, 4),
                shared_prompts=shared,
            )
        )
    return names, rows


def _names(recordings: Sequence[Recording]) -> tuple[str, ...]:
    given = [recording.model.name for recording in recordings]
    return tuple(
        name if given.count(name) == 1 else f"{name} ({recording.model.digest[7:15]})"
        for name, recording in zip(given, recordings, strict=True)
    )


def as_json(names: Sequence[str], rows: Sequence[PairRow]) -> dict[str, object]:
    """The matrix as its contract has it."""
    pairs = [{name: getattr(row, name) for name in PairRow.__slots__} for row in rows]
    return {"schema_version": "1.0", "models": list(names), "pairs": pairs}


def as_csv(rows: Sequence[PairRow]) -> str:
    """One line per pair; names that a spreadsheet would run as a formula are made harmless."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(PairRow.__slots__)
    for row in rows:
        values = [getattr(row, name) for name in PairRow.__slots__]
        writer.writerow(["'" + v if isinstance(v, str) and v[:1] in "=+-@\t\r" else v for v in values])
    return buffer.getvalue()
