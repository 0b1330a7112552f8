"""Is one matrix the other in another number format? Equality that knows how numbers are rounded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
#: Largest integer of the common symmetric block formats: 8 bits, 4 bits.
GRIDS = (127, 8, 7)
#: Values that share one scale; 0 is the whole row.
_BLOCKS = (32, 64, 128, 0)


def within_rounding(first: Floats, second: Floats, first_step: Floats | None, second_step: Floats | None) -> float:
    """Share of values that differ by no more than both sides' rounding explains: half a step each."""
    room: Floats = np.zeros((), dtype=np.float32)
    for step in (first_step, second_step):
        if step is not None:
            room = room + np.float32(0.501) * step
    return float(np.mean(np.abs(first - second) <= room))


def grid_share(first: Floats, second: Floats) -> float:
    """Share of values that one side has exactly where rounding the other side to a symmetric grid puts them; (n, d).

    For copies that were rounded and then stored as plain floats. 1 for equal matrices and for rounded copies, well below
    for a fine-tune, whose changes are of the size of the steps.
    """
    best = 0.0
    for width in _BLOCKS:
        block = width or first.shape[1]
        # Where rows are no whole number of blocks, the blocks run on from row to row.
        whole = first.size // block * block
        if not whole:
            continue
        a, b = first.ravel()[:whole].reshape(-1, block), second.ravel()[:whole].reshape(-1, block)
        best = max(best, on_grid(a, b), on_grid(b, a))
    return best


def on_grid(copy: Floats, source: Floats) -> float:
    """Best share over the grids of values of ``copy`` that are the rounded values of ``source``; blocks (n, width)."""
    same = float(np.mean(np.isclose(copy, source, rtol=2e-3, atol=1e-6 + 5e-4 * float(np.abs(source).max()))))
    best = same if same == 1.0 else 0.0
    largest = np.abs(copy).max(axis=1, keepdims=True)
    live = largest[:, 0] > 0
    if not live.any():
        return best
    for top in GRIDS:
        step = largest[live] / top
        places = copy[live] / step
        if float(np.mean(np.abs(places - np.round(places)) < 0.12)) < 0.99:
            continue  # not on this grid
        best = max(best, float(np.mean(np.round(source[live] / step) == np.round(places))))
    return best
