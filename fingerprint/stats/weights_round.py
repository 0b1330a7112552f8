"""Is one matrix the other in another number format? Equality that knows how numbers are rounded.

What rounding explains is not yet a rounded copy: a short fine-tune of a rounded model also stays within half a step of
it. But rounding spreads its errors evenly over the step, with a root mean square of 1/√12 steps (Bennett 1948), while
the changes of a fine-tune crowd around zero. So both are measured, the share and the spread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
#: Largest integer of the common symmetric block formats: 8 bits, 4 bits.
GRIDS = (127, 8, 7)
#: Values that share one scale; 0 is the whole row.
_BLOCKS = (32, 64, 128, 0)
#: Root mean square of errors that are spread evenly over a step, in steps.
UNIFORM = float(1 / np.sqrt(12))
#: How far from a whole number of steps a value on a grid may be, in steps.
_ON_GRID = 0.12


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounding:
    """``share`` of values that rounding explains; ``spread``: root mean square of the differences that are not zero, in
    steps, about `UNIFORM` for a rounded copy and where nothing differs.
    """

    share: float
    spread: float = UNIFORM

    @property
    def rank(self) -> tuple[float, float]:
        """Larger is more like rounding."""
        return self.share, -abs(self.spread - UNIFORM)


NONE = Rounding(share=0.0, spread=0.0)


def within_rounding(first: Floats, second: Floats, first_step: Floats | None, second_step: Floats | None) -> Rounding:
    """Values that differ by no more than both sides' rounding explains: half a step each.

    The spread is in steps of the side, or of both sides together, where it is nearest to what rounding leaves: either
    may have been rounded from the other, or both from a third.
    """
    gap = np.abs(first - second)
    steps = [np.broadcast_to(step, gap.shape) for step in (first_step, second_step) if step is not None]
    room: Floats = np.zeros((), dtype=np.float32)
    for step in steps:
        room = room + np.float32(0.501) * step
    share, unequal = float(np.mean(gap <= room)), gap > 0
    if not unequal.any():
        return Rounding(share=1.0)
    tried = [*steps, np.hypot(*steps)] if len(steps) > 1 else steps
    found = [Rounding(share=share, spread=_rms(gap[unequal], step[unequal])) for step in tried]
    return max(found, key=lambda each: each.rank, default=Rounding(share=share, spread=0.0))


def _rms(gap: Floats, step: Floats) -> float:
    live = step > 0
    # A step can be as small as a number gets; a hundred steps are as far off as any more.
    away = gap[live] / np.maximum(step[live], 0.01 * gap[live])
    return float(np.sqrt(np.mean(away**2))) if live.any() else 0.0


def on_grids(first: Floats, second: Floats) -> Rounding:
    """Values that one side has exactly where rounding the other side to a symmetric grid puts them; (n, d).

    For copies that were rounded and then stored as plain floats.
    """
    found = [NONE]
    for width in _BLOCKS:
        block = width or first.shape[1]
        # Where rows are no whole number of blocks, the blocks run on from row to row.
        whole = first.size // block * block
        if not whole:
            continue
        a, b = first.ravel()[:whole].reshape(-1, block), second.ravel()[:whole].reshape(-1, block)
        found += [on_grid(a, b), on_grid(b, a)]
    return max(found, key=lambda each: each.rank)


def on_grid(copy: Floats, source: Floats, grids: Sequence[int] = GRIDS) -> Rounding:
    """The best of the grids: values of ``copy`` that are the rounded values of ``source``; blocks (n, width)."""
    found = [NONE]
    largest = np.abs(copy).max(axis=1, keepdims=True)
    live = largest[:, 0] > 0
    for top in grids if live.any() else ():
        step = largest[live] / top
        places, wanted = copy[live] / step, source[live] / step
        if float(np.mean(np.abs(places - np.round(places)) < _ON_GRID)) < 0.99:
            continue  # not on this grid
        gap = np.abs(wanted - np.round(places))
        # The largest value of a block is kept as it is.
        moved = gap[np.abs(places) < top - 0.5]
        spread = float(np.sqrt(np.mean(moved**2))) if moved.size else UNIFORM
        found.append(Rounding(share=float(np.mean(np.round(wanted) == np.round(places))), spread=spread))
    return max(found, key=lambda each: each.rank)
