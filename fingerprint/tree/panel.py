"""What a tree is grown from: weights and behaviour of all pairs, and who belongs together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

from fingerprint.calibration.model import Calibration
from fingerprint.recording import Recording
from fingerprint.tree.joining import Clade
from fingerprint.tree.kinship import Weights, compare_weights, groups
from fingerprint.tree.ties import Ties, behaviour_ties
from fingerprint.verdict import ACCUSE, ACCUSE_LOW, SUPPORT

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_REACH = 10.0  # log likelihood ratios beyond this are alike to the linkage


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Bootstrap replicates, their seed, and the support from which a fork is shown."""

    replicates: int = 100
    seed: int = 0
    cut: float = SUPPORT


@dataclass(frozen=True, kw_only=True)
class Panel:
    """What the tree is grown from; every matrix is (models, models)."""

    names: tuple[str, ...]
    weights: Weights
    kin: Bools
    lineages: list[list[int]]
    ties: Ties
    weights_bound: float


def measure(recordings: Sequence[Recording], calibration: Calibration, settings: Settings) -> Panel:
    """Weights and behaviour of all pairs."""
    weights = compare_weights(recordings)
    kin = weights.kin()
    lineages = groups(kin)
    ties = behaviour_ties(recordings, lineages, calibration, draws=settings.replicates, seed=settings.seed)
    bound = calibration.tiers["weights"].bounds[1]
    return Panel(
        names=names_of(recordings), weights=weights, kin=kin, lineages=lineages, ties=ties, weights_bound=max(bound, ACCUSE)
    )


def find_groups(capped: Floats, uncapped: Floats, lineages: Sequence[Sequence[int]]) -> list[Clade]:
    """All groups of models of one origin, small ones inside large ones: average linkage of log likelihood ratios.

    Models that share weights are one lineage from the start, as near to others as the nearest of them: who learned
    from one of them belongs to all. A join needs a mean of at least `ACCUSE_LOW` between both sides and one pair of at
    least `ACCUSE`, both capped. Matrices are (models, models).
    """
    rows = {place: [place] for place in range(len(lineages))}
    open_rows = set(rows)
    count = len(rows)
    ties, caps = (between(matrix, lineages) for matrix in (uncapped, capped))
    if count > 1:
        distance = squareform(_REACH - np.clip(ties, -_REACH, _REACH), checks=False)
        for row, (one, two, _, _) in enumerate(linkage(distance, "average")):
            sides = {int(one), int(two)}
            if sides <= open_rows:
                across = caps[np.ix_(rows[int(one)], rows[int(two)])]
                if across.mean() >= ACCUSE_LOW and across.max() >= ACCUSE:
                    rows[count + row] = rows[int(one)] + rows[int(two)]
                    open_rows = open_rows - sides | {count + row}
    groups = [frozenset(model for row in part for model in lineages[row]) for part in rows.values()]
    return [group for group in groups if len(group) > 1]


def between(matrix: Floats, lineages: Sequence[Sequence[int]]) -> Floats:
    """The largest value between any two lineages, (lineages, lineages), the diagonal 0."""
    order = np.concatenate([np.asarray(lineage) for lineage in lineages])
    starts = np.cumsum([0, *(len(lineage) for lineage in lineages[:-1])])
    sorted_rows = np.maximum.reduceat(matrix[order], starts, axis=0)
    found = np.maximum.reduceat(sorted_rows[:, order], starts, axis=1)
    np.fill_diagonal(found, 0.0)
    return np.asarray(found, np.float64)


def names_of(recordings: Sequence[Recording]) -> tuple[str, ...]:
    """The models' names; equal ones are told apart by the recording's digest, equal recordings by their number."""
    given = Counter(recording.model.name for recording in recordings)
    named = [r.model.name if given[r.model.name] == 1 else f"{r.model.name} ({r.digest[7:15]})" for r in recordings]
    again, seen = Counter(named), Counter[str]()
    for place, name in enumerate(named):
        if again[name] > 1:
            seen[name] += 1
            named[place] = f"{name} #{seen[name]}"
    return tuple(named)
