"""What a method gets and gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from fingerprint.recording import Recording

if TYPE_CHECKING:
    from fingerprint.evidence.align import Aligned

Access = Literal["text", "topk", "logits", "weights"]
#: Guardrail probes describe behaviour; they are never evidence of lineage.
NOT_EVIDENCE = "guardrails"
#: Fewest common prompts from which anything is concluded.
MIN_PROMPTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one method found. ``controls`` holds the same effect between suspect and each control."""

    method: str
    title: str
    access: Access
    statistic: float
    pvalue: float | None
    effect: float
    interval: tuple[float, float] | None
    n: int
    note: str = ""
    controls: dict[str, float] = field(default_factory=dict)
    features: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A method that was not applied, and why. Shown in every report."""

    method: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Case:
    """One comparison: suspect and reference, declared controls, and the population they are seen against."""

    suspect: Recording
    reference: Recording
    controls: tuple[Recording, ...] = ()
    panel: tuple[Recording, ...] = ()
    seed: int = 0

    @property
    def others(self) -> tuple[Recording, ...]:
        """Controls, then panel."""
        return (*self.controls, *self.panel)

    @cached_property
    def aligned(self) -> Aligned | Skipped:
        """Next-symbol distributions of everybody on common contexts."""
        from fingerprint.evidence.align import align

        return align(self.suspect, self.reference, self.others)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """A distinct name for each of the others."""
        names: list[str] = []
        for recording in self.others:
            name = recording.model.name
            names.append(name if name not in names else f"{name} ({recording.model.digest[7:15]})")
        return tuple(names)
