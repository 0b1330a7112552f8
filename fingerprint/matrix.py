"""All pairs of a folder of recordings: each pair is seen against everybody else in the folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from fingerprint.calibration.model import LogLR
from fingerprint.calibration.panel import PanelCalibration
from fingerprint.evidence.protocol import voided
from fingerprint.evidence.text import usable_answers
from fingerprint.recording import Recording
from fingerprint.stats.textsim import PairScores, pair_scores
from fingerprint.text import safe_cell
from fingerprint.verdict import Kind, panel_bounds, panel_kind


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRow:
    """One pair; symmetric in ``a`` and ``b``.

    ``score`` is the lineage score (standard deviations), ``imitation`` that for manner alone;
    ``log10_lr_uncapped`` ranks by both.
    """

    a: str
    b: str
    log10_lr: float
    log10_lr_uncapped: float
    kind: Kind
    score: float
    imitation: float
    shared_prompts: int


def compare_all(recordings: Sequence[Recording], calibration: PanelCalibration) -> tuple[tuple[str, ...], list[PairRow]]:
    """Names and rows of all pairs, from the answers alone.

    Small panels are ranked, but `verdict.panel_bounds` lets no likelihood ratio be claimed in them.
    """
    names = distinct_names(recordings)
    scores = score_all(recordings)
    identities = [recording.model.digest for recording in recordings]
    independent = len(set(identities))
    rows = [
        pair_row(names, scores, (i, j), calibration, models=independent, alike=not voided(one, two, "panel"))
        for (i, one), (j, two) in combinations(enumerate(recordings), 2)
    ]
    return names, rows


def score_all(recordings: Sequence[Recording]) -> PairScores:
    """The text scores of all pairs: one answer per prompt, guardrail probes left out."""
    answers = [usable_answers(recording) for recording in recordings]
    keys = list(dict.fromkeys(key for found in answers for key in found))
    return pair_scores([[found[key][0] if key in found else None for key in keys] for found in answers])


def pair_row(
    names: Sequence[str],
    scores: PairScores,
    pair: tuple[int, int],
    calibration: PanelCalibration,
    *,
    models: int,
    alike: bool,
) -> PairRow:
    """One pair of the scored models, with what a panel of ``models`` different models may claim of it.

    ``alike``: both were asked under the same protocol.
    """
    i, j = pair
    value, manner, shared = float(scores.score[i, j]), float(scores.imitation[i, j]), int(scores.shared_prompts[i, j])
    uncapped = calibration.log10_lr(value, manner) if scores.normalised else value
    bounds = panel_bounds(calibration.bounds, models=models if scores.normalised else 0, shared_prompts=shared, alike=alike)
    log_lr = LogLR.bounded("panel", uncapped, (uncapped, uncapped), bounds)
    return PairRow(
        a=names[i],
        b=names[j],
        log10_lr=log_lr.value,
        log10_lr_uncapped=log_lr.uncapped,
        kind=panel_kind(log_lr, shared),
        score=round(value, 4),
        imitation=round(manner, 4),
        shared_prompts=shared,
    )


def distinct_names(recordings: Sequence[Recording]) -> tuple[str, ...]:
    """A different name for each recording: with its digest where a name repeats, numbered where that does too."""
    given = [recording.model.name for recording in recordings]
    longer = [
        name if given.count(name) == 1 else f"{name} ({recording.model.digest[7:15]})"
        for name, recording in zip(given, recordings, strict=True)
    ]
    return tuple(
        name if longer.count(name) == 1 else f"{name} #{longer[:place].count(name) + 1}"
        for place, name in enumerate(longer)
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
        writer.writerow([safe_cell(value) if isinstance(value, str) else value for value in values])
    return buffer.getvalue()
