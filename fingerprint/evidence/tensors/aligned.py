"""Another basis: the residual stream turned by what the two vocabularies share, then compared.

For models of other widths, and for residual streams that somebody has turned. After turning, models that read the
same data are alike too, so relabelling is no null for likeness here: only the order of neurons keeps an exact test, and
the effect must be judged against the population. Unbiased CKA of W_q and W_k after alignment is AWM's statistic (2025).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fingerprint.evidence.tensors.pairing import gather, sampled, shared_tokens
from fingerprint.evidence.tensors.vectors import Basis, Vectors, same_vectors
from fingerprint.stats.weights_match import rotation_between, unbiased_cka
from fingerprint.tensors.base import Values
from fingerprint.tensors.model import Weights
from fingerprint.tensors.roles import EMBED

_TOKENS, _FEWEST = 4096, 64
#: Residual dimensions that stand for all in CKA, whose cost is their square.
_DIMENSIONS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """What alignment by the embeddings showed. ``trace`` is 1 where no turning was needed."""

    trace: float
    tokens: int
    cka: float
    vectors: Vectors


def aligned(first: Weights, second: Weights, *, seed: int) -> Aligned | str:
    """Turn the first model's residual stream into the second's and match; or why that cannot be done."""
    found = _rotation(first, second)
    if isinstance(found, str):
        return found
    turn, trace, tokens = found
    everything = np.arange(turn.shape[1])
    vectors = same_vectors(first, second, Basis(match=everything, test=everything[:0], turn=turn), seed=seed)
    if vectors is None:
        return "no layer of both models has a role in common"
    return Aligned(trace=trace, tokens=tokens, cka=_cka(first, second, vectors, turn), vectors=vectors)


def _rotation(first: Weights, second: Weights) -> tuple[Values, float, int] | str:
    mine, theirs = first.parts.get((-1, EMBED)), second.parts.get((-1, EMBED))
    if mine is None or theirs is None:
        return "one of the models has no embedding that is known here"
    tokens = shared_tokens(first, second)
    if tokens is None:
        if mine.count != theirs.count:
            return "the vocabularies differ in size, and the tokens of one are unknown"
        tokens = np.arange(mine.count), np.arange(theirs.count)
    keep = (tokens[0] < mine.count) & (tokens[1] < theirs.count)
    rows = tokens[0][keep], tokens[1][keep]
    if len(rows[0]) < _FEWEST:
        return f"the vocabularies share {len(rows[0])} tokens only"
    chosen = sampled(len(rows[0]), _TOKENS)
    turn, trace = rotation_between(gather(mine, rows[0][chosen]), gather(theirs, rows[1][chosen]))
    return turn, trace, len(chosen)


def _cka(first: Weights, second: Weights, vectors: Vectors, turn: Values) -> float:
    found = []
    chosen = sampled(turn.shape[1], _DIMENSIONS)
    for match in vectors.layers:
        for role in ("q", "k"):
            mine, theirs = first.parts.get((match.first, role)), second.parts.get((match.second, role))
            if mine is not None and theirs is not None:
                found.append(unbiased_cka((mine.vectors() @ turn).T[chosen], theirs.vectors().T[chosen]))
    return float(np.mean(found)) if found else 0.0
