"""From recordings to a family tree.

Three steps. Who belongs together: average linkage of likelihood ratios, where a join needs one pair that would be called
related and a mean in its favour (`panel`). How a family is built: neighbour joining (`family`). What is shown of it: forks
with enough bootstrap support; the others are left open. Between families nothing is joined: strangers' distances are noise,
and a tree would read it as history.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from fingerprint.calibration.model import Calibration
from fingerprint.calibration.ties import TEXT
from fingerprint.recording import Recording
from fingerprint.stats.panelsketch import PanelSketch
from fingerprint.tree.family import family_node
from fingerprint.tree.joining import Clade
from fingerprint.tree.kinship import compare_weights, copied_from
from fingerprint.tree.model import Descent, FamilyTree, Node, Tie
from fingerprint.tree.panel import Panel, Settings, find_groups, measure
from fingerprint.tree.ties import ties_of_panel
from fingerprint.verdict import ACCUSE

_MOST_TIES = 200


def grow(recordings: Sequence[Recording], calibration: Calibration, settings: Settings | None = None) -> FamilyTree:
    """The family tree of a panel of recordings (two or more).

    The same recordings, in any order, give the same tree.
    """
    settings = settings or Settings()
    ordered = sorted(recordings, key=lambda recording: (recording.model.name, recording.digest))
    panel = measure(ordered, calibration, settings)
    return _tree(panel, settings, _descents(ordered, panel))


def grow_from_sketches(
    sketched: PanelSketch, names: Sequence[str], calibration: Calibration, settings: Settings
) -> FamilyTree:
    """The tree of a large panel from sketches of its answers alone."""
    models = len(names)
    rng = np.random.default_rng(settings.seed)
    ties = ties_of_panel(sketched, calibration.tiers[TEXT], settings.replicates, rng)
    panel = Panel(
        names=tuple(names),
        weights=compare_weights([]),
        kin=np.zeros((models, models), np.bool_),
        lineages=[[model] for model in range(models)],
        ties=ties,
        weights_bound=ACCUSE,
    )
    return _tree(panel, settings, [])


def _tree(panel: Panel, settings: Settings, descents: Sequence[Descent]) -> FamilyTree:
    support = _group_support(panel, settings)
    families = _largest([group for group, share in support.items() if share >= settings.cut])
    children = [family_node(panel, family, support[family], settings) for family in families]
    tied: set[int] = set().union(*families)
    children += [Node(model=name) for place, name in enumerate(panel.names) if place not in tied]
    root = Node(children=tuple(sorted(children, key=lambda child: (-len(child.names), child.names))))
    return FamilyTree(
        models=panel.names,
        root=root,
        descents=tuple(descents),
        ties=tuple(_cross_ties(panel, families)),
        replicates=settings.replicates,
        cut=settings.cut,
        notes=_notes(panel),
    )


def _group_support(panel: Panel, settings: Settings) -> dict[Clade, float]:
    """Every group that the panel joins, and the share of replicates that join the same models and no others."""
    groups = find_groups(panel.ties.capped, panel.ties.uncapped, panel.lineages)
    if not settings.replicates:
        return dict.fromkeys(groups, 1.0)
    seen: Counter[Clade] = Counter()
    low, high = panel.ties.capped.min(), panel.ties.capped.max()
    for draw in range(settings.replicates if groups else 0):
        again = panel.ties.replicate(draw)
        seen.update(find_groups(np.clip(again, low, high), again, panel.lineages))
    return {group: seen[group] / settings.replicates for group in groups}


def _largest(groups: Sequence[Clade]) -> list[Clade]:
    """Those that are inside no other, largest first."""
    kept: list[Clade] = []
    for group in sorted(groups, key=lambda each: (-len(each), min(each))):
        if not any(group <= other for other in kept):
            kept.append(group)
    return kept


def _descents(recordings: Sequence[Recording], panel: Panel) -> list[Descent]:
    found = []
    for place, copy in enumerate(recordings):
        whys = {other: copied_from(copy, recordings[other]) for other in np.flatnonzero(panel.kin[place]).tolist()}
        parents = {panel.names[other]: why for other, why in whys.items() if why}
        if parents:
            found.append(Descent(child=panel.names[place], parents=tuple(parents), why=next(iter(parents.values()))))
    return found


def _cross_ties(panel: Panel, families: Sequence[Clade]) -> list[Tie]:
    """Pairs that would be called related but stand in different branches, the strongest first."""
    home = np.arange(len(panel.names)) + len(families)
    for number, family in enumerate(families):
        home[list(family)] = number
    rows, columns = np.nonzero(np.triu(panel.ties.capped >= ACCUSE, 1) & (home[:, None] != home[None]))
    order = np.argsort(-panel.ties.uncapped[rows, columns], kind="stable")[:_MOST_TIES]
    return [
        Tie(
            a=panel.names[rows[place]],
            b=panel.names[columns[place]],
            log10_lr=round(float(panel.ties.capped[rows[place], columns[place]]), 4),
        )
        for place in order
    ]


def _notes(panel: Panel) -> tuple[str, ...]:
    weights = int(panel.kin.any(axis=1).sum())
    return (
        *(f"Behaviour: {note}." for note in panel.ties.notes),
        f"Weights: {weights} of {len(panel.names)} models share theirs with another.",
        "A family is a common origin; who came from whom is shown only where a copy has lost what its original kept.",
        "Who read the same data looks like a relative by behaviour, and who learned little from another looks like none.",
    )
