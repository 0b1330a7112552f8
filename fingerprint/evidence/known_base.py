"""Known base: since it was its base, has the suspect moved towards the reference more than towards the others?

Needs a recording of the suspect's base (`--base`) beside suspect and reference, and two other possible teachers, all
asked the same: texts of all for the one method, log-probabilities of all for the other. Null: the reference is a
teacher like the others (`fingerprint.stats.difference`). The base is compared with, and is never a control.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fingerprint.evidence.align import align, by_prompt
from fingerprint.evidence.base import MIN_PROMPTS, Access, Evidence, Skipped
from fingerprint.evidence.case import Case
from fingerprint.evidence.text import usable_answers
from fingerprint.recording import Recording
from fingerprint.stats import difference
from fingerprint.stats.divergence import jensen_shannon
from fingerprint.stats.intervals import bootstrap_interval
from fingerprint.stats.textprompts import prompt_cosines

Floats = NDArray[np.float64]
TEXT, DISTRIBUTIONS = "base_text", "base_distributions"
_TITLES = {TEXT: "Moved towards the reference: text", DISTRIBUTIONS: "Moved towards the reference: distributions"}
_FEWEST_OTHERS = 2
_ENOUGH = 0.8  # a teacher must have answered this share of what suspect, reference and base answered


def known_base(case: Case) -> list[Evidence | Skipped]:
    """Difference in differences on texts and on distributions, or the reason why there is none."""
    if case.base is None:
        return [Skipped(method="known_base", reason="the suspect's base is not named (--base)")]
    for side, name in ((case.suspect, "suspect"), (case.reference, "reference")):
        if side.model.digest == case.base.model.digest:
            reason = f"the base is the {name} itself"
            return [Skipped(method=method, reason=reason) for method in (TEXT, DISTRIBUTIONS)]
    return [_by_text(case, case.base), _by_distributions(case, case.base)]


def _by_text(case: Case, base: Recording) -> Evidence | Skipped:
    sides = [usable_answers(side) for side in (case.suspect, base, case.reference)]
    common = sorted(set.intersection(*(set(side) for side in sides)))
    others = [usable_answers(other) for other in case.others]
    used = [place for place, other in enumerate(others) if sum(key in other for key in common) >= _ENOUGH * len(common)]
    tables = [*sides, *(others[place] for place in used)]
    keys = [key for key in common if all(key in table for table in tables)]
    if reason := _too_little(len(keys), len(used)):
        return Skipped(method=TEXT, reason=reason)
    alike = prompt_cosines([[table[key][0] for key in keys] for table in tables])
    shifts = (alike[:, 0, 2:] - alike[:, 1, 2:]).T
    kept = np.isfinite(shifts).all(axis=0)
    if reason := _too_little(int(kept.sum()), len(used)):
        return Skipped(method=TEXT, reason=reason)
    return _evidence(case, TEXT, "text", shifts[:, kept], used, "cosine of rare n-grams per prompt")


def _by_distributions(case: Case, base: Recording) -> Evidence | Skipped:
    aligned = align(case.suspect, case.reference, (base, *case.others))
    if isinstance(aligned, Skipped):
        return Skipped(method=DISTRIBUTIONS, reason=aligned.reason)
    if not aligned.used or aligned.used[0] != 0:
        reason = f"{base.model.name} gives no log-probabilities on the same prompts{base.why_not('topk')}"
        return Skipped(method=DISTRIBUTIONS, reason=reason)
    used = [place - 1 for place in aligned.used[1:]]
    if reason := _too_little(aligned.prompt_count, len(used)):
        return Skipped(method=DISTRIBUTIONS, reason=reason)
    seen = aligned.probabilities.max(axis=(0, 1)) > 0
    suspect, reference, start, *teachers = aligned.probabilities[:, :, seen].astype(np.float64)
    shifts = np.array(
        [
            by_prompt(jensen_shannon(start, teacher) - jensen_shannon(suspect, teacher), aligned)
            for teacher in (reference, *teachers)
        ]
    )
    return _evidence(case, DISTRIBUTIONS, "topk", shifts, used, "bits of divergence per context")


def _too_little(prompts: int, others: int) -> str:
    if others < _FEWEST_OTHERS:
        return f"{others} other models answered what suspect, reference and base answered, {_FEWEST_OTHERS} needed"
    return f"only {prompts} prompts answered by all, {MIN_PROMPTS} needed" if prompts < MIN_PROMPTS else ""


def _evidence(case: Case, method: str, access: Access, shifts: Floats, used: Sequence[int], unit: str) -> Evidence:
    """From shifts (teachers, prompts), the reference first."""
    each = difference.each_moved(shifts)
    by_label = difference.label_pvalue(shifts, seed=case.seed)
    rank = difference.rank_pvalue(shifts)
    assert case.base is not None
    return Evidence(
        method=method,
        title=_TITLES[method],
        access=access,
        statistic=float(each[0]),
        effect=float(each[0]),
        interval=bootstrap_interval(lambda w: difference.moved(shifts, w), shifts.shape[1], seed=case.seed),
        pvalue=max(by_label, rank),
        n=shifts.shape[1],
        note=f"since {case.base.model.name}, {unit}, beyond the mean of {len(used)} others; p: the larger of "
        f"{by_label:.2g} (labels exchanged within prompts) and the rank {rank:.2g} (at least {1 / len(shifts):.2g})",
        controls={case.labels[place]: float(value) for place, value in zip(used, each[1:], strict=True)},
    )
