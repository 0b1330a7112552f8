"""How much two next-symbol distributions overlap: power affinities, summed over the contexts of each prompt.

The affinity of p and q is Σ p(t)^a·q(t)^a; at a = ½ it is Bhattacharyya's coefficient (1943), and one minus it the
squared Hellinger distance. It needs no floor and no population, and censored lists give it directly: what a list
leaves out is one more symbol.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
#: Below ½ the ranks after the first weigh more; chosen on the first zoo (docs/log.md).
EXPONENT = 0.35


def of_tables(tables: NDArray[np.float32], prompts: Ints, *, exponent: float = EXPONENT) -> Floats:
    """Affinities of (models, contexts, symbols), shape (prompts, models, models); ``prompts`` numbers each context."""
    found = _nothing(len(tables), prompts)
    for context, prompt in enumerate(prompts):
        rows = tables[:, context].astype(np.float64)
        found[prompt] += _inner(rows[:, rows.max(axis=0) > 0], exponent)
    return found


def of_lists(ids: Sequence[NDArray[np.int32]], masses: Sequence[NDArray[np.float32]], prompts: Ints) -> Floats:
    """Affinities of lists of symbols: per model ids and probabilities, each (contexts, length), unused places of mass 0.

    The same numbers as `of_tables` on the whole alphabet, which would be too large to write down.
    """
    found = _nothing(len(ids), prompts)
    model = np.repeat(np.arange(len(ids)), [table.shape[1] for table in ids])
    for context, prompt in enumerate(prompts):
        known, places = np.unique(np.concatenate([rows[context] for rows in ids]), return_inverse=True)
        # Two tokens of one list may be the same bytes; unused places add nothing wherever they point.
        sums = np.bincount(
            places + len(known) * model,
            weights=np.concatenate([rows[context] for rows in masses]),
            minlength=len(known) * len(ids),
        )
        found[prompt] += _inner(sums.reshape(len(ids), len(known)).astype(np.float64), EXPONENT)
    return found


def distances(affinity: Floats) -> Floats:
    """Squared distances between the models of a total affinity matrix (models, models)."""
    own = np.diag(affinity)
    return np.asarray(np.maximum(own[:, None] + own[None, :] - 2 * affinity, 0.0), dtype=np.float64)


def _nothing(models: int, prompts: Ints) -> Floats:
    return np.zeros((int(prompts.max()) + 1 if prompts.size else 0, models, models))


def _inner(rows: Floats, exponent: float) -> Floats:
    tail = np.clip(1 - rows.sum(axis=1, keepdims=True), 0, 1)
    powers = np.concatenate([rows, tail], axis=1) ** exponent
    return np.asarray(powers @ powers.T, dtype=np.float64)
