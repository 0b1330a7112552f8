"""The tree of one family: lineages of shared weights, joined by behaviour.

Weights and behaviour measure on different scales, and a step that is long on one says nothing of the other. So each lineage
of shared weights is joined by itself, on −ln r; the lineages are joined on what behaviour says of them; and a lineage that
is clearly nearest to one member of the largest (rather than to all of it) hangs from that member.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fingerprint.tree.joining import Branch, Clade, neighbour_joining, split
from fingerprint.tree.model import EdgeKind, Node
from fingerprint.tree.panel import Panel, Settings, between
from fingerprint.tree.ties import square

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
#: An inner edge shorter than this part of the least distance across it is taken for a rounding error.
SHORT_EDGE = 0.05
#: Kin with weights nearer than this (−ln r) behave alike: a four-bit copy is about this far from its original.
NEAR_COPY = 0.008


def family_node(panel: Panel, family: Clade, support: float, settings: Settings) -> Node:
    """The node of one family; ``support`` is the share of replicates that found the same members."""
    members = np.array(sorted(family))
    place = {model: local for local, model in enumerate(members.tolist())}
    inside = np.ix_(members, members)
    found = _Builder(
        names=tuple(panel.names[member] for member in members),
        lineages=tuple(tuple(place[m] for m in lineage) for lineage in panel.lineages if lineage[0] in place),
        log_lr=panel.ties.uncapped[inside],
        capped=panel.ties.capped[inside],
        bound=panel.weights_bound,
        again=panel.ties.replicates[:, _pair_places(members, len(panel.names))],
        cut=settings.cut,
    )
    tensors = len(panel.weights.tensors)
    rng = np.random.default_rng([settings.seed, *members.tolist()])
    apart: Sequence[Floats] = []
    if tensors:
        times = rng.multinomial(tensors, np.full(tensors, 1 / tensors), size=settings.replicates).astype(np.float64)
        apart = [panel.weights.distances(members, row[None])[0] for row in times]
    by_weights = panel.weights.distances(members)[0]
    return replace(found.whole(by_weights, apart), kind="open", length=0.0, support=round(support, 4))


def _pair_places(members: Ints, models: int) -> Ints:
    """Where the pairs of some models, in order, stand among the pairs of all."""
    rows, columns = np.triu_indices(len(members), 1)
    first, second = members[rows], members[columns]
    return np.asarray(first * models - first * (first + 1) // 2 + second - first - 1, np.int64)


@dataclass(frozen=True, kw_only=True)
class _Builder:
    """A family in numbers of its own: members are 0, 1, …; ``again`` (draws, pairs) are replicates of ``log_lr``."""

    names: tuple[str, ...]
    lineages: tuple[tuple[int, ...], ...]
    log_lr: Floats
    capped: Floats
    bound: float
    again: NDArray[np.float32]
    cut: float

    def whole(self, by_weights: Floats, apart: Sequence[Floats]) -> Node:
        draws = [square(row, len(self.names)) for row in self.again]
        guests = self._guests(draws, by_weights)
        free = [lineage for lineage in self.lineages if lineage not in guests]
        hosted: dict[int, list[Node]] = {}
        for guest, host in guests.items():
            hosted.setdefault(host, []).append(self._lineage(guest, by_weights, apart, {}, "behaviour"))
        nodes = [self._lineage(lineage, by_weights, apart, hosted, "behaviour") for lineage in free]
        if len(nodes) == 1:
            return nodes[0]
        branch = neighbour_joining(_surprise(between(self.log_lr, free)))
        tables = [_surprise(between(draw, free)) for draw in draws]
        leaves = {number: (node, free[number]) for number, node in enumerate(nodes)}
        return self._shown(branch, _shares(tables), leaves, "behaviour")

    def _guests(self, draws: Sequence[Floats], by_weights: Floats) -> dict[tuple[int, ...], int]:
        """Lineages that hang from one member of the largest one, and that member; near-copies cannot be told apart."""
        head = max(self.lineages, key=len)
        found: dict[tuple[int, ...], int] = {}
        if len(head) < 2 or len(self.lineages) < 2 or not draws:
            return found
        apart = by_weights[np.ix_(head, head)] + np.eye(len(head))
        distinct = {member for member, row in zip(head, apart, strict=True) if row.min() >= NEAR_COPY}
        near = between(self.log_lr, self.lineages)
        np.fill_diagonal(near, -np.inf)
        for number, lineage in enumerate(self.lineages):
            if lineage != head and self.lineages[int(near[number].argmax())] == head:
                ways = np.ix_(lineage, head)
                votes = Counter(head[int(draw[ways].max(axis=0).argmax())] for draw in draws)
                member, count = votes.most_common(1)[0]
                if member in distinct and count >= self.cut * len(draws):
                    found[lineage] = member
        return found

    def _lineage(
        self,
        lineage: tuple[int, ...],
        by_weights: Floats,
        apart: Sequence[Floats],
        hosted: dict[int, list[Node]],
        kind: EdgeKind,
    ) -> Node:
        leaves: dict[int, tuple[Node, tuple[int, ...]]] = {
            number: (self._leaf(member, hosted), (member,)) for number, member in enumerate(lineage)
        }
        if len(lineage) == 1:
            return replace(leaves[0][0], kind=kind)
        inside = np.ix_(lineage, lineage)
        branch = neighbour_joining(by_weights[inside])
        return self._shown(branch, _shares([table[inside] for table in apart]), leaves, "weights", above=kind)

    def _leaf(self, member: int, hosted: dict[int, list[Node]]) -> Node:
        own = Node(model=self.names[member], kind="weights")
        guests = hosted.get(member, [])
        if not guests:
            return own
        lines = [replace(guest, length=float(_surprise(self.log_lr[member, self._of(guest)]).min())) for guest in guests]
        mean = float(np.mean([self.capped[member, self._of(guest)].mean() for guest in guests]))
        return Node(kind="weights", support=self.cut, log10_lr=round(mean, 4), children=(own, *lines))

    def _of(self, node: Node) -> list[int]:
        return [self.names.index(name) for name in node.names]

    def _shown(
        self,
        branch: Branch,
        shares: dict[Clade, float],
        leaves: dict[int, tuple[Node, tuple[int, ...]]],
        kind: EdgeKind,
        above: EdgeKind | None = None,
    ) -> Node:
        """Nodes of a branch over numbered leaves; forks below the cut are left open."""
        if not branch.parts:
            return replace(leaves[min(branch.taxa)][0], length=branch.length, kind=kind)
        size = len(leaves)
        parts = _lifted(branch, lambda part: shares.get(split(part.taxa, size), 0.0) >= self.cut)
        children = [self._shown(part, shares, leaves, kind) for part in parts]
        groups = [[member for taxon in part.taxa for member in leaves[taxon][1]] for part in parts]
        support = 1.0 if len(branch.taxa) == size else shares.get(split(branch.taxa, size), 0.0)
        return Node(
            length=branch.length,
            kind=above or kind,
            support=round(support, 4),
            log10_lr=self._evidence(groups, kind),
            children=tuple(sorted(children, key=lambda child: (-len(child.names), child.names))),
        )

    def _evidence(self, groups: Sequence[Sequence[int]], kind: EdgeKind) -> float:
        """Mean capped log10 LR of pairs across a fork."""
        if kind == "weights":
            return round(self.bound, 4)
        across = [self.capped[np.ix_(a, b)].ravel() for k, a in enumerate(groups) for b in groups[k + 1 :]]
        return round(float(np.concatenate(across).mean()), 4)


def _surprise(log_lr: Floats) -> Floats:
    """ln(1 + 1/LR): −ln of the probability of a tie at even prior odds, as a distance; the diagonal of a matrix 0."""
    found = np.logaddexp(0.0, -np.log(10) * log_lr)
    if found.ndim == 2 and found.shape[0] == found.shape[1]:
        np.fill_diagonal(found, 0.0)
    return np.asarray(found, np.float64)


def _shares(tables: Sequence[Floats]) -> dict[Clade, float]:
    """In what share of the replicates neighbour joining finds each split."""
    if not tables or len(tables[0]) < 4:
        return {}
    size = len(tables[0])
    seen: Counter[Clade] = Counter()
    for table in tables:
        tree = neighbour_joining(table)
        seen.update({split(each.taxa, size) for each in tree.walk() if _is_long(each, table)})
    return {taxa: count / len(tables) for taxa, count in seen.items()}


def _is_long(branch: Branch, table: Floats) -> bool:
    """Whether the edge above a group is more than a rounding error beside what it divides."""
    inside = sorted(branch.taxa)
    outside = [taxon for taxon in range(len(table)) if taxon not in branch.taxa]
    if len(inside) < 2 or not outside:
        return False
    return branch.length > SHORT_EDGE * float(table[np.ix_(inside, outside)].min())


def _lifted(branch: Branch, kept: Callable[[Branch], bool]) -> list[Branch]:
    """The parts of a fork; a part that is not kept gives way to its own parts."""
    found: list[Branch] = []
    for part in branch.parts:
        if part.parts and not kept(part):
            lifted = _lifted(part, kept)
            found.extend(replace(each, length=each.length + part.length) for each in lifted)
        else:
            found.append(part)
    return found
