"""Panels drawn from a zoo, to calibrate ties on panels of every size and to judge trees of them.

A tie must mean the same in a panel of six as in one of sixty, and in a panel where two models that read the same texts
stand among strangers as in one where everybody did. So sizes are fixed, and how many models come from which pedigree is
drawn anew for every panel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fingerprint.bench.zoo import Zoo, lineages
from fingerprint.calibration.fit import LabelledPair, fit_tier
from fingerprint.calibration.model import Tier
from fingerprint.errors import UsageError
from fingerprint.evidence.align import Aligned, align
from fingerprint.evidence.base import Skipped
from fingerprint.stats import residual
from fingerprint.tree.kinship import Bools, compare_weights, groups
from fingerprint.tree.ties import FEATURE, panel_deviations
from fingerprint.zoo.card import Card
from fingerprint.zoo.pairs import SAME_DATA, Pair, all_pairs

#: Models of a panel, and how many panels of that size are drawn: small ones hold few related pairs.
PANELS = {6: 280, 8: 280, 12: 210, 20: 105, 40: 49, 70: 21}
#: Fewest lineages of a panel that is fitted on: the mean over fewer is mostly the pair itself.
FEWEST = 5
#: Pairs of each size and kind that are fitted on, so that no size and no kind outweighs the others.
_EACH = 150
_SKEW = 0.5  # of the Dirichlet distribution of pedigrees: below one, a few pedigrees make up most of a panel
_RARE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Material:
    """What all panels of a zoo are drawn from: distributions on common contexts, kinship by weights, the truth."""

    names: tuple[str, ...]
    pedigrees: tuple[str, ...]
    cards: Mapping[str, Card]
    table: Aligned
    kin: Bools
    pairs: Mapping[frozenset[str], tuple[Pair, Pair]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TiePair:
    """A pair of a panel that shares no weights: ``lineages`` of the panel, and the pedigrees that are in it."""

    labelled: LabelledPair
    models: frozenset[str]
    size: int
    lineages: int
    pedigrees: frozenset[str]


def material(zoo: Zoo) -> Material:
    """Raises: UsageError: the recordings have too few contexts in common."""
    names = tuple(zoo.cards)
    recordings = [zoo.recordings[name] for name in names]
    table = align(recordings[0], recordings[1], recordings[2:])
    if isinstance(table, Skipped) or len(table.used) < len(names) - 2:
        raise UsageError("The recordings of the zoo have too few contexts with log-probabilities in common.")
    both: dict[frozenset[str], list[Pair]] = {}
    for pair in all_pairs(zoo.cards):
        both.setdefault(frozenset({pair.suspect, pair.reference}), []).append(pair)
    return Material(
        names=names,
        pedigrees=tuple(card.pedigree for card in zoo.cards.values()),
        cards=zoo.cards,
        table=table,
        kin=compare_weights(recordings).kin(),
        pairs={models: (found[0], found[1]) for models, found in both.items()},
    )


def draw(known: Material, size: int, rng: np.random.Generator, *, without: str = "", needed: str = "") -> list[int]:
    """Places of the models of one panel; none of the pedigree ``without``, and about half of the pedigree ``needed``."""
    order = sorted(set(known.pedigrees))
    shares = dict(zip(order, rng.dirichlet(np.full(len(order), _SKEW)), strict=True))
    if needed:
        shares[needed] = max(shares[needed], 0.5)
    counts = {pedigree: known.pedigrees.count(pedigree) for pedigree in order}
    weights = np.array([0.0 if p == without else shares[p] / counts[p] + _RARE for p in known.pedigrees])
    chosen = rng.choice(len(weights), min(size, int((weights > 0).sum())), replace=False, p=weights / weights.sum())
    return sorted(int(place) for place in chosen)


def ties_of(known: Material, places: Sequence[int], size: int) -> list[TiePair]:
    """All pairs of a panel whose truth is learning or nothing; siblings are neither and are left out."""
    lines = groups(known.kin[np.ix_(places, places)])
    if len(lines) < FEWEST:
        return []
    table = known.table
    scores = panel_deviations(residual.gram_matrices(table.probabilities[list(places)], table.prompts).total(), lines)
    inside = frozenset(known.pedigrees[place] for place in places)
    found = []
    for row, one in enumerate(places):
        for column, two in enumerate(places[:row]):
            models = frozenset({known.names[one], known.names[two]})
            truths = {pair.truth for pair in known.pairs[models]}
            if known.kin[one, two] or truths == {"related"}:
                continue
            unrelated = truths == {"unrelated"}
            labelled = LabelledPair(
                features={FEATURE: float(scores[row, column])},
                related=not unrelated,
                pedigree=known.pedigrees[one],
                other=known.pedigrees[two],
                stratum=_stratum(known.pairs[models][0], size) if unrelated else "",
            )
            found.append(TiePair(labelled=labelled, models=models, size=size, lineages=len(lines), pedigrees=inside))
    return found


def _stratum(pair: Pair, size: int) -> str:
    return f"{size} models, {'same data' if pair.stratum in SAME_DATA else 'other data'}"


def drawn_pairs(known: Material, seed: int) -> list[TiePair]:
    """Pairs of all panels: for each size some without the first pedigree, some without the second, …, some of all."""
    rng = np.random.default_rng(seed)
    everybody, found = len(known.names), []
    missing = [*sorted(set(known.pedigrees)), ""]
    for size, count in PANELS.items():
        for number in range(count if size < everybody else 0):
            found += ties_of(known, draw(known, size, rng, without=missing[number % len(missing)]), size)
    for without in missing:
        found += ties_of(known, [place for place, p in enumerate(known.pedigrees) if p != without], everybody)
    return found


def balanced(pairs: Sequence[TiePair], seed: int = 0) -> list[TiePair]:
    """As many pairs of each size and kind, at most `_EACH`; half of the unrelated ones read the same data."""
    rng = np.random.default_rng(seed)
    kinds: dict[tuple[int, str], list[TiePair]] = {}
    for pair in pairs:
        kinds.setdefault((pair.size, pair.labelled.stratum), []).append(pair)
    chosen = []
    for size in sorted({size for size, _ in kinds}):
        parts = [members for (each, _), members in sorted(kinds.items()) if each == size]
        least = min(_EACH, *(len(members) for members in parts))
        # Without one of the three kinds a size says nothing of how it tells them apart.
        for members in parts if len(parts) == len({"related", "same data", "other data"}) else []:
            chosen += [members[place] for place in sorted(rng.choice(len(members), least, replace=False))]
    return chosen


def fit(pairs: Sequence[TiePair], cards: Mapping[str, Card]) -> Tier:
    """The calibration of ties: one feature for panels of every size."""
    independent = lineages(cards)
    with_children = [root for root in independent if any(root in card.parents for card in cards.values())]
    chosen = balanced(pairs)
    labelled = [pair.labelled for pair in chosen]
    tier = fit_tier(labelled, (FEATURE,), families=len(independent), related_families=len(with_children))
    different = [len({pair.models for pair in chosen if pair.labelled.related is related}) for related in (True, False)]
    sizes = [pair.lineages for pair in chosen]
    # A pair is in many panels: what counts is how many different ones there are.
    return tier.model_copy(
        update={"lineages": (min(sizes), max(sizes)), "related_pairs": different[0], "unrelated_pairs": different[1]}
    )


def false_ties(pairs: Sequence[TiePair], tier: Tier, pedigree: str, limit: float) -> dict[str, dict[str, int]]:
    """By size and kind: pairs of a pedigree that the tier has not seen, and how many reach a log10 ratio of ``limit``."""
    table: dict[str, dict[str, int]] = {}
    for pair in pairs:
        if pedigree in {pair.labelled.pedigree, pair.labelled.other}:
            name = pair.labelled.stratum or f"{pair.size} models, learned"
            row = table.setdefault(name, {"pairs": 0, "reached": 0})
            row["pairs"] += 1
            row["reached"] += int(tier.log10_lr(pair.labelled.features) >= limit)
    return table


def summed(tables: Sequence[dict[str, dict[str, int]]]) -> dict[str, Any]:
    """Counts of several pedigrees added up, in the order of size."""
    names = sorted({name for table in tables for name in table}, key=lambda name: (int(name.split()[0]), name))
    empty = {"pairs": 0, "reached": 0}
    return {
        name: {key: sum(table.get(name, empty)[key] for table in tables) for key in ("pairs", "reached")} for name in names
    }
