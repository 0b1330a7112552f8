"""The sequential part of a report, in numbers and in one sentence."""

from __future__ import annotations

from dataclasses import asdict

from fingerprint.evidence.case import Case
from fingerprint.report.schema import SequentialPart
from fingerprint.sequential import Outcome


def sequential_part(case: Case, outcome: Outcome) -> SequentialPart:
    """What the early stopping found; the verdict is not taken from it."""
    return SequentialPart(**asdict(outcome), sentence=_sentence(case, outcome))


def _sentence(case: Case, outcome: Outcome) -> str:
    suspect, reference = case.suspect.model.name, case.reference.model.name
    if not outcome.controls:
        return "Nobody to compare with: early stopping needs a control or a panel."
    against = f"{len(outcome.controls)} {'controls' if case.controls else 'models of the population'}"
    if outcome.decided == "reference":
        found = f"{suspect} is closer to {reference} than to each of {against}"
    elif outcome.decided == "control":
        found = f"one of {against} is closer to {suspect} than {reference} is"
    else:
        return (
            f"Not decided after {outcome.asked} probes, {outcome.telling} of which tell anybody apart: whether {suspect} "
            f"is closer to {reference} than to each of {against} stays open at level {outcome.alpha:g}."
        )
    return (
        f"After {outcome.queries} probes: {found} (level {outcome.alpha:g}, however often one looked). "
        "Closer is not derived: that is what the likelihood ratio weighs."
    )
