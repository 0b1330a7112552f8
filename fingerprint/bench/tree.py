"""Does the tree show the true pedigrees?  Pairs and groups of a zoo against its cards, beside the trees of peers.

Truth is a directed graph. Its groups are each model that has descendants, together with them; two models are related if
they have an ancestor in common. A tree that joins only what is shown and one that joins everything are measured on the same
numbers: the groups (splits) that they show, and for each model whom it stands with in its smallest group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerprint.bench.peers import Distance, nei_of_distributions, nei_of_text, overused_jaccard
from fingerprint.bench.zoo import Zoo, lineages
from fingerprint.calibration.fit import LabelledPair, fit_tier
from fingerprint.calibration.model import Calibration, Tier
from fingerprint.calibration.ties import TOPK
from fingerprint.errors import UsageError
from fingerprint.evidence.align import align
from fingerprint.evidence.base import Skipped
from fingerprint.recording import Recording
from fingerprint.stats import residual
from fingerprint.stats.intervals import clopper_pearson
from fingerprint.tree.grow import grow
from fingerprint.tree.joining import Clade, neighbour_joining, split
from fingerprint.tree.kinship import compare_weights, groups
from fingerprint.tree.model import FamilyTree, Node
from fingerprint.tree.panel import Settings
from fingerprint.tree.ties import FEATURE, panel_partials
from fingerprint.verdict import SUPPORT
from fingerprint.zoo.card import Card
from fingerprint.zoo.pairs import ancestors, connected, truth

Floats = NDArray[np.float64]
PEERS: dict[str, Callable[[Sequence[Recording]], Distance | None]] = {
    "Nei, sampled text (PhyloLM)": nei_of_text,
    "Nei, distributions": nei_of_distributions,
    "over-used n-grams, Jaccard": overused_jaccard,
}
_PROMPTS = 1000  # weights drawn per replicate; each method takes as many as it has prompts


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a tree shows: groups of models (sets of names)."""

    groups: frozenset[frozenset[str]]
    models: tuple[str, ...]

    def company(self, model: str) -> frozenset[str]:
        """The others in the smallest group that holds a model; nobody if none does."""
        holding = [group for group in self.groups if model in group]
        return min(holding, key=lambda group: (len(group), sorted(group))) - {model} if holding else frozenset()


def true_groups(cards: Mapping[str, Card]) -> frozenset[frozenset[str]]:
    """Each model that has descendants, with all of them."""
    found = []
    for model in cards:
        below = {other for other in cards if model in ancestors(cards, other)}
        if below:
            found.append(frozenset(below | {model}))
    return frozenset(group for group in found if len(group) < len(cards))


def of_tree(tree: FamilyTree) -> Shown:
    """The groups of a family tree, families included."""

    def walk(node: Node) -> Iterator[frozenset[str]]:
        if len(node.names) > 1:
            yield frozenset(node.names)
        for child in node.children:
            yield from walk(child)

    return Shown(groups=frozenset(g for child in tree.root.children for g in walk(child)), models=tree.models)


def of_distances(names: Sequence[str], distances: Floats) -> Shown:
    """The groups of the tree that joins everything: the smaller side of each split."""
    return _shown(names, {part.taxa for part in neighbour_joining(distances).walk() if len(part.taxa) > 1})


def of_supported(names: Sequence[str], distances: Floats, again: Sequence[Floats]) -> Shown:
    """The same with the splits alone that reach `SUPPORT` over replicates of the distances."""
    size = len(names)
    counts: dict[Clade, int] = {}
    for table in again:
        for taxa in {split(part.taxa, size) for part in neighbour_joining(table).walk() if len(part.taxa) > 1}:
            counts[taxa] = counts.get(taxa, 0) + 1
    kept = {
        part.taxa
        for part in neighbour_joining(distances).walk()
        if len(part.taxa) > 1 and counts.get(split(part.taxa, size), 0) >= SUPPORT * len(again)
    }
    return _shown(names, kept)


def _shown(names: Sequence[str], taxa: set[Clade]) -> Shown:
    size = len(names)
    sides = {part if 2 * len(part) <= size else frozenset(range(size)) - part for part in taxa if len(part) < size - 1}
    named = frozenset(frozenset(names[taxon] for taxon in side) for side in sides if len(side) > 1)
    return Shown(groups=named, models=tuple(names))


def measure(shown: Shown, cards: Mapping[str, Card], judged: Sequence[str] | None = None) -> dict[str, Any]:
    """Groups and company of a tree against the truth; ``judged`` are the models whose part is counted."""
    models = set(judged or shown.models)
    true = {group for group in true_groups(cards) if group <= models}
    found = {group for group in shown.groups if group & models}
    everybody = frozenset(shown.models)
    conflicts = sum(any(_conflict(group, other, everybody) for other in true) for group in found)
    pairs = [(one, other) for one in sorted(models) for other in shown.company(one)]
    right = sum(connected(cards, one, other) for one, other in pairs)
    kin = [one for one in sorted(models) if any(connected(cards, one, o) for o in everybody if o != one)]
    with_kin = sum(any(connected(cards, one, other) for other in shown.company(one)) for one in kin)
    return {
        "groups_true": len(true),
        "groups_shown": len(found),
        "groups_right": len(true & found),
        "groups_in_conflict": conflicts,
        "pairs_shown": len(pairs),
        "pairs_right": right,
        "models_with_kin": len(kin),
        "models_beside_kin": with_kin,
    }


def _conflict(group: frozenset[str], other: frozenset[str], everybody: frozenset[str]) -> bool:
    """Whether two splits cannot stand in one tree: all four intersections are inhabited."""
    return bool(group & other and group - other and other - group and everybody - group - other)


def summary(counts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Counts of several parts added up, with the rates that they give."""
    total = {key: sum(part[key] for part in counts) for key in counts[0]}
    distance = total["groups_true"] + total["groups_shown"] - 2 * total["groups_right"]
    low, high = clopper_pearson(total["models_beside_kin"], total["models_with_kin"])
    return {
        **total,
        "robinson_foulds": distance,
        "robinson_foulds_share": round(distance / max(total["groups_true"] + total["groups_shown"], 1), 4),
        "pair_precision": round(total["pairs_right"] / total["pairs_shown"], 4) if total["pairs_shown"] else None,
        "recall": round(total["models_beside_kin"] / max(total["models_with_kin"], 1), 4),
        "recall_interval": [round(low, 3), round(high, 3)],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class TiePair:
    """A pair that shares no weights, with its partial tie and the pedigrees that it touches."""

    labelled: LabelledPair
    pedigrees: frozenset[str]


def tie_pairs(zoo: Zoo) -> list[TiePair]:
    """All pairs between lineages whose truth is learning or nothing; siblings are neither and are left out."""
    names = list(zoo.cards)
    recordings = [zoo.recordings[name] for name in names]
    kin = compare_weights(recordings).kin()
    table = align(recordings[0], recordings[1], recordings[2:])
    if isinstance(table, Skipped) or len(table.used) < len(names) - 2:
        raise UsageError("The recordings of the zoo have too few contexts with log-probabilities in common.")
    gram = residual.gram_matrices(table.probabilities, table.prompts).total()
    scores = panel_partials(gram, groups(kin))
    found = []
    for i, one in enumerate(names):
        for j, two in enumerate(names[:i]):
            truths = {truth(zoo.cards, one, two), truth(zoo.cards, two, one)}
            if kin[i, j] or truths == {"related"}:
                continue
            touched = frozenset({zoo.cards[one].pedigree, zoo.cards[two].pedigree})
            features = {FEATURE: float(scores[i, j])}
            labelled = LabelledPair(features=features, related=truths != {"unrelated"}, pedigree=min(touched))
            found.append(TiePair(labelled=labelled, pedigrees=touched))
    return found


def fit(pairs: Sequence[TiePair], cards: Mapping[str, Card]) -> Tier:
    """The calibration of partial ties."""
    independent = lineages(cards)
    with_children = [root for root in independent if any(root in card.parents for card in cards.values())]
    labelled = [pair.labelled for pair in pairs]
    return fit_tier(labelled, (FEATURE,), families=len(independent), related_families=len(with_children))


def run(zoo: Zoo, calibration: Calibration, replicates: int, say: Callable[[str], None]) -> tuple[dict[str, Any], Tier]:
    """Our tree, each pedigree judged with ties calibrated without it, beside peers; and the tier fitted on all."""
    names = sorted(zoo.cards)
    # The card's name, which need not be the recorded one.
    recordings = [replace(r, model=replace(r.model, name=name)) for name in names if (r := zoo.recordings[name])]
    pairs, settings = tie_pairs(zoo), Settings(replicates=replicates)
    ours = []
    for pedigree in dict.fromkeys(card.pedigree for card in zoo.cards.values()):
        inside = [name for name in names if zoo.cards[name].pedigree == pedigree]
        tier = fit([pair for pair in pairs if pedigree not in pair.pedigrees], zoo.cards)
        known = calibration.model_copy(update={"tiers": {**calibration.tiers, TOPK: tier}})
        ours.append(measure(of_tree(grow(recordings, known, settings)), zoo.cards, inside))
        say(f"{pedigree}: {ours[-1]}")
    table: dict[str, Any] = {"models": len(names), "replicates": replicates, "ours": summary(ours)}
    rng = np.random.default_rng(0)
    draws = rng.multinomial(_PROMPTS, np.full(_PROMPTS, 1 / _PROMPTS), size=replicates).astype(np.float64)
    for name, make in PEERS.items():
        distance = make(recordings)
        if distance is not None:
            table |= _peer(name, distance, names, zoo.cards, draws)
            say(f"{name}: {table[name]}")
    return table, fit(pairs, zoo.cards)


def _peer(
    name: str, distance: Distance, names: Sequence[str], cards: Mapping[str, Card], draws: Floats
) -> dict[str, dict[str, Any]]:
    whole = distance(None)
    supported = of_supported(names, whole, [distance(times) for times in draws])
    return {
        name: summary([measure(of_distances(names, whole), cards)]),
        f"{name}, supported forks": summary([measure(supported, cards)]),
    }
