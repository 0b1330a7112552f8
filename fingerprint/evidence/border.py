"""Top-k × top-k: agreement where the reference is undecided.

Needs next-token log-probabilities of both sides. Null: the suspect agrees with the reference no oftener than each
control does (sign flips by prompt, the largest of the p-values: Berger 1982, `fingerprint.stats.permutation`).
"""

from __future__ import annotations

import numpy as np

from fingerprint.evidence.base import Evidence, Skipped
from fingerprint.evidence.case import Case
from fingerprint.stats.intervals import bootstrap_interval
from fingerprint.stats.permutation import beats_all

_MARGIN = 0.2
_FEWEST_BORDERS = 20


def border_agreement(case: Case) -> Evidence | Skipped:
    """Agreement on the likeliest symbol where the reference is undecided, and agreement is no matter of course."""
    aligned = case.aligned
    if isinstance(aligned, Skipped):
        return Skipped(method="border_agreement", reason=aligned.reason)
    reference = aligned.probabilities[1]
    ranked = np.sort(reference, axis=1)
    border = np.flatnonzero(ranked[:, -1] - ranked[:, -2] < _MARGIN)
    if len(border) < _FEWEST_BORDERS:
        reason = f"the reference is undecided in {len(border)} contexts only, {_FEWEST_BORDERS} needed"
        return Skipped(method="border_agreement", reason=reason)
    first = aligned.probabilities[:, border].argmax(axis=2)
    agree = (first == first[1]).astype(np.float64)
    known, clusters = np.unique(aligned.prompts[border], return_inverse=True)
    sums = np.array([np.bincount(clusters, weights=row, minlength=len(known)) for row in agree])
    sizes = np.bincount(clusters).astype(np.float64)
    value = float(sums[0].sum() / sizes.sum())
    return Evidence(
        method="border_agreement",
        title="Agreement on undecided inputs",
        access="topk",
        statistic=value,
        effect=value,
        interval=bootstrap_interval(lambda w: float(w @ sums[0] / (w @ sizes)), len(known), seed=case.seed),
        pvalue=beats_all(sums[0], sums[2:], seed=case.seed) if len(sums) > 2 else None,
        n=len(known),
        note=f"{len(border)} contexts in which the reference's two best symbols are within {_MARGIN}; "
        "for controls, their agreement with the reference",
        controls={
            case.labels[place]: float(row.sum() / sizes.sum()) for place, row in zip(aligned.used, sums[2:], strict=True)
        },
    )
