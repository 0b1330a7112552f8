"""Does a scorer find one author's texts likelier than its rival does, and more so than another author's texts?

With bits[scorer, author, prompt] per byte, the interaction of scorer R (rival J) and author S (rival K) on a prompt is

    (bits[J, S] − bits[R, S]) − (bits[J, K] − bits[R, K])

R's quality and S's difficulty cancel, and so does whatever all four models share, as in the four-model contrast
(`fingerprint.stats.contrast`), of which this is the version for texts: one side's differences are probabilities, the
other's log-probabilities. The null value is zero. R's own texts in the place of S's give the value of a copy, to which
it is compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """Per prompt: the interaction, and the same with the scorer's own texts (a copy's value), (prompts,) each."""

    found: Floats
    copy: Floats
    rival_scorer: int
    rival_author: int

    def mean(self, weights: Floats | None = None) -> float:
        """Mean interaction, bits per byte."""
        return float(np.average(self.found, weights=weights))

    def share(self, weights: Floats | None = None) -> float:
        """The interaction as a share of a copy's, −1 to 1; 0 where a copy would not show either."""
        whole = float(np.average(self.copy, weights=weights))
        return 0.0 if whole <= 0 else float(np.clip(self.mean(weights) / whole, -1, 1))


def interactions(bits: Floats, author: int, scorer: int, others: Sequence[int], *, fewest: int) -> list[Interaction]:
    """The interactions with the nearest rivals, from the scores that there are; empty where there are too few.

    The rival scorer is the one that finds the scorer's texts likeliest, and in a second choice the author's; the rival
    author is the one whose scorer finds the author's texts likeliest, or any whose texts all have scored.
    """
    ranked = _means(bits)
    scorers = [other for other in others if _common(bits, [(other, author), (other, scorer)]) >= fewest]
    if not scorers or _common(bits, [(scorer, author), (scorer, scorer)]) < fewest:
        return []
    rivals = dict.fromkeys(
        [min(scorers, key=lambda j: (ranked[j, scorer], j)), min(scorers, key=lambda j: (ranked[j, author], j))]
    )
    found = []
    for rival in rivals:
        authors = [k for k in others if k != rival and _common(bits, [(scorer, k), (rival, k)]) >= fewest]
        known = [k for k in authors if np.isfinite(ranked[k, author])] or authors
        if known:
            near = min(known, key=lambda k: (ranked[k, author] if np.isfinite(ranked[k, author]) else 0.0, k))
            found.append(_interaction(bits, author, scorer, rival, near))
    return [each for each in found if each.found.size >= fewest]


def _interaction(bits: Floats, author: int, scorer: int, rival: int, near: int) -> Interaction:
    base = bits[rival, near] - bits[scorer, near]
    found = (bits[rival, author] - bits[scorer, author]) - base
    copy = (bits[rival, scorer] - bits[scorer, scorer]) - base
    whole = np.isfinite(found) & np.isfinite(copy)
    return Interaction(found=found[whole], copy=copy[whole], rival_scorer=rival, rival_author=near)


def _means(bits: Floats) -> Floats:
    counts = np.isfinite(bits).sum(axis=2)
    sums = np.nansum(bits, axis=2)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)


def _common(bits: Floats, cells: Sequence[tuple[int, int]]) -> int:
    return int(np.logical_and.reduce([np.isfinite(bits[cell]) for cell in cells]).sum())
