"""Weights × weights, from sketches: do the matrices descend from one initialisation, and is one a rounded copy?

Null: independent initialisation. Then sketched values at the same places are uncorrelated, whatever data,
configuration and tokenizer the two models share, so the null needs no population. Needs the sketches of both sides; the
p-value is Fisher's z of a pooled correlation (Fisher 1921).
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
from fingerprint.stats.weights_round import UNIFORM, Rounding, on_grid

Floats = NDArray[np.float64]
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
    found = rounded(pairs)
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
            "rounded_share": found.share,
            "rounded_spread": found.spread,
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


def rounded(pairs: Sequence[tuple[Floats, Floats]]) -> Rounding:
    """What rounding explains, over all pairs of sketched blocks (n, 32): mean share, mean spread of what differs.

    One side may be the other in bfloat16 or on a symmetric grid; what float16, the format of sketches, cannot show is
    equal.
    """
    found = [_rounded(a, b) for a, b in pairs]
    differ = [each.spread for each in found if each.share < 1.0 or each.spread != UNIFORM]
    spread = float(np.mean(differ)) if differ else UNIFORM
    return Rounding(share=float(np.mean([each.share for each in found])), spread=spread)


def _rounded(first: Floats, second: Floats) -> Rounding:
    seen, gap = np.maximum(np.abs(first), np.abs(second)), np.abs(first - second)
    exponent = np.exp2(np.floor(np.log2(np.maximum(seen, 1e-30))))
    unseen = 1.5 * np.maximum(exponent * 2.0**-10, 2.0**-24 * seen.max(initial=0.0))
    if bool(np.all(gap <= unseen)):
        return Rounding(share=1.0)
    shorter = exponent * 2.0**-7
    found = [on_grid(first, second), on_grid(second, first)]
    inside = float(np.mean(gap <= 0.5 * shorter + unseen))
    found.append(Rounding(share=inside, spread=float(np.sqrt(np.mean((gap / shorter) ** 2)))))
    return max(found, key=lambda each: each.rank)


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
