"""One comparison: the recordings that every method sees."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from fingerprint.evidence.align import Aligned, align
from fingerprint.evidence.base import Skipped
from fingerprint.evidence.crossscores import CrossScores, cross_scores
from fingerprint.recording import Recording


@dataclass(frozen=True, kw_only=True)
class Case:
    """One comparison: suspect and reference, declared controls, and the population they are seen against.

    ``base`` is what the suspect was before it learned, where that is known; it is never a control.
    """

    suspect: Recording
    reference: Recording
    controls: tuple[Recording, ...] = ()
    panel: tuple[Recording, ...] = ()
    seed: int = 0
    base: Recording | None = None

    @property
    def others(self) -> tuple[Recording, ...]:
        """Controls, then panel."""
        return (*self.controls, *self.panel)

    @cached_property
    def aligned(self) -> Aligned | Skipped:
        """Next-symbol distributions of everybody on common contexts."""
        return align(self.suspect, self.reference, self.others)

    @cached_property
    def scores(self) -> CrossScores:
        """Who finds whose text how likely; suspect and reference first, then the others."""
        return cross_scores([self.suspect, self.reference, *self.others])

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """A distinct name for each of the others."""
        names: list[str] = []
        for recording in self.others:
            name = recording.model.name
            names.append(name if name not in names else f"{name} ({recording.model.digest[7:15]})")
        return tuple(names)
