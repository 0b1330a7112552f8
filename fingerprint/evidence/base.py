"""What a method gets and gives."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from fingerprint.canonical import rounded

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

    def rounded(self) -> Evidence:
        """The same with numbers as a report holds them, so that whatever is decided can be decided again from it."""
        return replace(
            self,
            statistic=rounded(self.statistic),
            pvalue=None if self.pvalue is None else rounded(self.pvalue),
            effect=rounded(self.effect),
            interval=None if self.interval is None else (rounded(self.interval[0]), rounded(self.interval[1])),
            controls={name: rounded(value) for name, value in self.controls.items()},
            features={name: rounded(value) for name, value in self.features.items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A method that was not applied, and why. Shown in every report."""

    method: str
    reason: str
