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

from fingerprint.bench import tie_panels
from fingerprint.bench.peers import Distance, nei_of_distributions, nei_of_text, overused_jaccard
from fingerprint.bench.zoo import Zoo
from fingerprint.calibration.model import Calibration, Tier
from fingerprint.calibration.ties import TOPK
from fingerprint.recording import Recording
from fingerprint.stats.intervals import clopper_pearson
from fingerprint.tree.grow import grow
from fingerprint.tree.joining import Clade, neighbour_joining, split
from fingerprint.tree.model import FamilyTree, Node
from fingerprint.tree.panel import Settings
from fingerprint.verdict import ACCUSE, SUPPORT
from fingerprint.zoo.card import Card
from fingerprint.zoo.pairs import ancestors, connected

Floats = NDArray[np.float64]
PEERS: dict[str, Callable[[Sequence[Recording]], Distance | None]] = {
    "Nei, sampled text (PhyloLM)": nei_of_text,
    "Nei, distributions": nei_of_distributions,
    "over-used n-grams, Jaccard": overused_jaccard,
}
_SMALL = 20  # panels of up to so many models are quick enough for several of each
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


def true_groups(cards: Mapping[str, Card], models: Sequence[str] = ()) -> frozenset[frozenset[str]]:
    """Each model with all its descendants, as far as they are among ``models`` (all by default): groups of two and more."""
    present = frozenset(models or cards)
    below = {model: frozenset(other for other in present if model in ancestors(cards, other) | {other}) for model in cards}
    return frozenset(group for group in below.values() if 1 < len(group) < len(present))


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
    models, everybody = set(judged or shown.models), frozenset(shown.models)
    true = {group for group in true_groups(cards, shown.models) if group <= models}
    found = {group for group in shown.groups if group & models}
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
        "groups_with_strangers": sum(not _one_origin(cards, group) for group in found),
        "pairs_shown": len(pairs),
        "pairs_right": right,
        "models_with_kin": len(kin),
        "models_beside_kin": with_kin,
    }


def _conflict(group: frozenset[str], other: frozenset[str], everybody: frozenset[str]) -> bool:
    """Whether two splits cannot stand in one tree: all four intersections are inhabited."""
    return bool(group & other and group - other and other - group and everybody - group - other)


def _one_origin(cards: Mapping[str, Card], group: frozenset[str]) -> bool:
    """Whether common ancestors lead from any model of a group to any other, by way of its members."""
    waiting, left = [min(group)], set(group) - {min(group)}
    while waiting:
        one = waiting.pop()
        near = {other for other in left if connected(cards, one, other)}
        left -= near
        waiting += near
    return not left


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


def run(
    zoo: Zoo, calibration: Calibration, replicates: int, say: Callable[[str], None], panels: int = 3
) -> tuple[dict[str, Any], Tier]:
    """Trees of the whole zoo and of panels drawn from it, beside peers; and the tier of ties fitted on all of it.

    Each pedigree is judged with ties that were calibrated on panels without it; ``panels`` are drawn of each size and
    pedigree, and the peers' trees are of the same panels.
    """
    known = tie_panels.material(zoo)
    tiers, reached = {}, []
    pairs = tie_panels.drawn_pairs(known, seed=0)
    for pedigree in sorted(set(known.pedigrees)):
        tiers[pedigree] = tie_panels.fit([pair for pair in pairs if pedigree not in pair.pedigrees], zoo.cards)
        reached.append(tie_panels.false_ties(pairs, tiers[pedigree], pedigree, ACCUSE))
        say(f"ties without {pedigree}: Cllr {tiers[pedigree].cllr}, bounds {tiers[pedigree].bounds}")
    grower = Grower(zoo=zoo, calibration=calibration, tiers=tiers, replicates=replicates)
    table: dict[str, Any] = {"models": len(zoo.cards), "replicates": replicates}
    table["pairs_that_reach_ten"] = tie_panels.summed(reached)
    rng = np.random.default_rng(1)
    for size in (size for size in tie_panels.PANELS if size < len(zoo.cards)):
        drawn = [
            (pedigree, [known.names[place] for place in tie_panels.draw(known, size, rng, needed=pedigree)])
            for pedigree in tiers
            for _ in range(panels if size <= _SMALL else 1)
        ]
        table[f"{len(drawn)} panels of {size} models"] = grower.judge(drawn, say)
    table["the whole zoo"] = grower.judge([(pedigree, sorted(zoo.cards)) for pedigree in tiers], say)
    return table, tie_panels.fit(pairs, zoo.cards)


@dataclass(frozen=True, kw_only=True)
class Grower:
    """Grows trees of parts of a zoo, ours with ties calibrated without one pedigree, and those of peers."""

    zoo: Zoo
    calibration: Calibration
    tiers: Mapping[str, Tier]
    replicates: int

    def judge(self, panels: Sequence[tuple[str, Sequence[str]]], say: Callable[[str], None]) -> dict[str, Any]:
        """Ours and each peer on panels (pedigree that is judged, names of the models)."""
        counts: dict[str, list[dict[str, Any]]] = {}
        for number, (pedigree, names) in enumerate(panels):
            recordings, cards = self.recordings(names), self.zoo.cards
            inside = [name for name in names if cards[name].pedigree == pedigree]
            tree = grow(recordings, self.known(pedigree), Settings(replicates=self.replicates))
            counts.setdefault("ours", []).append(measure(of_tree(tree), cards, inside))
            everybody = len(names) == len(cards)
            # Peers are fitted on nothing: one tree of everybody does for all pedigrees.
            for method, shown in (self.peers(names, recordings) if not (everybody and number) else {}).items():
                counts.setdefault(method, []).append(measure(shown, cards, None if everybody else inside))
        found = {method: summary(parts) for method, parts in counts.items()}
        for method, row in found.items():
            say(f"{len(panels[0][1])} models, {method}: {row}")
        return found

    def recordings(self, names: Sequence[str]) -> list[Recording]:
        """Each under its card's name, which need not be the recorded one."""
        found = [self.zoo.recordings[name] for name in names]
        return [replace(each, model=replace(each.model, name=name)) for each, name in zip(found, names, strict=True)]

    def known(self, pedigree: str) -> Calibration:
        return self.calibration.model_copy(update={"tiers": {**self.calibration.tiers, TOPK: self.tiers[pedigree]}})

    def peers(self, names: Sequence[str], recordings: Sequence[Recording]) -> dict[str, Shown]:
        rng = np.random.default_rng(0)
        draws = rng.multinomial(_PROMPTS, np.full(_PROMPTS, 1 / _PROMPTS), size=self.replicates).astype(np.float64)
        found = {}
        for name, make in PEERS.items():
            distance = make(recordings)
            if distance is not None:
                whole = distance(None)
                found[name] = of_distances(names, whole)
                found[f"{name}, supported forks"] = of_supported(names, whole, [distance(times) for times in draws])
        return found
