"""Many hypotheses at once: Holm for accusations, Benjamini–Hochberg for lists that somebody will look through."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def holm(pvalues: Floats) -> Floats:
    """Adjusted p-values, shape (hypotheses,), that control the chance of any false rejection (Holm 1979).

    p̃_(k) = max over j ≤ k of min(1, (m − j + 1) p_(j)); valid under any dependence.
    """
    count = len(pvalues)
    order = np.argsort(pvalues, kind="stable")
    steps = np.minimum(1.0, (count - np.arange(count)) * pvalues[order])
    adjusted = np.empty(count)
    adjusted[order] = np.maximum.accumulate(steps)
    return adjusted


def benjamini_hochberg(pvalues: Floats) -> Floats:
    """Adjusted p-values, shape (hypotheses,), that control the share of false ones among the rejected (1995).

    p̃_(k) = min over j ≥ k of min(1, m p_(j)/j); valid for independent or positively dependent tests.
    """
    count = len(pvalues)
    order = np.argsort(pvalues, kind="stable")
    steps = np.minimum(1.0, count * pvalues[order] / np.arange(1, count + 1))
    adjusted = np.empty(count)
    adjusted[order] = np.minimum.accumulate(steps[::-1])[::-1]
    return adjusted
