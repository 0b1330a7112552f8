"""Who taught this model? One suspect against many candidates, with "none of these" among the answers.

The candidates of a suspect are the models that began from nothing in its own pedigree and in the next one; when one is
tested, the others are its controls. Each suspect is asked twice: with its teacher among the candidates, and without,
when the only right answer is "none of these".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fingerprint.bench.verdicts import Court
from fingerprint.bench.zoo import TIERS, Say, Zoo
from fingerprint.stats.intervals import clopper_pearson
from fingerprint.verdict import ACCUSE
from fingerprint.zoo.pairs import ancestors, next_pedigree


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A suspect, its true teachers, and the features of each candidate against the other candidates."""

    suspect: str
    teachers: frozenset[str]
    features: dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One suspect and its ranked candidates: (name, uncapped log10 LR), the closest first."""

    suspect: str
    mechanism: str
    teachers: frozenset[str]
    ranking: tuple[tuple[str, float], ...]


def attribute(court: Court, say: Say) -> dict[str, Any]:
    """Top-1, top-3, "none of these" and wrong accusations of every tier, all suspects that learned from somebody."""
    asked = [questions(court.zoo, absent=absent) for absent in (False, True)]
    say(f"{len(asked[0])} students asked for their teacher")
    return {tier: found for tier in TIERS if (found := _tier(court, tier, *asked))}


def _tier(court: Court, tier: str, present: Sequence[Question], absent: Sequence[Question]) -> dict[str, Any]:
    with_teacher, without = _lines(court, tier, present), _lines(court, tier, absent)
    if not with_teacher:
        return {}
    named = [_named(line) for line in with_teacher]
    right = [name in line.teachers for name, line in zip(named, with_teacher, strict=True)]
    first = [line.ranking[0][0] in line.teachers for line in with_teacher]
    third = [any(name in line.teachers for name, _ in line.ranking[:3]) for line in with_teacher]
    wrong = [name is not None and name not in line.teachers for name, line in zip(named, with_teacher, strict=True)]
    none = [_named(line) is None for line in without]
    by_mechanism = {
        mechanism: _share([ok for ok, line in zip(first, with_teacher, strict=True) if line.mechanism == mechanism])
        for mechanism in sorted({line.mechanism for line in with_teacher})
    }
    return {
        "candidates": len(with_teacher[0].ranking),
        "top1": _share(first),
        "top3": _share(third),
        "top1_by_mechanism": by_mechanism,
        "named_right": _share(right),
        "accused_wrongly": _share(wrong),
        "none_of_these_right": _share(none),
        "accused_wrongly_without_teacher": _share([not ok for ok in none]),
    }


def _named(line: Line) -> str | None:
    """The candidate that the program would name, or None: the best one, where its ratio is large enough to accuse."""
    name, value = line.ranking[0]
    return name if value >= ACCUSE else None


def _share(hits: Sequence[bool]) -> dict[str, Any]:
    low, high = clopper_pearson(sum(hits), len(hits))
    return {"share": round(float(np.mean(hits)), 4), "of": len(hits), "interval": [round(low, 3), round(high, 3)]}


def questions(zoo: Zoo, *, absent: bool) -> list[Question]:
    """One question per student; with `absent`, its teachers and whatever they descend from are no candidates."""
    found = []
    for suspect in _students(zoo):
        teachers = ancestors(zoo.cards, suspect)
        pool = [name for name in _candidates(zoo, suspect) if not (absent and name in teachers)]
        if not absent and not teachers & set(pool):
            continue
        features = {
            candidate: zoo.table.of(suspect, candidate, [other for other in pool if other != candidate])
            for candidate in pool
        }
        found.append(Question(suspect=suspect, teachers=frozenset(teachers), features=features))
    return found


def _lines(court: Court, tier: str, asked: Sequence[Question]) -> list[Line]:
    """The rankings of one tier; questions to which it has no answer for some candidate are left out."""
    found = []
    for question in asked:
        calibration = court.calibration(*_near(court.zoo, question.suspect))
        if tier not in calibration.tiers or not all(set(TIERS[tier]) <= set(each) for each in question.features.values()):
            continue
        ranking = [(name, calibration.log10_lr(tier, features)) for name, features in question.features.items()]
        found.append(
            Line(
                suspect=question.suspect,
                mechanism=court.zoo.cards[question.suspect].mechanism,
                teachers=question.teachers,
                ranking=tuple(sorted(ranking, key=lambda item: -item[1])),
            )
        )
    return found


def _students(zoo: Zoo) -> list[str]:
    return [name for name, card in zoo.cards.items() if card.mechanism in {"distill_logits", "distill_text"}]


def _near(zoo: Zoo, suspect: str) -> set[str]:
    """Its own pedigree and the next."""
    own = zoo.cards[suspect].pedigree
    return {own, next_pedigree(card.pedigree for card in zoo.cards.values())[own]}


def _candidates(zoo: Zoo, suspect: str) -> list[str]:
    near = _near(zoo, suspect)
    return [name for name, card in zoo.cards.items() if not card.parents and card.pedigree in near]
