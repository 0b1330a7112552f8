"""The result of one statistic."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StatResult:
    """An effect with its 95 % interval, and a p-value where a null hypothesis was tested.

    ``statistic`` is what was tested; ``effect`` is what the reader should look at; ``n`` counts
    independent clusters (prompts), not numbers.
    """

    statistic: float
    effect: float
    interval: tuple[float, float] | None
    pvalue: float | None
    n: int
