"""Intervals: exact ones for rates, cluster bootstrap for everything else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

Floats = NDArray[np.float64]


def clopper_pearson(successes: int, trials: int) -> tuple[float, float]:
    """Exact 95 % interval of a rate (Clopper and Pearson 1934); (0, 1) without trials."""
    if trials == 0:
        return 0.0, 1.0
    interval = binomtest(successes, trials).proportion_ci(0.95, method="exact")
    return float(interval.low), float(interval.high)


def cluster_weights(clusters: int, rounds: int, seed: int) -> Floats:
    """Bootstrap weights, shape (rounds, clusters): how often each cluster is drawn."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=rounds).astype(np.float64)


def bootstrap_interval(
    statistic: Callable[[Floats], float], clusters: int, *, seed: int, rounds: int = 400
) -> tuple[float, float]:
    """Percentile 95 % interval of a statistic that takes one weight per cluster."""
    values = [statistic(weights) for weights in cluster_weights(clusters, rounds, seed)]
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
