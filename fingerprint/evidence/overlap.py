"""Top-k × top-k: is each side nearer to the other than to anybody else, once all others are regressed out?

Needs next-token log-probabilities of both sides and of two others. The same lead as of residual correlation, on power
affinities of next-byte distributions (`fingerprint.stats.affinity`) in place of log-probabilities with a floor: they
need no floor, and what a cut-off list leaves out counts as one more symbol. No p-value; under the null, a reference like
the others, the lead is below zero but for one time in as many as there are candidates.
"""

from __future__ import annotations

import numpy as np

from fingerprint.evidence.align import Aligned
from fingerprint.evidence.base import Evidence, Skipped
from fingerprint.evidence.case import Case
from fingerprint.stats import residual
from fingerprint.stats.intervals import cluster_weights

_BOOTSTRAP = 200
_FEWEST_OTHERS = 2


def overlap_features(aligned: Aligned) -> dict[str, float]:
    """The lead as a difference of Fisher z, the smaller of both sides; needs two models besides the pair."""
    return {"overlap_margin": residual.margin(aligned.bytes_.sum(axis=0), 0, 1, aligned.other_rows)}


def overlap_margin(case: Case) -> Evidence | Skipped:
    """The lead with its bootstrap interval over prompts; of each control, the suspect's lead with it."""
    aligned = case.aligned
    if isinstance(aligned, Skipped):
        return Skipped(method="overlap_margin", reason=aligned.reason)
    if len(aligned.used) < _FEWEST_OTHERS:
        reason = "needs at least two controls or panel models that answered the same prompts"
        return Skipped(method="overlap_margin", reason=reason)
    others, total = aligned.other_rows, aligned.bytes_.sum(axis=0)
    value = overlap_features(aligned)["overlap_margin"]
    weights = cluster_weights(aligned.prompt_count, _BOOTSTRAP, case.seed)
    drawn = [residual.margin(each, 0, 1, others) for each in np.tensordot(weights, aligned.bytes_, axes=1)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Evidence(
        method="overlap_margin",
        title="Lead over all others",
        access="topk",
        statistic=value,
        effect=value,
        interval=(float(low), float(high)),
        pvalue=None,
        n=aligned.prompt_count,
        note="Fisher z of the partial correlation with the other side, minus that with the nearest other; the smaller of "
        "both sides",
        controls={
            case.labels[place]: residual.margin(total, 0, row, [1, *(other for other in others if other != row)])
            for place, row in zip(aligned.used, others, strict=True)
        },
        features={"overlap_margin": value},
    )
