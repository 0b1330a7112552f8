"""The same places: what two models' matrices share where they lie, and whether one is the other in another format."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fingerprint.evidence.tensors.pairing import Pair, sampled
from fingerprint.stats.weights_match import standardised
from fingerprint.stats.weights_null import LogTest, smallest, trace_test
from fingerprint.stats.weights_round import grid_share, within_rounding
from fingerprint.tensors.base import Values
from fingerprint.tensors.model import Key, Part
from fingerprint.tensors.roles import EMBED, HEAD

#: Vectors of a matrix, and residual dimensions, that enter the test; correlations are of all values.
_VECTORS, _DIMENSIONS = 1024, 2048
#: Rounding is looked at only where the values agree this well.
_ROUNDED_FROM = 0.9
#: Values of a block that share a scale, in the common formats.
_BLOCK = 32


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
    """What one pair of matrices showed. ``rounded`` is the share of values that rounding explains, ``grid`` whether an
    integer grid was needed to explain them; ``kept`` is the share of the larger side's vectors that have a partner.
    """

    key: Key
    count: int
    correlation: float
    distance: float
    rounded: float
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
    rounded, grid = _rounding(pair, sums, chosen, rows)
    matrix = Matrix(
        key=pair.first.key,
        count=sums.count,
        correlation=sums.correlation,
        distance=sums.distance,
        rounded=rounded,
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


def _rounding(pair: Pair, sums: Sums, chosen: NDArray[np.intp], rows: tuple[Values, Values]) -> tuple[float, bool]:
    """Share of values that rounding explains, and whether only an integer grid explains them."""
    if not sums.unequal:
        return 1.0, False
    if sums.correlation < _ROUNDED_FROM or pair.tokens is not None:
        return 0.0, False
    steps = [_steps(part, chosen) for part in (pair.first, pair.second)]
    integers = any(part.tensor.step is not None and not _is_float(part.tensor.format) for part in (pair.first, pair.second))
    share = within_rounding(rows[0], rows[1], steps[0], steps[1])
    if integers or share == 1.0:
        return share, integers
    in_blocks = pair.first.axis != 0 and pair.first.tensor.columns % _BLOCK == 0
    return max(share, grid_share(*rows) if in_blocks else _stored_grid(pair)), True


def _stored_grid(pair: Pair) -> float:
    """The same for a matrix whose vectors are no rows of blocks: blocks run along what is stored."""
    last = min(pair.first.tensor.rows, _VECTORS)
    return grid_share(pair.first.tensor.read(0, last), pair.second.tensor.read(0, last))


def _is_float(format_: str) -> bool:
    return format_ in ("F64", "F32", "F16", "BF16")


def _steps(part: Part, chosen: NDArray[np.intp]) -> Values | None:
    found = []
    for start, stop in part.spans():
        here = chosen[(chosen >= start) & (chosen < stop)] - start
        if here.size:
            step = part.steps(start, stop)
            if step is None:
                return None
            found.append(step[here])
    return np.concatenate(found)
