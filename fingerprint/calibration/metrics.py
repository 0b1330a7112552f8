"""How good a set of likelihood ratios is: Cllr, its minimum, rates of misleading evidence, ROC figures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]


def cllr(related: Floats, unrelated: Floats) -> float:
    """Cost of natural-log likelihood ratios in bits (Brümmer and du Preez 2006); 0 is perfect, 1 says nothing."""
    first = np.logaddexp(0, -related).mean() if related.size else 0.0
    second = np.logaddexp(0, unrelated).mean() if unrelated.size else 0.0
    return float((first + second) / (2 * np.log(2)))


def cllr_min(related: Floats, unrelated: Floats) -> float:
    """Cllr after the best monotone recalibration (pool adjacent violators): what discrimination alone costs."""
    from sklearn.isotonic import IsotonicRegression

    scores = np.concatenate([related, unrelated])
    truth = np.concatenate([np.ones(related.size), np.zeros(unrelated.size)])
    weights = np.concatenate([np.full(related.size, 1 / related.size), np.full(unrelated.size, 1 / unrelated.size)])
    fitted = IsotonicRegression(y_min=0, y_max=1).fit(scores, truth, sample_weight=weights).predict(scores)
    fitted = np.clip(fitted, 1e-12, 1 - 1e-12)
    logits = np.log(fitted) - np.log1p(-fitted)
    return cllr(logits[: related.size], logits[related.size :])


def auc(related: Floats, unrelated: Floats) -> float:
    """Probability that a related pair scores above an unrelated one; ties count half."""
    if not related.size or not unrelated.size:
        return float("nan")
    ranks = rankdata(np.concatenate([related, unrelated]))[: related.size]
    return float((ranks.sum() - related.size * (related.size + 1) / 2) / (related.size * unrelated.size))


def tpr_at(related: Floats, unrelated: Floats, fpr: float = 0.01) -> tuple[int, int]:
    """(related pairs found, related pairs) at the lowest threshold whose false positive rate is at most ``fpr``."""
    if not related.size or not unrelated.size:
        return 0, int(related.size)
    allowed = int(np.floor(fpr * unrelated.size))
    threshold = np.sort(unrelated)[::-1][allowed]
    return int(np.sum(related > threshold)), int(related.size)


def elub(related: Floats, unrelated: Floats) -> tuple[float, float]:
    """Largest and smallest log10 LR that beat saying nothing, with one more error assumed at each end.

    Empirical lower and upper bounds (Vergeer et al. 2016): an LR above t may be reported while
    P(LR ≤ t | H1) + t·P(LR > t | H0) < 1, the error rates counted with one misleading case added. Natural logs in.
    """
    return -_one_bound(-unrelated, -related), _one_bound(related, unrelated)


def _one_bound(right: Floats, wrong: Floats) -> float:
    best = 0.0
    for threshold in np.arange(0.0, 6.01, 0.01):
        limit = threshold * np.log(10)
        missed = np.sum(right <= limit) / max(right.size, 1)
        false = (np.sum(wrong > limit) + 1) / (wrong.size + 1)
        if missed + 10**threshold * false < 1:
            best = float(threshold)
    return best


def expected_calibration_error(related: Floats, unrelated: Floats, bins: int = 10) -> float:
    """Mean distance of the posterior at even prior from the observed share (Guo et al. 2017); both classes weigh half."""
    truth = np.concatenate([np.ones(related.size), np.zeros(unrelated.size)])
    weight = np.where(truth > 0, 0.5 / max(related.size, 1), 0.5 / max(unrelated.size, 1))
    posterior = 1 / (1 + np.exp(-np.clip(np.concatenate([related, unrelated]), -500, 500)))
    place = np.minimum((posterior * bins).astype(int), bins - 1)
    gaps = np.bincount(place, weights=weight * (posterior - truth), minlength=bins)
    return float(np.abs(gaps).sum())


def empirical_cross_entropy(related: Floats, unrelated: Floats, prior_log10_odds: Floats) -> Floats:
    """Bits that a reader with these prior odds still lacks (Ramos and Gonzalez-Rodriguez 2013); Cllr is its value at 0."""
    odds = np.asarray(prior_log10_odds) * np.log(10)
    prior = 1 / (1 + np.exp(-odds))
    first = np.logaddexp(0, -(related[:, None] + odds)).mean(axis=0)
    second = np.logaddexp(0, unrelated[:, None] + odds).mean(axis=0)
    return np.asarray((prior * first + (1 - prior) * second) / np.log(2), dtype=np.float64)
