"""Two-sample test that may be looked at after every probe: a betting e-process.

On probe t the suspect's answer is compared with the reference's and with a control's: g_t = +1 if it is closer to the
reference, −1 if it is closer to the control, 0 if neither. With matching answers this is 1[S=R] − 1[S=C].
Null: given all before, the suspect is at least as often closer to the control, E[g_t | past] ≤ 0. Then
E_t = ∏ (1 + λ g_s) is a supermartingale for every λ in [0, ½], and so is the mean over a grid of λ, which is the
same as betting a predictable λ_t. By Ville's inequality the chance that it ever reaches 1/α is at most α, whenever
one stops (Shafer et al. 2011; Waudby-Smith and Ramdas 2024; Ramdas et al. 2023).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
#: Stakes; the mean of the e-values of a few fixed stakes needs no tuning and adapts to the size of the effect.
STAKES = np.array([0.03, 0.08, 0.15, 0.25, 0.35, 0.5])


def log_e_process(signs: Floats) -> Floats:
    """Natural log of the e-value after each probe, shape (..., probes), from signs in [−1, 1] of that shape.

    Blocks of probes may follow each other: within one test the product runs over all of them.
    """
    steps = np.log1p(STAKES[:, *(None,) * signs.ndim] * signs[None])
    wealth = np.cumsum(steps, axis=-1)
    top = wealth.max(axis=0)
    return np.asarray(top + np.log(np.exp(wealth - top).mean(axis=0)), np.float64)


def first_crossing(log_e: Floats, alpha: float) -> int | None:
    """Number of probes after which the e-value first reached 1/α, or None."""
    hits = np.flatnonzero(log_e >= -np.log(alpha))
    return int(hits[0]) + 1 if hits.size else None


def closer_than_all(signs: Floats) -> Floats:
    """Log e-value against "not closer than some control", shape (probes,), from signs (controls, probes).

    The smallest over controls: it is large only if each single null is refuted (intersection–union, Berger 1982).
    The mean over controls would refute less: only that the reference is like a control drawn at random, which a
    single poor control brings about.
    """
    return np.asarray(log_e_process(signs).min(axis=0), np.float64)


def closer_than_average(signs: Floats) -> Floats:
    """Log of the mean over controls of the e-values, shape (probes,): against "the reference is like any control"."""
    logs = log_e_process(signs)
    top = logs.max(axis=0)
    return np.asarray(top + np.log(np.exp(logs - top).mean(axis=0)), np.float64)
