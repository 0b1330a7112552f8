"""All pairs of a folder of recordings: each pair is seen against everybody else in the folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from fingerprint.calibration.model import LogLR
from fingerprint.calibration.panel import PanelCalibration
from fingerprint.evidence.base import MIN_PROMPTS
from fingerprint.evidence.protocol import voided
from fingerprint.evidence.text import usable_answers
from fingerprint.recording import Recording
from fingerprint.stats.textsim import PairScores, pair_scores
from fingerprint.text import safe_cell
from fingerprint.verdict import SMALLEST_PANEL, Kind, drifted, panel_bounds, panel_kind


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
        pair_row(names, scores, (i, j), calibration, models=independent, alike=comparable(one, two))
        for (i, one), (j, two) in combinations(enumerate(recordings), 2)
    ]
    return names, rows


def comparable(first: Recording, second: Recording) -> bool:
    """Whether anything may be claimed of a pair: asked alike, and neither was made of more than one model."""
    return not (voided(first, second, "panel") or drifted(first) or drifted(second))


def limits(recordings: Sequence[Recording], rows: Sequence[PairRow]) -> tuple[str, ...]:
    """Why less is claimed of some pairs than their scores suggest, in sentences."""
    found = small_population(len({recording.model.digest for recording in recordings}))
    few = sum(row.shared_prompts < MIN_PROMPTS for row in rows)
    if few:
        found.append(f"{few} pairs have fewer than {MIN_PROMPTS} answered prompts in common: nothing is claimed of them.")
    odd = sum(voided(one, two, "panel") for one, two in combinations(recordings, 2))
    if odd:
        found.append(
            f"{odd} pairs were asked under another temperature, system prompt or channel: nothing is claimed of them."
        )
    mute = [recording.model.name for recording in recordings if not usable_answers(recording)]
    if mute:
        found.append(f"No answer that says something of its own (blank, refusals, always the same): {', '.join(mute)}.")
    return (*found, *changed(recordings), *versions(recordings))


def small_population(models: int) -> list[str]:
    """What a population of too few models means."""
    words = (
        f"A population of {models} models is too small to say what is common to all: they are ranked, and no likelihood "
        f"ratio is claimed below {SMALLEST_PANEL}."
    )
    return [] if models >= SMALLEST_PANEL else [words]


def changed(recordings: Sequence[Recording]) -> list[str]:
    """The models that changed while they were recorded."""
    names = [recording.model.name for recording in recordings if drifted(recording)]
    if not names:
        return []
    return [f"Changed while it was recorded, so that nothing is claimed of it: {', '.join(names)}. Collect it again."]


def versions(recordings: Sequence[Recording]) -> list[str]:
    """Probe sets that were answered in different versions."""
    known: dict[str, set[str]] = {}
    for ref in (ref for recording in recordings for ref in recording.probe_sets):
        known.setdefault(ref.name, set()).add(ref.digest)
    return [
        f"The probe set {name} was recorded in different versions; only prompts with the same words are compared."
        for name, digests in sorted(known.items())
        if len(digests) > 1
    ]


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


def as_json(names: Sequence[str], rows: Sequence[PairRow], limits: Sequence[str] = ()) -> dict[str, object]:
    """The matrix as its contract has it."""
    pairs = [{name: getattr(row, name) for name in PairRow.__slots__} for row in rows]
    return {"schema_version": "1.0", "models": list(names), "pairs": pairs, "limits": list(limits)}


def as_csv(rows: Sequence[PairRow]) -> str:
    """One line per pair; names that a spreadsheet would run as a formula are made harmless."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(PairRow.__slots__)
    for row in rows:
        values = [getattr(row, name) for name in PairRow.__slots__]
        writer.writerow([safe_cell(value) if isinstance(value, str) else value for value in values])
    return buffer.getvalue()
