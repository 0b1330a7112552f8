"""What speaks for each hypothesis: every method on one side, on the other, or on neither. A description, not a verdict.

A method speaks for H1 where the reference's whole interval lies beyond the closest control, for H2 where the whole
interval falls short of it. Between the two, and without a control, it speaks for neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fingerprint.report import words

if TYPE_CHECKING:
    from fingerprint.report.schema import EvidencePart, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One method and what it says, in a sentence."""

    part: EvidencePart
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """All methods that were applied, by what they speak for."""

    for_h1: tuple[Item, ...]
    for_h2: tuple[Item, ...]
    open: tuple[Item, ...]


def both(result: Result) -> Sides:
    """The evidence of a report by side, counter-evidence included."""
    found: dict[str, list[Item]] = {"for_h1": [], "for_h2": [], "open": []}
    for part in result.evidence:
        side, sentence = _standing(part)
        found[side].append(Item(part=part, sentence=sentence))
    return Sides(**{side: tuple(items) for side, items in found.items()})


def _standing(part: EvidencePart) -> tuple[str, str]:
    best = words.best_control(part)
    if best is None:
        return "open", f"{words.number(part.effect)}, with no control to compare with."
    name, rival = best
    sign = -1 if part.method in words.LOWER_IS_CLOSER else 1
    ends = sorted(sign * end for end in (part.interval or (part.effect, part.effect)))
    ahead = sum(sign * value >= sign * part.effect for value in part.controls.values())
    shown = f"{words.number(part.effect)} with the reference, {words.number(rival)} with {words.name(name)}"
    if ends[0] > sign * rival:
        return "for_h1", f"Closer to the reference than to all {len(part.controls)} others: {shown}."
    if ends[1] < sign * rival:
        return "for_h2", f"{ahead} of {len(part.controls)} others are closer than the reference: {shown}."
    return "open", f"The interval reaches the closest of {len(part.controls)} others: {shown}."
