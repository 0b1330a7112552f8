"""Matching units of two networks, and measures that do not care how their residual streams are turned."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import svd
from scipy.optimize import linear_sum_assignment, nnls

Floats = NDArray[np.floating]
Values = NDArray[np.float32]


def standardised(vectors: Values) -> Values:
    """Vectors (n, d) with columns of mean 0 and size 1, then rows of length 1.

    Each step treats all dimensions alike, so it may stand before a test that relabels them. Scaled units, and gains
    of a normalisation layer that were multiplied into the matrix, no longer matter.
    """
    centred = vectors - vectors.mean(axis=0)
    centred /= np.maximum(np.sqrt(np.mean(centred**2, axis=0)), 1e-20)
    return unit_rows(centred)


def unit_rows(vectors: Values) -> Values:
    """Rows of length 1; rows of zeros stay what they are."""
    length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    scaled: Values = vectors / np.maximum(length, 1e-20)
    return scaled


def assign(similarity: Floats, *, seed: int = 0) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the one-to-one matching of the largest total similarity (Hungarian method).

    Both sides are shuffled first: dead units are all alike, and ties would be broken in the order of the units, which
    looks like descent.
    """
    rng = np.random.default_rng(seed)
    rows, columns = (rng.permutation(size) for size in similarity.shape)
    chosen, partners = linear_sum_assignment(similarity[np.ix_(rows, columns)], maximize=True)
    order = np.argsort(rows[chosen])
    return rows[chosen][order], columns[partners][order]


def rotation_between(first: Values, second: Values) -> tuple[Values, float]:
    """The rotation Q (d₁, d₂) that turns the rows of ``first`` into those of ``second`` best, and its mean trace.

    Orthogonal Procrustes (Schönemann 1966) on rows that stand for the same tokens. The trace over min(d₁, d₂) is 1 where
    both residual streams have the same axes, and about 0 where they are unrelated (MDIR, 2025).
    """
    table = (first - first.mean(axis=0)).T @ (second - second.mean(axis=0))
    left, _, right = svd(table.astype(np.float64), full_matrices=False)
    rotation = left @ right
    return rotation.astype(np.float32), float(np.trace(rotation) / min(rotation.shape))


def unbiased_cka(first: Values, second: Values) -> float:
    """Linear CKA of two sets of features (n samples, any width) with the unbiased HSIC of Song et al. (2012).

    0 in expectation for independent features, 1 for equal ones up to rotation and scale; cost n².
    """
    gram = [(side @ side.T).astype(np.float64) for side in (first, second)]
    for table in gram:
        np.fill_diagonal(table, 0.0)
    cross = _hsic(gram[0], gram[1])
    own = _hsic(gram[0], gram[0]) * _hsic(gram[1], gram[1])
    return float(cross / np.sqrt(own)) if own > 0 else 0.0


def _hsic(first: Floats, second: Floats) -> float:
    n = first.shape[0]
    if n < 4:
        return 0.0
    sums = first.sum(axis=0), second.sum(axis=0)
    inner = float(np.einsum("ij,ij->", first, second))
    outer = float(sums[0].sum() * sums[1].sum()) / ((n - 1) * (n - 2))
    return float((inner + outer - 2 * float(sums[0] @ sums[1]) / (n - 2)) / (n * (n - 3)))


def shares(child: Floats, parents: Floats, base: Floats | None = None) -> tuple[Floats, float]:
    """Non-negative shares of parents (k, n) in a child (n,), and the relative size of what they leave unexplained.

    With a base all are taken as differences from it, so the rest of the shares is the base's.
    """
    origin = np.zeros_like(child) if base is None else base
    target, columns = (child - origin).astype(np.float64), (parents - origin).T.astype(np.float64)
    found, rest = nnls(columns, target)
    length = float(np.linalg.norm(target))
    return found, float(rest / length) if length > 0 else 0.0
