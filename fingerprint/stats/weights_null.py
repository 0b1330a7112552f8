"""Exact nulls for weights: relabel what a random initialisation leaves without an order.

Hidden units and residual dimensions of a freshly initialised network are exchangeable, and training keeps it so:
relabelling them before training relabels the result (Zhu et al. 2025, "Independence tests for language models").
So a model that began from its own random numbers is distributed like any relabelling of itself, whatever data,
configuration or tokenizer it shares with another, and a statistic of the pair may be compared with its values
under relabelling. Tails are kept as logarithms: nothing here overflows, and no p-value is zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, gammaln, hyp2f1, logsumexp
from scipy.stats import norm, rankdata
from scipy.stats import t as student

Floats = NDArray[np.floating]
_LN10 = math.log(10)
#: Relabellings of a test.
ROUNDS = 4999
_BLOCK = 1 << 22


@dataclass(frozen=True, slots=True, kw_only=True)
class LogTest:
    """A test whose p-value may be too small for a float: ``log10_p`` ≤ 0. ``n`` counts what was relabelled."""

    statistic: float
    effect: float
    log10_p: float
    n: int


def trace_test(table: Floats, *, seed: int, rounds: int = ROUNDS) -> LogTest:
    """Is the trace of a (d, d) table larger than under relabelled columns?

    ``table`` is a sum of Aᵀ B over matrices whose columns are residual dimensions; its trace adds up how far
    dimension i of the one model is dimension i of the other. The null is the sum over a random permutation. Its
    p-value is (1 + b) / (1 + rounds) as long as any of the rounds reaches the trace, and beyond that the normal tail
    of the exact permutation mean and variance (Hoeffding 1951), but never below one in d!.
    """
    size = table.shape[0]
    table = table.astype(np.float64)
    trace = float(np.trace(table))
    if size < 3 or not np.any(table):
        return LogTest(statistic=0.0, effect=0.0, log10_p=0.0, n=size)
    mean = float(table.sum()) / size
    centred = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    deviation = math.sqrt(max(float((centred**2).sum()) / (size - 1), 1e-300))
    z = (trace - mean) / deviation
    reached = _reaching(table, trace, np.random.default_rng(seed), rounds)
    log_p = math.log((1 + reached) / (1 + rounds))
    if reached == 0:
        log_p = max(min(log_p, float(norm.logsf(z))), -float(gammaln(size + 1)))
    return LogTest(statistic=z, effect=(trace - mean) / size, log10_p=log_p / _LN10, n=size)


def _reaching(table: Floats, trace: float, rng: np.random.Generator, rounds: int) -> int:
    size = table.shape[0]
    rows, reached = np.arange(size), 0
    tolerance = 1e-12 * max(1.0, abs(trace))
    batch = max(1, _BLOCK // size)
    for start in range(0, rounds, batch):
        count = min(batch, rounds - start)
        columns = rng.permuted(np.tile(rows, (count, 1)), axis=1)
        reached += int(np.sum(table[rows, columns].sum(axis=1) >= trace - tolerance))
    return reached


def order_test(places: NDArray[np.intp], partners: NDArray[np.intp]) -> LogTest:
    """Are matched units in the same order? Spearman's ρ of their indices, one-sided.

    ``partners[i]`` is the unit of the other model that was matched to unit ``places[i]``; matching knows no indices, so
    under independence every order is as likely as any other.
    """
    count = len(places)
    if count < 4:
        return LogTest(statistic=0.0, effect=0.0, log10_p=0.0, n=count)
    first, second = rankdata(places), rankdata(partners)
    rho = float(np.clip(np.corrcoef(first, second)[0, 1], -1.0, 1.0))
    floor = -float(gammaln(count + 1))
    return LogTest(statistic=rho, effect=rho, log10_p=max(_spearman_log_p(rho, count), floor) / _LN10, n=count)


def _spearman_log_p(rho: float, count: int) -> float:
    """Natural logarithm of the upper tail of Student's t for a correlation, exact where the tail itself is zero."""
    if rho >= 1.0:
        return -math.inf
    freedom = count - 2
    tail = float(student.sf(rho * math.sqrt(freedom / (1 - rho * rho)), freedom))
    if tail > 1e-250:
        return math.log(tail)
    x, half = 1 - rho * rho, freedom / 2
    series = float(hyp2f1(half + 0.5, 1.0, half + 1.0, x))
    return half * math.log(x) + 0.5 * math.log1p(-x) - math.log(half) - float(betaln(half, 0.5)) + math.log(series / 2)


def fisher(log10_ps: Sequence[float]) -> float:
    """Fisher's combination of independent p-values, all as decimal logarithms, exact for any size.

    The χ² tail with 2k degrees of freedom is a sum of k terms, which is added up in logarithms.
    """
    if not log10_ps:
        return 0.0
    half = max(-sum(log10_ps) * _LN10, 0.0)
    if half == 0.0:
        return 0.0
    terms = np.arange(len(log10_ps))
    return float(min(0.0, (-half + logsumexp(terms * math.log(half) - gammaln(terms + 1))) / _LN10))


def smallest(log10_ps: Sequence[float]) -> float:
    """Bonferroni: the smallest of k p-values, times k, as a decimal logarithm."""
    return min(0.0, min(log10_ps) + math.log10(len(log10_ps))) if log10_ps else 0.0
