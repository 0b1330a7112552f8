"""What a shortlist would miss: related pairs of recorded assistants in panels far larger than any that was recorded.

Beyond some thousands of models not all pairs can be compared. The plan is a small sketch for all, a shortlist of the K
nearest for each, and the full score for the shortlist. A related pair is missed if K strangers come before it. How often
a stranger does is read off the scores of unlisted pairs, with an exponential tail beyond the highest tenth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import poisson

from fingerprint.stats.panelsketch import PanelSketch

Floats = NDArray[np.float64]
SIZES = (1 << 10, 1 << 12, 1 << 14, 1 << 16)
PANELS = (1_000, 10_000, 100_000, 1_000_000)
SHORTLISTS = (10, 100, 1_000)
_TAIL = 0.1


def fold(panel: PanelSketch, size: int) -> PanelSketch:
    """The same sketches with ``size`` places: a count sketch is made smaller by adding its places up."""
    models, views, blocks, places = panel.values.shape
    kept = max(size // blocks, 1)
    return replace(panel, values=panel.values.reshape(models, views, blocks, places // kept, kept).sum(axis=3))


def stranger_rate(values: Floats, strangers: Floats) -> Floats:
    """Share of strangers that reach each value; beyond their highest tenth an exponential tail."""
    ordered = np.sort(strangers)
    start = float(np.quantile(ordered, 1 - _TAIL))
    scale = max(float((ordered[ordered > start] - start).mean()), 1e-9)
    counted = (1 + len(ordered) - np.searchsorted(ordered, values)) / (1 + len(ordered))
    return np.asarray(np.where(values > start, _TAIL * np.exp(-(values - start) / scale), counted), np.float64)


def missed(panel: PanelSketch, related: Sequence[tuple[int, int]], strangers: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """By places of a sketch and size of a shortlist: share of related pairs missed, by size of the panel."""
    table: dict[str, Any] = {}
    for size in SIZES:
        scores = fold(panel, size).scores()
        rate = stranger_rate(np.array([scores[pair] for pair in related]), np.array([scores[pair] for pair in strangers]))
        for kept in SHORTLISTS:
            table[f"{size} places, {kept} kept"] = {
                f"{models:,} models": round(float(np.mean(poisson.sf(kept - 1, models * rate))), 4) for models in PANELS
            }
    return table
