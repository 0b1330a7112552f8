"""Divergence after the best change of temperature: two models that differ in confidence alone are at distance zero."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fingerprint.stats.divergence import jensen_shannon

Floats = NDArray[np.float64]
#: Temperatures that are tried, in steps of a fifth.
GRID = np.geomspace(0.4, 2.5, 11)
_LOOKED_AT = 300  # contexts on which the temperature is chosen


def tempered(rows: Floats, temperature: float) -> Floats:
    """softmax(log p / τ) of (contexts, symbols); what a row lacks to 1 is one more symbol, and is left out again.

    Of a cut-off list this is an approximation: the symbols of the tail would spread if the temperature rose, and one
    symbol in their place does not.
    """
    tail = np.clip(1 - rows.sum(axis=1, keepdims=True), 0, 1)
    powers = np.concatenate([rows, tail], axis=1) ** (1 / temperature)
    return np.asarray(powers[:, :-1] / np.maximum(powers.sum(axis=1, keepdims=True), 1e-300), dtype=np.float64)


def profiled(first: Floats, second: Floats) -> tuple[float, Floats]:
    """Least over τ of JSD(softmax(log first / τ), second): the one τ for all contexts, and bits per context at it."""
    step = max(1, len(first) // _LOOKED_AT)
    some = first[::step], second[::step]
    costs = [float(jensen_shannon(tempered(some[0], tau), some[1]).mean()) for tau in GRID]
    best = float(GRID[int(np.argmin(costs))])
    return best, jensen_shannon(tempered(first, best), second)
