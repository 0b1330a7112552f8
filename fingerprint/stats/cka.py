"""Linear centred kernel alignment of two models over the same probes, without bias.

CKA(K, L) = HSIC(K, L) / √(HSIC(K, K)·HSIC(L, L)) of Gram matrices over probes (Kornblith et al. 2019), with the
unbiased estimator HSIC₁ (Song et al. 2012), written as the inner product of U-centred matrices (Székely and Rizzo
2014). It does not depend on the order or the rotation of the features, so not on the alphabet either. Null of the
permutation test: which probe is which does not matter; the probes of one side change places.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fingerprint.stats.permutation import add_one

Floats = NDArray[np.float64]
_AT_ONCE = 4_000_000  # numbers in memory for a batch of permuted matrices
FEWEST = 4


def u_centred(gram: Floats) -> Floats:
    """U-centred copy of a Gram matrix (n, n), n ≥ 4, its diagonal zero: inner products of such are n(n−3)·HSIC₁."""
    size = len(gram)
    bare = gram - np.diag(np.diag(gram))
    rows = bare.sum(axis=1)
    centred = bare - (rows[:, None] + rows[None]) / (size - 2) + rows.sum() / ((size - 1) * (size - 2))
    np.fill_diagonal(centred, 0.0)
    return np.asarray(centred, dtype=np.float64)


def alignment(first: Floats, second: Floats) -> float:
    """CKA of two U-centred Gram matrices, −1 to 1; about 0 for independent features, 0 where one has no variation."""
    own = float((first * first).sum()), float((second * second).sum())
    if min(own) <= 1e-12:
        return 0.0
    return float(np.clip((first * second).sum() / np.sqrt(own[0] * own[1]), -1, 1))


def permutation_pvalue(first: Floats, second: Floats, *, seed: int, rounds: int = 199) -> float:
    """One-sided p-value of the alignment of two U-centred matrices, the probes of the second permuted."""
    size = len(first)
    observed = float((first * second).sum())
    rng = np.random.default_rng(seed)
    exceeding, left = 0, rounds
    while left:
        batch = min(left, max(1, _AT_ONCE // size**2))
        orders = rng.permuted(np.tile(np.arange(size), (batch, 1)), axis=1)
        moved = second[orders[:, :, None], orders[:, None, :]]
        exceeding += int(np.sum(np.tensordot(moved, first, axes=2) >= observed - 1e-12))
        left -= batch
    return add_one(exceeding, rounds)


def jackknife(first: Floats, second: Floats, groups: int = 20) -> float:
    """Standard error of the alignment of two Gram matrices, probes left out in groups (Efron and Tibshirani 1993)."""
    size = len(first)
    groups = min(groups, size // 2)
    values = []
    for group in range(groups):
        kept = np.flatnonzero(np.arange(size) % groups != group)
        part = np.ix_(kept, kept)
        values.append(alignment(u_centred(first[part]), u_centred(second[part])))
    return float(np.sqrt((groups - 1) * np.var(values)))
