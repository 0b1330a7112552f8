"""Top-k × top-k: do both models deviate from the population in the same way?

Needs next-token log-probabilities of both sides and of two others. Null of the p-value: the reference is one candidate
like the others, so that on one side at least another model is as close; what all share is regressed out (partial
correlation, `fingerprint.stats.residual`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fingerprint.evidence.align import Aligned
from fingerprint.evidence.base import Evidence, Skipped
from fingerprint.evidence.case import Case
from fingerprint.stats import residual
from fingerprint.stats.intervals import bootstrap_interval, cluster_weights

Floats = NDArray[np.float64]
_BOOTSTRAP = 200


def residual_features(aligned: Aligned) -> dict[str, float]:
    """Plain and partial residual correlation as Fisher z, and the margin; needs two models besides the pair."""
    gram = residual.gram_matrices(aligned.probabilities, aligned.prompts).total()
    others = aligned.other_rows
    return {
        "plain_z": float(np.arctanh(residual.plain(gram, 0, 1, others))),
        "partial_z": float(np.arctanh(residual.partial(gram, 0, 1, others))),
        "partial_margin": residual.margin(gram, 0, 1, others),
    }


def residual_correlation(case: Case) -> list[Evidence | Skipped]:
    """Correlation of both models' deviations from the population, plain and with the others regressed out."""
    names = ("residual_correlation", "partial_correlation")
    aligned = case.aligned
    if isinstance(aligned, Skipped):
        return [Skipped(method=name, reason=aligned.reason) for name in names]
    if len(aligned.used) < 2:
        reason = "needs at least two controls or panel models that answered the same prompts"
        return [Skipped(method=name, reason=reason) for name in names]
    grams = residual.gram_matrices(aligned.probabilities, aligned.prompts)
    return [_plain(case, aligned, grams), _partial(case, aligned, grams)]


def _plain(case: Case, aligned: Aligned, grams: residual.Grams) -> Evidence:
    others = aligned.other_rows
    total = grams.total()
    value = residual.plain(total, 0, 1, others)
    interval = bootstrap_interval(
        lambda w: residual.plain(grams.total(w), 0, 1, others), aligned.prompt_count, seed=case.seed, rounds=_BOOTSTRAP
    )
    controls = {
        case.labels[place]: residual.plain(total, 0, model, [o for o in others if o != model])
        for place, model in zip(aligned.used, others, strict=True)
    }
    return Evidence(
        method="residual_correlation",
        title="Residual correlation",
        access="topk",
        statistic=value,
        effect=value,
        interval=interval,
        pvalue=None,
        n=aligned.prompt_count,
        note="deviations from the mean of the population; also high for models that share data",
        controls=controls,
        features={"plain_z": float(np.arctanh(value))},
    )


def _partial(case: Case, aligned: Aligned, grams: residual.Grams) -> Evidence:
    others = aligned.other_rows
    total = grams.total()
    values = residual.partials(total, 0, [1, *others], [])
    lead = residual.margin(total, 0, 1, others)
    drawn = [grams.total(weights) for weights in cluster_weights(aligned.prompt_count, _BOOTSTRAP, case.seed)]
    low, high = np.percentile([residual.partial(gram, 0, 1, others) for gram in drawn], [2.5, 97.5])
    behind = sum(residual.margin(gram, 0, 1, others) <= 0 for gram in drawn)
    return Evidence(
        method="partial_correlation",
        title="Partial residual correlation",
        access="topk",
        statistic=lead,
        effect=float(values[0]),
        interval=(float(low), float(high)),
        pvalue=(1 + behind) / (1 + _BOOTSTRAP),
        n=aligned.prompt_count,
        note="all other candidates regressed out; p: bootstrap share in which either side is as close to another model",
        controls={case.labels[place]: float(value) for place, value in zip(aligned.used, values[1:], strict=True)},
        features={"partial_z": float(np.arctanh(values[0])), "partial_margin": lead},
    )
