"""Divergence between next-symbol distributions that are censored at the top k."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def jensen_shannon(first: Floats, second: Floats) -> Floats:
    """Jensen–Shannon divergence in bits along the last axis, between 0 and 1 (Lin 1991).

    Rows are probabilities; what a row lacks to 1 is its tail, and is put into one more symbol.
    """
    p, q = _with_tail(first), _with_tail(second)
    middle = (p + q) / 2
    return np.asarray((_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2, dtype=np.float64)


def _with_tail(rows: Floats) -> Floats:
    tail = np.clip(1 - rows.sum(axis=-1, keepdims=True), 0, 1)
    whole = np.concatenate([rows, tail], axis=-1)
    return np.asarray(whole / whole.sum(axis=-1, keepdims=True), dtype=np.float64)


def _relative_entropy(p: Floats, q: Floats) -> Floats:
    ratio = np.divide(p, q, out=np.ones_like(p), where=(p > 0) & (q > 0))
    return np.asarray(np.sum(p * np.log2(ratio), axis=-1), dtype=np.float64)
