"""Rank-biased overlap of two ranked lists (Webber, Moffat and Zobel 2010): the first ranks count most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
#: Persistence: the first ten ranks carry 86 % of the weight.
PERSISTENCE = 0.9


def overlap(first: Ints, second: Ints, *, persistence: float = PERSISTENCE) -> Floats:
    """RBO of lists (contexts, depth) of symbol numbers, the likeliest first, −1 for unused places; shape (contexts,).

    The extrapolated form, equation 32 of the paper: what both lists show to their common depth is assumed to go on.
    1 for equal lists, 0 for disjoint ones, and 0 where a list is empty.
    """
    equal = (first[:, :, None] == second[:, None, :]) & (first >= 0)[:, :, None]
    shared = np.diagonal(equal.cumsum(axis=1).cumsum(axis=2), axis1=1, axis2=2)
    ranks = np.arange(1, first.shape[1] + 1)
    depth = np.minimum((first >= 0).sum(axis=1), (second >= 0).sum(axis=1))
    agreement = np.where(ranks <= depth[:, None], shared / ranks, 0.0)
    sums = (agreement * persistence**ranks).sum(axis=1) * (1 - persistence) / persistence
    last = np.take_along_axis(agreement, np.maximum(depth - 1, 0)[:, None], axis=1)[:, 0]
    return np.asarray(np.where(depth > 0, sums + last * persistence**depth, 0.0), dtype=np.float64)
