"""One suspect against a panel: ranked candidates, and "none of these" as a possible answer.

The same scores as in `fingerprint.matrix`: the suspect is one more model of the panel. Two numbers decide on an
accusation, and both must: the capped likelihood ratio of the pair, and a p-value from the scores of unlisted
pairs of real panels, corrected for the number of candidates (Holm).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10

import numpy as np

from fingerprint.calibration.panel import PanelCalibration
from fingerprint.evidence.base import MIN_PROMPTS
from fingerprint.evidence.protocol import voided
from fingerprint.evidence.text import usable_answers
from fingerprint.matrix import changed, comparable, distinct_names, pair_row, score_all, small_population
from fingerprint.recording import Recording
from fingerprint.stats.multiplicity import holm
from fingerprint.verdict import CLEAR, PANEL_ACCUSE, PANEL_ALPHA, Answer, Kind, none_of_these, panel_accused


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One panel member; ``pvalue_holm`` is corrected for all candidates that could be compared."""

    rank: int
    name: str
    log10_lr: float
    log10_lr_uncapped: float
    kind: Kind
    pvalue: float
    pvalue_holm: float
    accused: bool
    shared_prompts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A recording of the panel that is no candidate, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Identification:
    """Who of the panel may be behind the suspect. ``log10_lr_none`` weighs "none" against "one of these, equally"."""

    suspect: str
    candidates: tuple[Candidate, ...]
    answer: Answer
    sentence: str
    log10_lr_none: float
    left_out: tuple[LeftOut, ...]
    limits: tuple[str, ...]


def identify(suspect: Recording, panel: Sequence[Recording], calibration: PanelCalibration) -> Identification:
    """Rank the panel by how much it looks like the suspect's origin, from the answers alone."""
    members, left_out = _members(suspect, panel)
    candidates = _candidates([suspect, *members], calibration) if members else ()
    none = -log10(float(np.mean([10**row.log10_lr for row in candidates]))) if candidates else 0.0
    answer = none_of_these([row.accused for row in candidates], none)
    return Identification(
        suspect=suspect.model.name,
        candidates=candidates,
        answer=answer,
        sentence=_sentence(suspect.model.name, candidates, answer),
        log10_lr_none=round(none, 4) + 0.0,
        left_out=left_out,
        limits=tuple(_limits(suspect, members, candidates)),
    )


def _candidates(everybody: Sequence[Recording], calibration: PanelCalibration) -> tuple[Candidate, ...]:
    """The members, the first of ``everybody`` being the suspect; those without enough common prompts come last."""
    names, scores = distinct_names(everybody), score_all(everybody)
    alike = [comparable(everybody[0], member) for member in everybody]
    rows = [
        pair_row(names, scores, (0, place), calibration, models=len(everybody), alike=alike[place])
        for place in range(1, len(everybody))
    ]
    usable = np.array([row.shared_prompts >= MIN_PROMPTS and scores.normalised for row in rows])
    pvalues = np.where(usable, [calibration.pvalue(row.log10_lr_uncapped) for row in rows], 1.0)
    adjusted = np.ones(len(rows))
    adjusted[usable] = holm(pvalues[usable])
    order = sorted(range(len(rows)), key=lambda place: (not usable[place], -rows[place].log10_lr_uncapped))
    return tuple(
        Candidate(
            rank=rank,
            name=rows[place].b,
            log10_lr=rows[place].log10_lr,
            log10_lr_uncapped=rows[place].log10_lr_uncapped,
            kind=rows[place].kind,
            pvalue=round(float(pvalues[place]), 7),
            pvalue_holm=round(float(adjusted[place]), 7),
            accused=panel_accused(rows[place].kind, float(adjusted[place])),
            shared_prompts=rows[place].shared_prompts,
        )
        for rank, place in enumerate(order, start=1)
    )


def _members(suspect: Recording, panel: Sequence[Recording]) -> tuple[list[Recording], tuple[LeftOut, ...]]:
    """The panel without the suspect itself and without repetitions."""
    members: list[Recording] = []
    left_out = []
    for other in panel:
        twin = next((member for member in members if identical(member, other)), None)
        if identical(suspect, other):
            left_out.append(LeftOut(name=other.model.name, reason="the suspect itself, or an exact copy of it"))
        elif twin is not None:
            left_out.append(LeftOut(name=other.model.name, reason=f"the same model or answers as {twin.model.name}"))
        else:
            members.append(other)
    return members, tuple(left_out)


def identical(first: Recording, second: Recording) -> bool:
    """Whether two recordings are of one model by their digests, or hold word for word the same answers."""
    one, two = first.model, second.model
    if one.digest == two.digest or (one.weights and one.weights == two.weights):
        return True
    return bool(first.answers) and first.answers == second.answers


def _sentence(suspect: str, candidates: Sequence[Candidate], answer: Answer) -> str:
    accused = [candidate.name for candidate in candidates if candidate.accused]
    if not candidates:
        return f"Nobody in the panel can be compared with {suspect}."
    if answer == "no":
        return (
            f"{suspect} shares an origin with {', '.join(accused)}: the likelihood ratio and the corrected p-value both "
            "say so. Who learned from whom is not shown."
        )
    if answer == "yes":
        return f"None of these: the answers speak against a common origin of {suspect} with any of the panel."
    return f"Undecided: no member of the panel is shown to share an origin with {suspect}, and none is excluded."


def _limits(suspect: Recording, members: Sequence[Recording], candidates: Sequence[Candidate]) -> list[str]:
    limits = []
    if not usable_answers(suspect):
        limits.append("The suspect gave no answer that is not blank; nothing can be concluded.")
    limits.extend(small_population(len(members) + 1))
    few = sum(candidate.shared_prompts < MIN_PROMPTS for candidate in candidates)
    if few:
        limits.append(f"{few} candidates have fewer than {MIN_PROMPTS} answered prompts in common with the suspect.")
    odd = sum(voided(suspect, member, "panel") for member in members)
    if odd:
        limits.append(
            f"{odd} candidates were asked under another temperature, system prompt or channel than the suspect: nothing "
            "is claimed of them."
        )
    limits.extend(changed([suspect, *members]))
    limits.extend(_versions(suspect, members))
    limits.append(
        f"An accusation needs a likelihood ratio of {10**PANEL_ACCUSE:.0f} and a Holm-corrected p of {PANEL_ALPHA}; texts "
        "alone show a common origin or a common teacher, never who learned from whom."
    )
    if any(candidate.log10_lr > CLEAR for candidate in candidates):
        limits.append("Few outputs, paraphrase or later training hide an origin: no candidate is excluded by its rank.")
    return limits


def _versions(suspect: Recording, members: Sequence[Recording]) -> list[str]:
    """Probe sets that the suspect and a member answered in different versions."""
    mine = {ref.name: ref for ref in suspect.probe_sets}
    theirs = [ref for member in members for ref in member.probe_sets if ref.name in mine]
    odd = sorted({ref.name for ref in theirs if ref.digest != mine[ref.name].digest})
    return [
        f"The probe set {name} was recorded in different versions; only prompts with the same words are compared."
        for name in odd
    ]


def as_json(found: Identification) -> dict[str, object]:
    """The answer as scripts read it."""
    return {
        "schema_version": "1.0",
        "suspect": found.suspect,
        "candidates": [{name: getattr(row, name) for name in Candidate.__slots__} for row in found.candidates],
        "none_of_these": {"answer": found.answer, "log10_lr": found.log10_lr_none, "sentence": found.sentence},
        "left_out": [{"name": row.name, "reason": row.reason} for row in found.left_out],
        "limits": list(found.limits),
    }
