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

from fingerprint.bench.features import FeatureTable
from fingerprint.bench.verdicts import Court
from fingerprint.bench.zoo import TIERS, Zoo
from fingerprint.stats.intervals import clopper_pearson
from fingerprint.verdict import ACCUSE
from fingerprint.zoo.pairs import ancestors, next_pedigree


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One suspect and its ranked candidates: (name, uncapped log10 LR), the closest first."""

    suspect: str
    mechanism: str
    teachers: frozenset[str]
    ranking: tuple[tuple[str, float], ...]


def attribute(court: Court, tier: str) -> dict[str, Any]:
    """Top-1, top-3, "none of these" and wrong accusations of one tier, all suspects that learned from somebody."""
    with_teacher = lines(court, tier, absent=False)
    without = lines(court, tier, absent=True)
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


def lines(court: Court, tier: str, *, absent: bool) -> list[Line]:
    """The ranking of every student; with `absent`, its teachers and whatever they descend from are taken away."""
    zoo, table = court.zoo, FeatureTable(recordings=court.zoo.recordings)
    names = TIERS[tier]
    found = []
    for suspect in _students(zoo):
        teachers = ancestors(zoo.cards, suspect)
        pool = [name for name in _candidates(zoo, suspect) if not (absent and name in teachers)]
        calibration = court.calibration(*_near(zoo, suspect)).tiers.get(tier)
        if calibration is None or not (absent or teachers & set(pool)):
            continue
        ranking = []
        for candidate in pool:
            features = table.of(suspect, candidate, [other for other in pool if other != candidate])
            if set(names) <= set(features):
                ranking.append((candidate, calibration.log10_lr(features)))
        if len(ranking) == len(pool):
            ranking.sort(key=lambda item: -item[1])
            card = zoo.cards[suspect]
            found.append(
                Line(
                    suspect=suspect,
                    mechanism=card.mechanism,
                    teachers=frozenset(teachers),
                    ranking=tuple(ranking),
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
