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


def newcombe(first: tuple[int, int], second: tuple[int, int]) -> tuple[float, float]:
    """95 % interval of the difference of two rates, each given as (successes, trials).

    Hybrid of two Wilson intervals (Newcombe 1998, method 10): (d − √(a² + b²), d + √(c² + e²)). (−1, 1) without trials.
    """
    if not first[1] or not second[1]:
        return -1.0, 1.0
    rates = [successes / trials for successes, trials in (first, second)]
    ends = [binomtest(successes, trials).proportion_ci(0.95, method="wilson") for successes, trials in (first, second)]
    gap = rates[0] - rates[1]
    low = gap - np.hypot(rates[0] - ends[0].low, ends[1].high - rates[1])
    high = gap + np.hypot(ends[0].high - rates[0], rates[1] - ends[1].low)
    return float(max(low, -1.0)), float(min(high, 1.0))


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
