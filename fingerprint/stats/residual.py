"""Residual correlation: do two models deviate from the population in the same way?

All statistics are functions of one small array, the Gram matrices of centred log-probabilities per prompt:
regressing the population out, resampling prompts and dropping models are linear algebra on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
#: Probabilities below this are not told apart: they are mostly the tail of a cut-off list.
FLOOR = 1e-4
RIDGE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Grams:
    """Inner products of all models' centred log-probabilities, per prompt: shape (prompts, models, models)."""

    by_prompt: Floats

    def total(self, weights: Floats | None = None) -> Floats:
        """Sum over prompts, each counted ``weights`` times: shape (models, models)."""
        if weights is None:
            return np.asarray(self.by_prompt.sum(axis=0), dtype=np.float64)
        return np.asarray(np.tensordot(weights, self.by_prompt, axes=1), dtype=np.float64)


def gram_matrices(probabilities: NDArray[np.float32], prompts: Ints) -> Grams:
    """Gram matrices of (models, contexts, symbols); ``prompts`` gives each context's prompt, 0, 1, ….

    Symbols are weighted by the square root of their mean probability, so that ranks 2 to k count and
    symbols that nobody expects do not; within a context each model's log-probabilities are centred.
    """
    models = probabilities.shape[0]
    found = np.zeros((int(prompts.max()) + 1 if prompts.size else 0, models, models))
    for context in range(probabilities.shape[1]):
        rows = probabilities[:, context].astype(np.float64)
        weights = np.sqrt(rows.mean(axis=0))
        kept = weights > np.sqrt(FLOOR)
        if kept.sum() < 2:
            continue
        logs, weights = np.log(rows[:, kept] + FLOOR), weights[kept] / weights[kept].sum()
        centred = (logs - (logs @ weights)[:, None]) * np.sqrt(weights)
        found[prompts[context]] += centred @ centred.T
    return Grams(by_prompt=found)


def plain(gram: Floats, first: int, second: int, others: Sequence[int]) -> float:
    """Correlation of the two models' deviations from the mean of the others: METHODS' r."""
    size = len(gram)
    contrast = np.zeros((2, size))
    contrast[0, first] = contrast[1, second] = 1
    if others:
        contrast[:, list(others)] -= 1 / len(others)
    return _correlation(contrast @ gram @ contrast.T)


def partial(gram: Floats, first: int, second: int, others: Sequence[int]) -> float:
    """Correlation of what is left of the two models when the others are regressed out."""
    pair, rest = [first, second], list(others)
    inner = gram[np.ix_(pair, pair)]
    if rest:
        base = gram[np.ix_(rest, rest)]
        base = base + RIDGE * (np.trace(base) / len(rest) + 1e-12) * np.eye(len(rest))
        cross = gram[np.ix_(rest, pair)]
        inner = inner - cross.T @ np.linalg.solve(base, cross)
    return _correlation(inner)


def partials(gram: Floats, suspect: int, candidates: Sequence[int], others: Sequence[int]) -> Floats:
    """Partial correlation of the suspect with each candidate, all other candidates and ``others`` regressed out."""
    values = []
    for candidate in candidates:
        rest = [model for model in (*candidates, *others) if model != candidate]
        values.append(partial(gram, suspect, candidate, rest))
    return np.array(values)


def margin(gram: Floats, first: int, second: int, others: Sequence[int]) -> float:
    """By how much the pair is closer than either of them is to any other model, in Fisher z; the smaller of both sides.

    One side is not enough: whoever lacks his own teacher among the candidates is closest to its twin, but
    the twin is no closer to him than to its other twins.
    """
    sides = []
    for one, two in ((first, second), (second, first)):
        values = np.arctanh(partials(gram, one, [two, *others], []))
        sides.append(float(values[0] - values[1:].max()))
    return min(sides)


def _correlation(inner: Floats) -> float:
    scale = float(np.sqrt(max(inner[0, 0], 0.0) * max(inner[1, 1], 0.0)))
    return 0.0 if scale <= 1e-12 else float(np.clip(inner[0, 1] / scale, -0.999999, 0.999999))
