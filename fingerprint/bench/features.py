"""Features of a pair: the numbers that a calibration is fitted on, from the code that a report computes them with.

One table holds the recordings of a whole zoo and aligns them once; a pair is then a choice of its rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fingerprint.errors import UsageError
from fingerprint.evidence.align import Aligned, align
from fingerprint.evidence.asymmetry import asymmetry_features
from fingerprint.evidence.base import Evidence, Skipped
from fingerprint.evidence.case import Case
from fingerprint.evidence.crossscores import CrossScores, cross_scores
from fingerprint.evidence.features import distribution_features
from fingerprint.evidence.likelihood import likelihood_features
from fingerprint.evidence.text import usable_answers, without_common
from fingerprint.evidence.weights import weight_descent
from fingerprint.recording import Recording
from fingerprint.stats.divergence import jensen_shannon
from fingerprint.stats.textsim import LINEAGE, fuse, text_similarity

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class FeatureTable:
    """Recordings by name; everything that pairs share is computed once."""

    recordings: Mapping[str, Recording]

    def of(self, suspect: str, reference: str, controls: Sequence[str]) -> dict[str, float]:
        """All features of a pair that its recordings allow; ``controls`` are names of other recordings.

        A feature that cannot be computed is not in the answer.

        Raises:
            UsageError: the recordings have no contexts in common.

        """
        rows = [self._place[name] for name in (suspect, reference, *controls)]
        scores = self.scores.choose(rows)
        return (
            self._distributions(rows)
            | likelihood_features(scores)
            | asymmetry_features(scores)
            | self._text(rows)
            | self._weights(suspect, reference)
        )

    def _distributions(self, rows: Sequence[int]) -> dict[str, float]:
        """What does not change if suspect and reference change places: computed once for both orders."""
        key = (*sorted(rows[:2]), *rows[2:])
        if key not in self._known:
            aligned = self.aligned.choose(key)
            self._known[key] = distribution_features(aligned) | baseline_features(aligned)
        return self._known[key]

    @cached_property
    def _known(self) -> dict[tuple[int, ...], dict[str, float]]:
        return {}

    @cached_property
    def aligned(self) -> Aligned:
        """Distributions of all models, in the order of ``recordings``."""
        first, second, *others = self.recordings.values()
        table = align(first, second, others)
        if isinstance(table, Skipped):
            raise UsageError(f"The recordings of the zoo do not fit together: {table.reason}.")
        if len(table.used) < len(others):
            raise UsageError("Some recordings of the zoo lack most of the contexts of the others.")
        return table

    @cached_property
    def scores(self) -> CrossScores:
        """Who finds whose text how likely, in the order of ``recordings``."""
        return cross_scores(list(self.recordings.values()))

    @cached_property
    def _place(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.recordings)}

    @cached_property
    def _views(self) -> dict[str, Floats]:
        """Views of the answers of all models. The rarity of a phrase is counted over the whole zoo, not per pair."""
        usable = [usable_answers(recording) for recording in self.recordings.values()]
        keys = sorted(set.intersection(*(set(found) for found in usable)))
        kept, _ = without_common(usable)
        return text_similarity([[found.get(key) for key in keys] for found in kept])[0]

    def _text(self, rows: Sequence[int]) -> dict[str, float]:
        views = {name: view[np.ix_(rows, rows)] for name, view in self._views.items()}
        return {"text_z": float(fuse(views, LINEAGE, per_model=True)[0, 1]), "phrases": float(views["phrases"][0, 1])}

    def _weights(self, suspect: str, reference: str) -> dict[str, float]:
        found = weight_descent(Case(suspect=self.recordings[suspect], reference=self.recordings[reference]))
        return {"weight_r": found.effect, "weight_z": found.statistic} if isinstance(found, Evidence) else {}


def baseline_features(aligned: Aligned) -> dict[str, float]:
    """Scores that peers use, larger for closer pairs: mean divergence and agreement on the likeliest symbol."""
    first, second = aligned.probabilities[0].astype(np.float64), aligned.probabilities[1].astype(np.float64)
    return {
        "jsd": -float(jensen_shannon(first, second).mean()),
        "top1": float((first.argmax(axis=1) == second.argmax(axis=1)).mean()),
    }
