"""What weights hint at but do not prove: who came first, and which parents were merged in which shares.

Exploratory: neither enters a verdict. Their accuracy on models of known lineage is in ``bench/weights.json``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fingerprint.evidence.tensors.pairing import gather, sampled
from fingerprint.evidence.tensors.places import Places
from fingerprint.stats.weights_match import Floats, shares
from fingerprint.tensors.model import Weights
from fingerprint.tensors.roles import ATTENTION, EMBED, NEURON

#: Vectors of a matrix that stand for it.
_ROWS, _CLOCK_ROWS = 32, 64
#: A difference in the share of zeros that pruning explains.
_ZEROS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """+1: the first model comes from the second; −1: the other way; 0: no hint. ``kurtosis`` is first minus second."""

    lean: int
    reason: str
    kurtosis: float


def direction(first: Weights, second: Weights, places: Places) -> Direction:
    """Who came first, by what can only be lost (precision, weights, layers) or added (tokens).

    Kurtosis of the weights as a clock of training is the idea of MoTHer (Horwitz et al. 2024). It is reported and not
    used: on our fine-tunes it was right no oftener than wrong (``bench/weights.json``).
    """
    lean, reason = _lost(first, second, places)
    gap = kurtosis(first) - kurtosis(second)
    return Direction(lean=lean, reason=reason or "nothing was lost or added on either side", kurtosis=gap)


def _lost(first: Weights, second: Weights, places: Places) -> tuple[int, str]:
    integers = [any("int" in f or "Q" in f or "I8" in f for f in model.formats.split(", ")) for model in (first, second)]
    if integers[0] != integers[1]:
        return (1 if integers[0] else -1), "it is stored in integers"
    zeros = [float(np.mean([m.zeros[side] for m in places.matrices])) if places.matrices else 0.0 for side in (0, 1)]
    if abs(zeros[0] - zeros[1]) >= _ZEROS:
        return (1 if zeros[0] > zeros[1] else -1), "more of its weights are zero"
    if len(first.layers) != len(second.layers):
        return (1 if len(first.layers) < len(second.layers) else -1), "it has fewer layers"
    neurons = [sum(part.count for key, part in model.parts.items() if key[1] == NEURON[1]) for model in (first, second)]
    if neurons[0] != neurons[1]:
        return (1 if neurons[0] < neurons[1] else -1), "it has fewer neurons"
    tokens = [part.count if (part := model.parts.get((-1, EMBED))) else 0 for model in (first, second)]
    if tokens[0] != tokens[1]:
        return (1 if tokens[0] > tokens[1] else -1), "its vocabulary is larger"
    return 0, ""


def kurtosis(model: Weights) -> float:
    """Mean excess kurtosis of the layers' matrices, from some of their vectors."""
    found = []
    for (layer, role), part in model.parts.items():
        if layer >= 0 and role in (*NEURON, *ATTENTION):
            values = gather(part, sampled(part.count, _CLOCK_ROWS)).astype(np.float64)
            centred = values - values.mean()
            found.append(float(np.mean(centred**4) / max(float(np.mean(centred**2)) ** 2, 1e-30)) - 3.0)
    return float(np.mean(found)) if found else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """Shares of the candidate parents, and how much of the way to the nearest one they leave unexplained (0 to 1)."""

    shares: tuple[float, ...]
    unexplained: float


def merge(child: Weights, parents: Sequence[Weights], base: Weights | None = None) -> Merge | str:
    """Shares of two or more parents by non-negative least squares, or why they cannot be estimated."""
    known = [child, *parents, *([base] if base else [])]
    values = _values(known) if len(parents) > 1 else []
    if not values:
        return "fewer than two candidate parents have the suspect's shape"
    middle = np.stack(values[1 : 1 + len(parents)])
    found, rest = shares(values[0], middle, values[-1] if base else None)
    nearest = min(float(np.linalg.norm(values[0] - parent)) for parent in middle)
    length = float(np.linalg.norm(values[0] - (values[-1] if base else 0.0)))
    unexplained = min(1.0, rest * length / nearest) if nearest > 0 else 0.0
    return Merge(shares=tuple(float(share) for share in found), unexplained=unexplained)


def _values(models: Sequence[Weights]) -> list[Floats]:
    """The same few vectors of every matrix that all models have in one shape; empty where there is none."""
    keys = [key for key, part in models[0].parts.items() if key[0] >= 0 and part.axis is not None]
    shared = [key for key in keys if len({_size(model, key) for model in models}) == 1]
    columns: list[list[Floats]] = [[] for _ in models]
    for key in shared if None not in {_size(model, key) for model in models for key in shared} else []:
        for column, model in zip(columns, models, strict=True):
            part = model.parts[key]
            column.append(gather(part, sampled(part.count, _ROWS)).ravel())
    return [np.concatenate(column) for column in columns] if shared else []


def between(first: Weights, second: Weights, others: Sequence[Weights]) -> float:
    """How far a third model lies between both: the longer of its ways to them over their own distance, at least.

    Clearly below 1 for a common parent; 2 where there is no third model that could be one.
    """
    best = 2.0
    for other in others:
        values = _values([first, second, other])
        if values:
            own = float(np.linalg.norm(values[0] - values[1]))
            ways = [float(np.linalg.norm(values[2] - values[side])) for side in (0, 1)]
            # An exact copy of one side is no third model.
            if own > 0 and min(ways) > 1e-3 * own:
                best = min(best, max(ways) / own)
    return best


def _size(model: Weights, key: tuple[int, str]) -> tuple[int, int] | None:
    part = model.parts.get(key)
    return (part.count, part.width) if part is not None else None
