"""A family tree as one page that loads nothing and runs nothing, and in a few lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from fingerprint.report.html import template
from fingerprint.text import safe_text
from fingerprint.tree import picture
from fingerprint.tree.model import Descent, FamilyTree, Node


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    title: str
    about: str
    picture: Markup


def render_page(tree: FamilyTree) -> str:
    """The whole page; the same tree gives the same bytes."""
    descents = {descent.child: descent for descent in tree.descents}
    return template("tree.html.j2").render(
        tree=tree,
        headline=headline(tree),
        lead=_lead(tree),
        wheel=picture.wheel(tree),
        families=[
            _Shown(title=title(node, tree), about=about(node), picture=picture.family(node, descents))
            for node in tree.families
        ],
        notes=(*_reading(tree), *tree.notes),
    )


def headline(tree: FamilyTree) -> str:
    count = len(tree.families)
    return {0: "No family shown", 1: "One family"}.get(count, f"{count} families")


def _lead(tree: FamilyTree) -> str:
    tied = len(tree.models) - len(tree.strangers)
    if not tied:
        return "Nothing ties any two of these models strongly enough to be shown."
    alone = len(tree.strangers)
    rest = f"; {alone} {'has' if alone == 1 else 'have'} no tie" if alone else ""
    return f"{tied} of {len(tree.models)} models share an origin with another{rest}."


def title(node: Node, tree: FamilyTree) -> str:
    """A family is called after the model that most copies were made from, or after its first."""
    sources = [parent for descent in tree.descents for parent in descent.parents]
    counted = {name: sources.count(name) for name in node.names}
    name = max(counted, key=lambda each: (counted[each], -node.names.index(each)))
    return f"{safe_text(name, limit=60)} and {len(node.names) - 1} more"


def about(node: Node) -> str:
    kinds = {child.kind for child in _below(node)}
    both = "on shared weights and behaviour"
    rest = "on shared weights" if kinds == {"weights"} else "on behaviour" if kinds == {"behaviour"} else both
    return f"{len(node.names)} models, {rest}; found in {node.support or 0:.0%} of the replicates."


def _below(node: Node) -> Iterator[Node]:
    for child in node.children:
        yield child
        yield from _below(child)


def _reading(tree: FamilyTree) -> list[str]:
    support = (
        f"The figure at a fork is its support: the share of {tree.replicates} replicates, with probes and weight matrices "
        f"drawn again, that have the same group. Below {tree.cut:.0%} a fork is left open."
    )
    middle = "The left end of a family is its middle, not its ancestor. Longer lines are larger distances (by their root)."
    return [support, middle]


def lines(tree: FamilyTree) -> Iterator[str]:
    """The tree as text, one model a line."""
    descents = {descent.child: descent for descent in tree.descents}
    yield f"{headline(tree)}. {_lead(tree)}"
    for node in tree.families:
        yield ""
        yield f"{title(node, tree)} ({about(node).removesuffix('.')})"
        yield from _branch(node, "", descents)
    if tree.strangers:
        yield ""
        yield "Without a tie: " + ", ".join(safe_text(name, limit=60) for name in tree.strangers)
    if tree.notes:
        yield ""
        yield from (safe_text(note, limit=400) for note in tree.notes)


def _branch(node: Node, indent: str, descents: dict[str, Descent]) -> Iterator[str]:
    for place, child in enumerate(node.children):
        last = place == len(node.children) - 1
        stroke = {"weights": "──", "behaviour": "╌╌", "open": "  "}[child.kind]
        if child.model is not None:
            origin = descents.get(child.model)
            parents = " or ".join(safe_text(parent, limit=60) for parent in origin.parents) if origin else ""
            words = safe_text(child.model, limit=60) + (f"  (made from {parents})" if parents else "")
        else:
            words = f"┐ {child.support or 0:.0%}"
        yield f"{indent}{'└' if last else '├'}{stroke}{words}"
        if child.children:
            yield from _branch(child, indent + ("   " if last else "│  "), descents)
