"""Pairs of a zoo with their truth, read off the pedigree cards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from fingerprint.zoo.card import Card

Truth = Literal["derived", "distilled", "related", "unrelated"]
_BY_LEARNING = {"distill_logits", "distill_text"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Suspect and reference of known relation; ``stratum`` names the confounder that an unrelated pair carries."""

    suspect: str
    reference: str
    truth: Truth
    stratum: str
    pedigree: str


def ancestors(cards: Mapping[str, Card], model: str) -> set[str]:
    """All models that a model descends from, by weights or by learning."""
    found: set[str] = set()
    waiting = list(cards[model].parents)
    while waiting:
        parent = waiting.pop()
        if parent not in found:
            found.add(parent)
            waiting.extend(cards[parent].parents)
    return found


def connected(cards: Mapping[str, Card], first: str, second: str) -> bool:
    """Whether two models share any ancestry."""
    mine = ancestors(cards, first) | {first}
    return bool(mine & (ancestors(cards, second) | {second}))


def truth(cards: Mapping[str, Card], suspect: str, reference: str) -> Truth:
    """The relation of a suspect to a reference, in that order of descent."""
    if not connected(cards, suspect, reference):
        return "unrelated"
    if reference not in ancestors(cards, suspect):
        return "related"
    step = suspect
    learned = False
    while step != reference:
        card = cards[step]
        learned = learned or card.mechanism in _BY_LEARNING
        step = next(p for p in card.parents if p == reference or reference in ancestors(cards, p))
    return "distilled" if learned else "derived"


def all_pairs(cards: Mapping[str, Card]) -> list[Pair]:
    """Every ordered pair of a zoo."""
    pairs = []
    for suspect, mine in cards.items():
        for reference, theirs in cards.items():
            if suspect == reference:
                continue
            relation = truth(cards, suspect, reference)
            pairs.append(
                Pair(
                    suspect=suspect,
                    reference=reference,
                    truth=relation,
                    stratum=_stratum(mine, theirs) if relation == "unrelated" else mine.mechanism,
                    pedigree=mine.pedigree,
                )
            )
    return pairs


def _stratum(first: Card, second: Card) -> str:
    if first.pedigree == second.pedigree:
        learned = first.mechanism in _BY_LEARNING or second.mechanism in _BY_LEARNING
        return "student of a same-data twin" if learned else "same data"
    return "same tokenizer" if first.tokenizer == second.tokenizer else "other data"


def next_pedigree(pedigrees: Iterable[str]) -> dict[str, str]:
    """Every pedigree's neighbour in the order of the alphabet, the first after the last."""
    order = sorted(set(pedigrees))
    return dict(zip(order, [*order[1:], *order[:1]], strict=True))


def controls_for(cards: Mapping[str, Card], suspect: str, reference: str) -> list[str]:
    """Models that may stand as controls: pretrained from nothing, without ancestry in common with either side."""
    return [
        name
        for name, card in cards.items()
        if card.mechanism == "pretrain" and not connected(cards, name, suspect) and not connected(cards, name, reference)
    ]
