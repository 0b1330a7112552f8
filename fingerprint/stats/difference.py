"""Difference in differences: since its base, has a model moved towards one teacher more than towards the others?

With s(x, y) a similarity on a prompt, teacher t has the shift s(S, t) − s(B, t) of suspect S from its base B, and

    Δ_R = [s(S, R) − s(B, R)] − mean over controls j of [s(S, C_j) − s(B, C_j)]

(the estimator of Ashenfelter and Card 1985, with teachers for groups). What the base had in common with a teacher
cancels, and so does becoming an assistant, which moves a model towards all of them. Null: the reference is a teacher
like the controls; then its label may be exchanged with theirs on every prompt.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fingerprint.stats.permutation import add_one

Floats = NDArray[np.float64]


def moved(shifts: Floats, weights: Floats | None = None) -> float:
    """Δ of the first row of shifts (teachers, prompts) against the mean of the other rows; prompts may be weighted."""
    means = np.average(shifts, axis=1, weights=weights)
    return float(means[0] - means[1:].mean())


def each_moved(shifts: Floats) -> Floats:
    """Δ of every teacher in turn, all others its controls, shape (teachers,)."""
    means = shifts.mean(axis=1)
    return np.asarray((len(means) * means - means.sum()) / (len(means) - 1), dtype=np.float64)


def label_pvalue(shifts: Floats, *, seed: int, rounds: int = 1999) -> float:
    """One-sided p-value of Δ: the label of the reference goes to a random teacher on each prompt, prompts kept apart."""
    teachers, prompts = shifts.shape
    # Δ of relabelled prompts rises with the sum of what the label fell on: all else is the same for all relabellings.
    rng = np.random.default_rng(seed)
    drawn = shifts[rng.integers(0, teachers, size=(rounds, prompts)), np.arange(prompts)].sum(axis=1)
    return add_one(int(np.sum(drawn >= shifts[0].sum() - 1e-12)), rounds)


def rank_pvalue(shifts: Floats) -> float:
    """Rank of the reference's shift among all teachers: the label goes to one teacher on all prompts at once."""
    means = shifts.mean(axis=1)
    return float(np.sum(means >= means[0] - 1e-12)) / len(means)
