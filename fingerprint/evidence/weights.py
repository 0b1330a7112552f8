"""Weights × weights, from sketches: do the matrices descend from one initialisation, and is one a rounded copy?

Null: independent initialisation. Then sketched values at the same places are uncorrelated, whatever data,
configuration and tokenizer the two models share, so the null needs no population.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from fingerprint.evidence.base import Evidence, Skipped
from fingerprint.evidence.case import Case
from fingerprint.models.sketch import unpack
from fingerprint.recording import Recording, TensorSketch

Floats = NDArray[np.float64]
#: Largest integer of the common symmetric block formats: 8 bits, 4 bits.
_GRIDS = (127, 8, 7)
_SMALLEST_P = 1e-300
#: Two models whose sketches differ by less are one.
_COPY = 1e-3


def weight_descent(case: Case) -> Evidence | Skipped:
    """Pooled correlation of same-named, same-shaped matrices, each centred; p by Fisher's z."""
    name = "weight_descent"
    for side in (case.suspect, case.reference):
        if not side.sketch:
            return Skipped(method=name, reason=f"the weights of {side.model.name} are not open")
    pairs = _pairs(case.suspect.sketch, case.reference.sketch)
    if not pairs:
        return Skipped(method=name, reason="no weight matrix has the same name and shape on both sides")
    value, count = _pooled(pairs)
    tensors = np.array([_pooled([pair])[0] for pair in pairs])
    z = float(np.arctanh(np.clip(value, -0.9999999, 0.9999999)) * np.sqrt(max(count - 3, 1)))
    spread = float(1.96 * np.std(tensors) / np.sqrt(len(tensors)))
    rounded = rounded_share(pairs)
    total = max(len(case.suspect.sketch), len(case.reference.sketch))
    return Evidence(
        method=name,
        title="Weights: common descent",
        access="weights",
        statistic=z,
        effect=value,
        interval=(max(-1.0, value - spread), min(1.0, value + spread)),
        pvalue=max(float(norm.sf(z)), _SMALLEST_P),
        n=len(pairs),
        note=f"{len(pairs)} of {total} matrices have a partner of the same name and shape",
        controls={
            label: _pooled(shared)[0]
            for label, other in zip(case.labels, case.others, strict=True)
            if (shared := _pairs(case.suspect.sketch, other.sketch))
        },
        features={
            "weight_r": value,
            "weight_z": z,
            "coverage": len(pairs) / total,
            "rounded_share": rounded,
            "distance": distance(pairs),
            **_between(case, distance(pairs)),
        },
    )


def _between(case: Case, direct: float) -> dict[str, float]:
    """How near another model's weights lie to both sides: the longer way to it, in units of the way between them.

    Below 1 a third model lies between suspect and reference. Exact copies of one side are no third model.
    """
    ways = [[sketch_distance(other, side) for side in (case.suspect, case.reference)] for other in case.others]
    longer = [max(a, b) for a, b in ways if a is not None and b is not None and min(a, b) > _COPY]
    return {"between": min(longer) / direct} if longer and direct > _COPY else {}


def sketch_distance(first: Recording, second: Recording) -> float | None:
    """Relative distance of two models' weights, None where no matrix has a partner."""
    pairs = _pairs(first.sketch, second.sketch)
    return distance(pairs) if pairs else None


def distance(pairs: Sequence[tuple[Floats, Floats]]) -> float:
    """Root mean square difference over root mean square size, each matrix in its own scale."""
    parts = [float(np.mean((a - b) ** 2)) / max(float(np.mean(a**2 + b**2)) / 2, 1e-30) for a, b in pairs]
    return float(np.sqrt(np.mean(parts)))


def rounded_share(pairs: Sequence[tuple[Floats, Floats]]) -> float:
    """Share of values that one side has exactly where rounding the other side's block to its grid puts them.

    1 for equal weights and for copies in a symmetric block format; well below for a fine-tune,
    whose changes are of the size of the steps.
    """
    shares = [max(_on_grid(a, b), _on_grid(b, a)) for a, b in pairs]
    return float(np.mean(shares))


def _on_grid(copy: Floats, source: Floats) -> float:
    """Best share over the grids of values of ``copy`` that are the rounded values of ``source``; blocks (n, 32)."""
    same = float(np.mean(np.isclose(copy, source, rtol=2e-3, atol=1e-6 + 5e-4 * np.abs(source).max())))
    best = same if same == 1.0 else 0.0
    for top in _GRIDS:
        step = np.abs(copy).max(axis=1, keepdims=True) / top
        live = step[:, 0] > 0
        if not live.any():
            continue
        places = copy[live] / step[live]
        if float(np.mean(np.abs(places - np.round(places)) < 0.12)) < 0.99:
            continue  # not on this grid
        best = max(best, float(np.mean(np.round(source[live] / step[live]) == np.round(places))))
    return best


def _pairs(first: Sequence[TensorSketch], second: Sequence[TensorSketch]) -> list[tuple[Floats, Floats]]:
    known = {(sketch.name, sketch.shape): sketch for sketch in second}
    found = [(sketch, known.get((sketch.name, sketch.shape))) for sketch in first]
    return [(unpack(mine), unpack(theirs)) for mine, theirs in found if theirs is not None]


def _pooled(pairs: Sequence[tuple[Floats, Floats]]) -> tuple[float, int]:
    """Correlation over all pairs, every matrix centred and scaled first, and the number of values."""
    total, count = 0.0, 0
    for first, second in pairs:
        a, b = first.ravel() - first.mean(), second.ravel() - second.mean()
        scale = float(np.sqrt((a @ a) * (b @ b)))
        total += float(a @ b) / scale * a.size if scale > 0 else 0.0
        count += a.size
    return (float(np.clip(total / count, -1, 1)) if count else 0.0), count
