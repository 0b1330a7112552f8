"""Kinship by weights: correlations of weight sketches for all pairs, and copies that betray their original.

The correlation of sketched values is what `evidence.weights` reports for a pair. −ln r is a distance: where each step of
training adds independent noise, correlations multiply along a line of descent, and their logarithms add.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerprint.models.sketch import unpack
from fingerprint.recording import Recording
from fingerprint.stats.weights_round import GRIDS, on_grid
from fingerprint.verdict import DESCENT_R, DESCENT_Z, is_rounding

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_SMALLEST_R = 0.02  # one matrix that was trained anew must not decide alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Sketched matrices by name and shape: which models hold one, and its values, centred and of length one.

    ``correlation`` and ``counts`` (models, models) pool over matrices: 0 where no matrix has a partner.
    """

    tensors: tuple[tuple[NDArray[np.int64], Floats], ...]
    correlation: Floats
    counts: Floats

    def distances(self, members: NDArray[np.int64], times: Floats | None = None) -> Floats:
        """Mean of −ln r over matrices for some models, (draws, members, members); 0 where no matrix has a partner.

        ``times`` (draws, tensors) counts each matrix anew; None is one draw with each once. Matrix by matrix, because a
        fine-tune moves some more than others and logarithms of means do not add up.
        """
        weights = np.ones((1, len(self.tensors))) if times is None else times
        total, apart = np.zeros((2, len(weights), len(members), len(members)))
        for row, (places, values) in enumerate(self.tensors):
            here = np.flatnonzero(np.isin(members, places))
            if len(here) > 1 and weights[:, row].any():
                held = values[np.searchsorted(places, members[here])]
                far = -np.log(np.clip(held @ held.T, _SMALLEST_R, 1.0))
                inside = np.ix_(np.arange(len(weights)), here, here)
                apart[inside] += weights[:, row, None, None] * far
                total[inside] += weights[:, row, None, None]
        return np.asarray(np.divide(apart, total, out=np.zeros_like(total), where=total > 0), np.float64)

    def kin(self) -> Bools:
        """Pairs whose weights descend from one initialisation: correlation and Fisher z of `verdict`."""
        z = np.arctanh(np.clip(self.correlation, -0.9999999, 0.9999999)) * np.sqrt(np.maximum(self.counts - 3, 1))
        found = (self.correlation >= DESCENT_R) & (z >= DESCENT_Z)
        np.fill_diagonal(found, val=False)
        return np.asarray(found, np.bool_)


def compare_weights(recordings: Sequence[Recording]) -> Weights:
    """All pairs; matrices are partners if name and shape agree."""
    models = len(recordings)
    holders: dict[tuple[str, tuple[int, ...]], dict[int, Floats]] = {}
    for place, recording in enumerate(recordings):
        for tensor in recording.sketch:
            holders.setdefault((tensor.name, tensor.shape), {})[place] = unpack(tensor).ravel()
    total, counts = np.zeros((2, models, models))
    tensors = []
    for held in holders.values():
        if len(held) > 1:
            places, values = np.array(list(held)), np.stack(list(held.values()))
            values = values - values.mean(axis=1, keepdims=True)
            norm = np.linalg.norm(values, axis=1, keepdims=True)
            values = values / np.where(norm > 0, norm, 1.0)
            total[np.ix_(places, places)] += values @ values.T * values.shape[1]
            counts[np.ix_(places, places)] += values.shape[1]
            tensors.append((places, values))
    pooled = np.divide(total, counts, out=np.zeros_like(total), where=counts > 0)
    return Weights(tensors=tuple(tensors), correlation=pooled, counts=counts)


def groups(kin: Bools) -> list[list[int]]:
    """Connected models, in order of their first."""
    from scipy.sparse.csgraph import connected_components

    _, label = connected_components(kin, directed=False)
    found: dict[int, list[int]] = {}
    for model, name in enumerate(label):
        found.setdefault(int(name), []).append(model)
    return list(found.values())


def copied_from(copy: Recording, source: Recording) -> str:
    """Why the first can only have been made from the second, or an empty string.

    Rounding and pruning lose what cannot be put back. A copy is known by its values lying exactly where the source's
    round to, with the differences spread evenly over a rounding step: a fine-tune of an already rounded model
    keeps close to its grid as well, but its changes crowd around zero.
    """
    known = {(tensor.name, tensor.shape): tensor for tensor in source.sketch}
    both = [(tensor, known.get((tensor.name, tensor.shape))) for tensor in copy.sketch]
    pairs = [(unpack(mine), unpack(theirs)) for mine, theirs in both if theirs is not None]
    if len(pairs) < len(copy.sketch) or len(pairs) < len(source.sketch) or not pairs:
        return ""
    if _is_pruned(pairs):
        return "its weights are those of the other with some set to zero"
    for top in GRIDS:
        found = [each for a, b in pairs if (each := on_grid(a, b, (top,))).share > 0]
        shares, spreads = [each.share for each in found], [each.spread for each in found]
        if len(found) >= 0.8 * len(pairs) and is_rounding(share=float(np.mean(shares)), spread=float(np.mean(spreads))):
            return f"its weights are those of the other rounded to {8 if top == GRIDS[0] else 4} bits"
    return ""


def _is_pruned(pairs: Sequence[tuple[Floats, Floats]]) -> bool:
    zero, kept, gone = 0, True, 0
    for copy, source in pairs:
        alive = copy != 0
        kept = kept and bool(np.allclose(copy[alive], source[alive], rtol=2e-3, atol=1e-6))
        zero += int((~alive).sum())
        gone += int((~alive & (source != 0)).sum())
    return kept and gone > 0.01 * sum(copy.size for copy, _ in pairs) and gone > 0.5 * zero
