"""Pairs of a zoo with their truth, read off the pedigree cards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from fingerprint.zoo.card import Card

Truth = Literal["derived", "distilled", "related", "unrelated"]
_BY_LEARNING = {"distill_logits", "distill_text"}
_BY_TUNING = {"finetune", "continue", "prefer"}
#: Strata of unrelated pairs that read the same texts, or learned from models that did.
SAME_DATA = frozenset(
    {
        "same data",
        "same data, other architecture",
        "half the data",
        "same data and same fine-tuning set",
        "student of a same-data twin",
    }
)
#: A student, and a model that was made from its teacher's weights.
KIN_OF_TEACHER = "kin of the teacher"
#: The reference descends from the suspect: the relation that is looked for, in the other order.
DESCENDANT = "descendant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Suspect and reference of known relation.

    ``stratum`` names the confounder that an unrelated pair carries, the steps from the reference to a suspect that
    descends from it, or how two others are related.
    """

    suspect: str
    reference: str
    truth: Truth
    stratum: str
    pedigree: str
    reference_pedigree: str

    @property
    def akin(self) -> bool:
        """Whether they share an origin without descent of either from the other."""
        return self.truth == "related" and self.stratum != DESCENDANT


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
    """The relation of a suspect to a reference, in that order of descent.

    Where two ways lead from one to the other (a model that learned from its own parent), the weights decide.
    """
    if not connected(cards, suspect, reference):
        return "unrelated"
    if reference not in ancestors(cards, suspect):
        return "related"
    return "derived" if reference in weight_ancestors(cards, suspect) else "distilled"


def weight_ancestors(cards: Mapping[str, Card], model: str) -> set[str]:
    """The models whose weights went into this one's."""
    if cards[model].mechanism in _BY_LEARNING:
        return set()
    parents = set(cards[model].parents)
    return parents.union(*(weight_ancestors(cards, parent) for parent in parents))


def steps(cards: Mapping[str, Card], suspect: str, reference: str) -> tuple[str, ...]:
    """The mechanisms on the shortest way from an ancestor to its descendant, the latest first."""
    if suspect == reference:
        return ()
    ways = [
        (cards[suspect].mechanism, *steps(cards, parent, reference))
        for parent in cards[suspect].parents
        if parent == reference or reference in ancestors(cards, parent)
    ]
    return min(ways, key=len)


def all_pairs(cards: Mapping[str, Card]) -> list[Pair]:
    """Every ordered pair of a zoo."""
    pairs = []
    for suspect, mine in cards.items():
        for reference in cards:
            if suspect == reference:
                continue
            relation = truth(cards, suspect, reference)
            if relation == "unrelated":
                stratum = _confounder(cards, suspect, reference)
            elif relation == "related":
                stratum = _kinship(cards, suspect, reference)
            else:
                stratum = " of ".join(steps(cards, suspect, reference))
            pairs.append(
                Pair(
                    suspect=suspect,
                    reference=reference,
                    truth=relation,
                    stratum=stratum,
                    pedigree=mine.pedigree,
                    reference_pedigree=cards[reference].pedigree,
                )
            )
    return pairs


def _kinship(cards: Mapping[str, Card], first: str, second: str) -> str:
    if first in ancestors(cards, second):
        return DESCENDANT
    mine, theirs = ({model} | weight_ancestors(cards, model) for model in (first, second))
    if mine & theirs:
        return "siblings of one base"
    # A fine-tune or a rounding of the teacher is nearly the teacher; two students of one teacher are not.
    near = mine & ancestors(cards, second) or theirs & ancestors(cards, first)
    return KIN_OF_TEACHER if near else "common teacher"


def _confounder(cards: Mapping[str, Card], first: str, second: str) -> str:
    mine, theirs = cards[first], cards[second]
    tuned = [_tuning_set(cards, name) for name in (first, second)]
    same_tuning = tuned[0] is not None and tuned[0] == tuned[1]
    if mine.pedigree != theirs.pedigree:
        if same_tuning:
            return "same fine-tuning set"
        return "same tokenizer" if mine.tokenizer == theirs.tokenizer else "other data"
    if any(_learned(cards, name) for name in (first, second)):
        return "student of a same-data twin"
    if same_tuning:
        return "same data and same fine-tuning set"
    # The text that the oldest ancestor read stands last.
    if mine.corpora[-1] != theirs.corpora[-1]:
        return "half the data"
    return "same data" if mine.architecture_class == theirs.architecture_class else "same data, other architecture"


def _learned(cards: Mapping[str, Card], model: str) -> bool:
    return any(cards[name].mechanism in _BY_LEARNING for name in {model, *ancestors(cards, model)})


def _tuning_set(cards: Mapping[str, Card], model: str) -> str | None:
    """The text that this model was tuned on, by itself or through the weights it came from."""
    for name in (model, *sorted(weight_ancestors(cards, model))):
        if cards[name].mechanism in _BY_TUNING:
            return cards[name].corpora[0]
    return None


def next_pedigree(pedigrees: Iterable[str]) -> dict[str, str]:
    """Every pedigree's neighbour in the order of the alphabet, the first after the last."""
    order = sorted(set(pedigrees))
    return dict(zip(order, [*order[1:], *order[:1]], strict=True))


def controls_for(cards: Mapping[str, Card], suspect: str, reference: str) -> list[str]:
    """Models that may stand as controls: pretrained from nothing, without ancestry in common with either side.

    All such models of both sides' pedigrees, and the first of every other one.
    """
    near = {cards[suspect].pedigree, cards[reference].pedigree}
    chosen, seen = [], set()
    for name, card in cards.items():
        if card.parents or connected(cards, name, suspect) or connected(cards, name, reference):
            continue
        if card.pedigree in near or card.pedigree not in seen:
            chosen.append(name)
        seen.add(card.pedigree)
    return chosen
