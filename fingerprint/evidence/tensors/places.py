"""The same places: what two models' matrices share where they lie, and whether one is the other in another format.

Needs the open weights of both sides. Null: independent initialisation, under which the residual dimensions of one side
may be relabelled (`fingerprint.stats.weights_null`, which names the sources).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fingerprint.evidence.tensors.pairing import Pair, sampled
from fingerprint.stats.weights_match import standardised
from fingerprint.stats.weights_null import LogTest, smallest, trace_test
from fingerprint.stats.weights_round import NONE, UNIFORM, Rounding, on_grids, within_rounding
from fingerprint.tensors.base import Values
from fingerprint.tensors.model import Key
from fingerprint.tensors.numbers import narrow_step
from fingerprint.tensors.roles import EMBED, HEAD

#: Vectors of a matrix, and residual dimensions, that enter the test; correlations are of all values.
_VECTORS, _DIMENSIONS = 1024, 2048
#: Rounding is looked at only where the values agree this well.
_ROUNDED_FROM = 0.9
#: Rows that are looked at for rounding: this many runs of this many.
_RUN_COUNT, _RUN = 8, 32
_FLOATS = ("F64", "F32", "F16", "BF16")


@dataclass(slots=True, kw_only=True)
class Sums:
    """Running sums over the values of two matrices."""

    count: int = 0
    first: float = 0.0
    second: float = 0.0
    squares: tuple[float, float] = (0.0, 0.0)
    product: float = 0.0
    difference: float = 0.0
    zeros: tuple[int, int] = (0, 0)
    unequal: int = 0

    def add(self, a: Values, b: Values) -> None:
        gap = (a - b).ravel()
        self.count += a.size
        self.first += float(a.sum(dtype=np.float64))
        self.second += float(b.sum(dtype=np.float64))
        self.squares = (self.squares[0] + _dot(a, a), self.squares[1] + _dot(b, b))
        self.product += _dot(a, b)
        self.difference += _dot(gap, gap)
        self.unequal += int(np.count_nonzero(gap))
        self.zeros = (
            self.zeros[0] + a.size - int(np.count_nonzero(a)),
            self.zeros[1] + b.size - int(np.count_nonzero(b)),
        )

    @property
    def correlation(self) -> float:
        n = max(self.count, 1)
        spread = [square - total**2 / n for square, total in zip(self.squares, (self.first, self.second), strict=True)]
        scale = float(np.sqrt(max(spread[0], 0.0) * max(spread[1], 0.0)))
        return float(np.clip((self.product - self.first * self.second / n) / scale, -1, 1)) if scale > 0 else 0.0

    @property
    def distance(self) -> float:
        """Root mean square difference over root mean square size."""
        return float(np.sqrt(self.difference / max(sum(self.squares) / 2, 1e-30)))


def _dot(a: Values, b: Values) -> float:
    return float(np.vdot(a, b))


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """What one pair of matrices showed. ``rounding`` is what rounding explains, ``grid`` whether an integer grid was
    needed to explain it; ``kept`` is the share of the larger side's vectors that have a partner.
    """

    key: Key
    count: int
    correlation: float
    distance: float
    rounding: Rounding
    grid: bool
    zeros: tuple[float, float]
    renamed: bool
    vector: bool
    kept: float


@dataclass(frozen=True, kw_only=True)
class Places:
    """All pairs of matrices, and the tests of their common places."""

    matrices: tuple[Matrix, ...]
    blocks: LogTest
    vocabulary: LogTest
    covered: tuple[float, float] = (0.0, 0.0)
    log10_p: float = field(default=0.0)

    @property
    def spread(self) -> float:
        """How widely differences are spread, in rounding steps: the mean of the matrices that differ."""
        found = [m.rounding.spread for m in self.matrices if not m.vector and m.distance > 0]
        return float(np.mean(found)) if found else UNIFORM

    def correlation(self, *, vocabulary: bool) -> float:
        """Mean correlation of the layers' matrices, or of embedding and head."""
        chosen = [m.correlation for m in self.matrices if not m.vector and (m.key[1] in (EMBED, HEAD)) == vocabulary]
        return float(np.mean(chosen)) if chosen else 0.0


def same_places(pairs: list[Pair], parameters: tuple[int, int], *, seed: int) -> Places:
    """Go through all pairs once, a few rows of each side in memory."""
    matrices: list[Matrix] = []
    tables: dict[bool, NDArray[np.float64]] = {}
    for pair in pairs:
        matrix, rows = _look(pair)
        matrices.append(matrix)
        if rows is None:
            continue
        vocabulary = pair.first.key[1] in (EMBED, HEAD)
        table = (rows[0].T @ rows[1]).astype(np.float64)
        known = tables.get(vocabulary)
        if known is None or known.shape == table.shape:
            tables[vocabulary] = table if known is None else known + table
    nothing = LogTest(statistic=0.0, effect=0.0, log10_p=0.0, n=0)
    tests = {kind: trace_test(table, seed=seed + int(kind)) for kind, table in sorted(tables.items())}
    values = sum(pair.first.tensor.size for pair in pairs), sum(pair.second.tensor.size for pair in pairs)
    return Places(
        matrices=tuple(matrices),
        blocks=tests.get(False, nothing),
        vocabulary=tests.get(True, nothing),
        covered=(values[0] / max(parameters[0], 1), values[1] / max(parameters[1], 1)),
        log10_p=smallest([test.log10_p for test in tests.values()]),
    )


def _look(pair: Pair) -> tuple[Matrix, tuple[Values, Values] | None]:
    sums, chosen = Sums(), sampled(pair.count, _VECTORS)
    kept: list[tuple[Values, Values]] = []
    for start, stop in pair.chunks():
        a, b = pair.read(start, stop)
        sums.add(a, b)
        here = chosen[(chosen >= start) & (chosen < stop)] - start
        kept.append((a[here], b[here]))
    rows = np.concatenate([a for a, _ in kept]), np.concatenate([b for _, b in kept])
    rounding, grid = _rounding(pair, sums)
    matrix = Matrix(
        key=pair.first.key,
        count=sums.count,
        correlation=sums.correlation,
        distance=sums.distance,
        rounding=rounding,
        grid=grid,
        zeros=(sums.zeros[0] / max(sums.count, 1), sums.zeros[1] / max(sums.count, 1)),
        renamed=pair.renamed,
        vector=len(pair.first.tensor.shape) < 2,
        kept=pair.count / max(pair.first.count, pair.second.count, 1),
    )
    if pair.first.axis is None:
        return matrix, None
    dimensions = sampled(pair.first.width, _DIMENSIONS)
    return matrix, (standardised(rows[0][:, dimensions]), standardised(rows[1][:, dimensions]))


def _rounding(pair: Pair, sums: Sums) -> tuple[Rounding, bool]:
    """What rounding explains, and whether only an integer grid explains it."""
    if not sums.unequal:
        return Rounding(share=1.0), False
    if sums.correlation < _ROUNDED_FROM or pair.tokens is not None:
        return NONE, False
    sides, steps = _stored_runs(pair) if _stored_alike(pair) else _vector_runs(pair)
    formats = [part.tensor.format for part in (pair.first, pair.second) if part.tensor.step is not None]
    integers = any(format_ not in _FLOATS for format_ in formats)
    # What was rounded may have been stored in a wider format afterwards.
    room = [narrow_step(side) if step is None else step for side, step in zip(sides, steps, strict=True)]
    found = within_rounding(sides[0], sides[1], room[0], room[1])
    if integers or found.share == 1.0:
        return found, integers
    return max(found, on_grids(sides[0], sides[1]), key=lambda each: each.rank), True


def _stored_alike(pair: Pair) -> bool:
    first, second = pair.first, pair.second
    ordered = {part.order is None for part in (first, second)}
    return first.axis == second.axis and len(ordered) == 1 and first.tensor.shape == second.tensor.shape


def _runs(rows: int) -> list[tuple[int, int]]:
    """Some runs of neighbouring rows from all over, whole blocks of the formats whose blocks run on."""
    starts = np.unique(np.linspace(0, max(rows - _RUN, 0), _RUN_COUNT).astype(int))
    return [(int(start), min(int(start) + _RUN, rows)) for start in starts]


def _stored_runs(pair: Pair) -> tuple[list[Values], list[Values | None]]:
    """Runs of rows as they are stored, of both sides, and their rounding steps."""
    tensors = (pair.first.tensor, pair.second.tensor)
    runs = _runs(tensors[0].rows)
    sides = [np.concatenate([tensor.read(start, stop) for start, stop in runs]) for tensor in tensors]
    steps = [
        None if tensor.step is None else np.concatenate([tensor.step(start, stop) for start, stop in runs])
        for tensor in tensors
    ]
    return sides, steps


def _vector_runs(pair: Pair) -> tuple[list[Values], list[Values | None]]:
    """The same in the order of the vectors, for matrices that are stored differently."""
    chosen = np.concatenate([np.arange(start, stop) for start, stop in _runs(pair.count)])
    parts = (pair.first, pair.second)
    sides = [part.vectors()[chosen] for part in parts]
    found = [part.steps(0, part.count) for part in parts]
    return sides, [None if step is None else step[chosen] for step in found]
