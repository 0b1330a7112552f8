"""Top-k × top-k: divergence, residual correlation, border agreement.

Needs next-token log-probabilities of both sides. The null of every p-value here is that the suspect is no
closer to the reference than to each control, prompt by prompt; sampling noise is what it rules out, not common data.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fingerprint.evidence.align import Aligned, tail_share
from fingerprint.evidence.base import Evidence, Skipped
from fingerprint.evidence.case import Case
from fingerprint.stats import residual
from fingerprint.stats.divergence import jensen_shannon
from fingerprint.stats.intervals import bootstrap_interval, cluster_weights
from fingerprint.stats.permutation import beats_all

Floats = NDArray[np.float64]
_BOOTSTRAP = 200
_MARGIN = 0.2
_FEWEST_BORDERS = 20


def distribution_features(aligned: Aligned) -> dict[str, float]:
    """The features that calibration sees, of suspect (row 0) and reference (row 1) against at least two others."""
    gram = residual.gram_matrices(aligned.probabilities, aligned.prompts).total()
    others = list(range(2, len(aligned.probabilities)))
    return {
        "partial_z": float(np.arctanh(residual.partial(gram, 0, 1, others))),
        "partial_margin": residual.margin(gram, 0, 1, others),
        "plain_z": float(np.arctanh(residual.plain(gram, 0, 1, others))),
    }


def divergence(case: Case) -> Evidence | Skipped:
    """Mean Jensen–Shannon divergence per context (Lin 1991), in bits; small means alike, and so means little alone."""
    aligned = case.aligned
    if isinstance(aligned, Skipped):
        return Skipped(method="divergence", reason=aligned.reason)
    suspect = aligned.probabilities[0].astype(np.float64)
    rows = [_by_prompt(jensen_shannon(suspect, other.astype(np.float64)), aligned) for other in aligned.probabilities[1:]]
    reference, rivals = rows[0], np.array(rows[1:]).reshape(len(rows) - 1, aligned.prompt_count)
    value = float(reference.mean())
    count = len(reference)
    return Evidence(
        method="divergence",
        title="Jensen–Shannon divergence",
        access="topk",
        statistic=value,
        effect=value,
        interval=bootstrap_interval(lambda w: float(w @ reference / count), count, seed=case.seed),
        pvalue=beats_all(-reference, -rivals, seed=case.seed) if len(rivals) else None,
        n=count,
        note=f"bits per context; {tail_share(aligned):.1%} of the probability lies outside the recorded lists",
        controls={case.labels[place]: float(row.mean()) for place, row in zip(aligned.used, rivals, strict=True)},
        features={"jsd": value},
    )


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
    others = list(range(2, 2 + len(aligned.used)))
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
    others = list(range(2, 2 + len(aligned.used)))
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


def _by_prompt(values: Floats, aligned: Aligned) -> Floats:
    """Mean per prompt."""
    sizes = np.bincount(aligned.prompts, minlength=aligned.prompt_count)
    sums = np.bincount(aligned.prompts, weights=values, minlength=aligned.prompt_count)
    return np.asarray(sums / np.maximum(sizes, 1), dtype=np.float64)
