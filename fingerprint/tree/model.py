"""What a family tree says, as plain values; as JSON and as Newick."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from fingerprint.text import safe_text

#: What an edge rests on. ``open``: nothing ties what is below it to the rest of the panel.
EdgeKind = Literal["weights", "behaviour", "open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A model, or a common ancestor of those below; with the edge above it.

    ``support`` is the share of bootstrap replicates with the same group of models, None for a single model;
    ``log10_lr`` is the mean capped likelihood ratio across the fork.
    """

    model: str | None = None
    length: float = 0.0
    kind: EdgeKind = "open"
    support: float | None = None
    log10_lr: float | None = None
    children: tuple[Node, ...] = ()

    def leaves(self) -> Iterator[Node]:
        """Models below, or the node itself."""
        if not self.children:
            yield self
        for child in self.children:
            yield from child.leaves()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(leaf.model or "" for leaf in self.leaves())


@dataclass(frozen=True, slots=True, kw_only=True)
class Descent:
    """A direction that was shown: the child can only have been made from one of the parents."""

    child: str
    parents: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tie:
    """Two models of different families that behaviour ties all the same: the tree is then a network."""

    a: str
    b: str
    log10_lr: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyTree:
    """The tree of a panel. ``root`` has a child per family and per model that nothing ties to another."""

    models: tuple[str, ...]
    root: Node
    descents: tuple[Descent, ...] = ()
    ties: tuple[Tie, ...] = ()
    replicates: int = 0
    cut: float = 0.0
    notes: tuple[str, ...] = field(default=())

    @property
    def families(self) -> tuple[Node, ...]:
        """Groups of two and more, the largest first."""
        found = [child for child in self.root.children if child.children]
        return tuple(sorted(found, key=lambda node: (-len(node.names), node.names)))

    @property
    def strangers(self) -> tuple[str, ...]:
        """Models without a tie."""
        return tuple(sorted(child.model for child in self.root.children if child.model is not None))

    def as_json(self) -> dict[str, Any]:
        """The tree as its contract has it."""
        return {
            "schema_version": "1.0",
            "models": list(self.models),
            "newick": newick(self.root),
            "root": _node(self.root),
            "descents": [{"child": d.child, "parents": list(d.parents), "why": d.why} for d in self.descents],
            "ties": [{"a": t.a, "b": t.b, "log10_lr": t.log10_lr} for t in self.ties],
            "bootstrap": {"replicates": self.replicates, "cut": self.cut},
            "notes": list(self.notes),
        }


def _node(node: Node) -> dict[str, Any]:
    value: dict[str, Any] = {"length": round(node.length, 6), "kind": node.kind}
    if node.model is not None:
        value["model"] = node.model
    if node.children:
        value |= {"support": node.support, "log10_lr": node.log10_lr, "children": [_node(child) for child in node.children]}
    return value


def newick(root: Node) -> str:
    """The tree in Newick, with support as the names of inner nodes; every name is quoted."""
    return _newick(root, top=True) + ";"


def _newick(node: Node, *, top: bool = False) -> str:
    length = "" if top else f":{node.length:.6f}"
    if not node.children:
        name = safe_text(node.model or "", limit=200).replace("'", "''")
        return f"'{name}'{length}"
    inner = ",".join(_newick(child) for child in node.children)
    label = "" if node.support is None or top else f"{node.support:.2f}"
    return f"({inner}){label}{length}"
