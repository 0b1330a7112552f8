"""Randomisation tests whose p-value is never zero: p = (1 + b) / (1 + B) (Phipson and Smyth 2010)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

Floats = NDArray[np.float64]


def add_one(exceeding: int, rounds: int) -> float:
    """Monte-Carlo p-value of ``exceeding`` of ``rounds`` null values at least as extreme as the observed one."""
    return (1 + exceeding) / (1 + rounds)


def sign_flip(differences: Floats, *, seed: int, rounds: int = 1999) -> float:
    """One-sided p-value that paired differences (clusters,) are centred on zero or below.

    Under the null two models are exchangeable on each prompt, so each difference may change its sign.
    """
    observed = float(differences.sum())
    if differences.size == 0 or not np.any(differences):
        return 1.0
    rng = np.random.default_rng(seed)
    signs = rng.integers(0, 2, size=(rounds, differences.size)).astype(np.float64) * 2 - 1
    return add_one(int(np.sum(signs @ differences >= observed - 1e-12)), rounds)


def beats_all(candidate: Floats, rivals: Floats, *, seed: int, rounds: int = 1999) -> float:
    """p-value that the candidate (clusters,) is not above every rival (rivals, clusters).

    The largest of the single p-values: an intersection–union test keeps its level without correction
    (Berger 1982). Without rivals the candidate is compared with zero.
    """
    if rivals.shape[0] == 0:
        return sign_flip(candidate, seed=seed, rounds=rounds)
    return max(sign_flip(candidate - rival, seed=seed + 1 + row, rounds=rounds) for row, rival in enumerate(rivals))


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact one-sided McNemar p-value that the first matches no oftener; 1 without discordant pairs."""
    total = only_first + only_second
    return 1.0 if total == 0 else float(binomtest(only_first, total, 0.5, alternative="greater").pvalue)
