"""Neighbour joining (Saitou and Nei 1987) by DendroPy.

The method gives a tree without a root. It is drawn from its middle: the fork from which the models are nearest on average.
That choice says nothing of history; groups are compared as splits, which do not depend on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Clade = frozenset[int]
_NUDGE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A subtree seen from the middle: the taxa below it, the length of the edge above it, and its parts."""

    taxa: Clade
    length: float
    parts: tuple[Branch, ...] = ()

    def walk(self) -> Iterator[Branch]:
        """The branch and everything below it, parents first."""
        yield self
        for part in self.parts:
            yield from part.walk()


def neighbour_joining(distances: Floats) -> Branch:
    """The tree of a symmetric matrix of distances, (taxa, taxa), at least two.

    Edge lengths below zero, which noise makes, become zero.
    """
    size = len(distances)
    if size == 2:
        leaves = tuple(Branch(taxa=frozenset({leaf}), length=float(distances[0, 1]) / 2) for leaf in range(2))
        return Branch(taxa=frozenset({0, 1}), length=0.0, parts=leaves)
    around = _edges(_joined(distances))
    inner = [node for node in around if node >= size]
    middle = min(inner, key=lambda node: (round(_reach(around, node, size), 9), _signature(around, node)))
    return _hang(around, middle, -1, 0.0)


def split(taxa: Clade, size: int) -> Clade:
    """The side of a split without taxon 0: the same for both directions of reading."""
    return frozenset(range(size)) - taxa if 0 in taxa else taxa


def _joined(distances: Floats) -> Any:
    import dendropy
    from dendropy.calculate.phylogeneticdistance import PhylogeneticDistanceMatrix

    size = len(distances)
    # DendroPy keeps taxa in a set, so equal distances would be joined in an order that changes from run to run.
    nudge = np.triu(np.random.default_rng(0).random((size, size)), 1) * _NUDGE
    unique = distances + nudge + nudge.T
    names = dendropy.TaxonNamespace([str(taxon) for taxon in range(size)])
    table = PhylogeneticDistanceMatrix()
    rows = {one: {two: float(unique[i, j]) for j, two in enumerate(names)} for i, one in enumerate(names)}
    table.compile_from_dict(distances=rows, taxon_namespace=names)
    return table.nj_tree()


def _edges(tree: Any) -> dict[int, dict[int, float]]:
    """Neighbours and edge lengths by node; taxa keep their numbers, forks follow. The last join is no fork."""
    number: dict[Any, int] = {}
    size = len(tree.taxon_namespace)
    for node in tree.postorder_node_iter():
        number[node] = int(node.taxon.label) if node.taxon is not None else size + len(number)
    around: dict[int, dict[int, float]] = {place: {} for place in number.values()}
    for node, place in number.items():
        if node.parent_node is not None:
            length = float(node.edge.length or 0.0)
            around[place][number[node.parent_node]] = around[number[node.parent_node]][place] = length
    top = number[tree.seed_node]
    if len(around[top]) == 2:
        (one, first), (two, second) = around.pop(top).items()
        del around[one][top], around[two][top]
        around[one][two] = around[two][one] = first + second
    # Rounded, because the last digits depend on the order in which DendroPy adds.
    return {node: {o: max(round(size, 9), 0.0) for o, size in beside.items()} for node, beside in around.items()}


def _reach(around: dict[int, dict[int, float]], start: int, size: int) -> float:
    """Mean distance from a node to the taxa."""
    total, waiting = 0.0, [(start, -1, 0.0)]
    while waiting:
        node, origin, far = waiting.pop()
        total += far if node < size else 0.0
        waiting.extend((other, node, far + length) for other, length in around[node].items() if other != origin)
    return total / size


def _signature(around: dict[int, dict[int, float]], node: int) -> list[list[int]]:
    return sorted(sorted(_hang(around, other, node, 0.0).taxa) for other in around[node])


def _hang(around: dict[int, dict[int, float]], node: int, origin: int, length: float) -> Branch:
    """The subtree of ``node`` seen from its neighbour ``origin``."""
    parts = [_hang(around, other, node, size) for other, size in around[node].items() if other != origin]
    if not parts:
        return Branch(taxa=frozenset({node}), length=length)
    parts.sort(key=lambda part: min(part.taxa))
    return Branch(taxa=frozenset().union(*(part.taxa for part in parts)), length=length, parts=tuple(parts))
