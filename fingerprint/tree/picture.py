"""The pictures of a family tree as inline SVG: the whole panel as a wheel, and each family as a tree to read.

Weights are solid lines, behaviour dashed ones; nothing joins what nothing ties. The same tree gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import cos, pi, sin, sqrt

from markupsafe import Markup, escape

from fingerprint.text import safe_text
from fingerprint.tree.model import Descent, FamilyTree, Node

WIDTH = 720.0
#: Rows of the reading tree: height, where names begin, and the room for the lines before them.
_ROW, _NAMES, _LEFT = 24.0, 330.0, 8.0
_STEP, _STRETCH, _ENLARGED = 18.0, 60.0, 2.2
_HUB, _RIM = 26.0, 250.0
_LABELLED = 40
_CHORDS = 60
_SHOWN = 44


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    """A node with its place along (depth) and across (row or angle)."""

    node: Node
    along: float
    across: float
    parts: tuple[_Placed, ...] = ()

    def walk(self) -> Iterator[_Placed]:
        yield self
        for part in self.parts:
            yield from part.walk()


def family(node: Node, descents: Mapping[str, Descent]) -> Markup:
    """One family, left to right, a model per row; a step is longer the farther it is, by the root of the distance."""
    rows = iter(range(len(node.names)))
    placed = _place(node, 0.0, rows)
    reach = max(each.along for each in placed.walk())
    scale = min(_ENLARGED, (_NAMES - 30 - _LEFT) / max(reach, 1.0))
    parts: list[str] = []
    for each in placed.walk():
        x = _LEFT + each.along * scale
        y = 16 + each.across * _ROW
        for part in each.parts:
            below, row = _LEFT + part.along * scale, 16 + part.across * _ROW
            parts.append(f'<path class="edge {part.node.kind}" d="M{x:.1f} {y:.1f}V{row:.1f}H{below:.1f}"/>')
        if each.node.children:
            parts += _fork(each, x, y)
        else:
            parts += _leaf(each, x, y, descents)
    height = 16 + _ROW * len(node.names)
    label = f"Tree of {len(node.names)} models: {', '.join(node.names[:12])}"
    return _svg(WIDTH, height, label, parts)


def _fork(each: _Placed, x: float, y: float) -> list[str]:
    found = [f'<circle class="fork" cx="{x:.1f}" cy="{y:.1f}" r="3"/>']
    if each.node.support is not None and len(each.parts) > 1 and each.along > 0:
        found.append(_text(x - 6, y - 5, f"{each.node.support:.0%}", "tiny", "end"))
    return found


def _leaf(each: _Placed, x: float, y: float, descents: Mapping[str, Descent]) -> list[str]:
    name = each.node.model or ""
    parts = [
        f'<circle class="dot {each.node.kind}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>',
        f'<line class="leader" x1="{x + 7:.1f}" y1="{y:.1f}" x2="{_NAMES - 6:.1f}" y2="{y:.1f}"/>',
    ]
    shown = escape(safe_text(name, limit=_SHOWN))
    origin = ""
    if name in descents:
        known = " or ".join(safe_text(parent, limit=30) for parent in descents[name].parents[:2])
        origin = f'<tspan class="origin" dx="8">made from {escape(known)}</tspan>'
    parts.append(f'<text class="label" x="{_NAMES:g}" y="{y + 5:.1f}">{shown}{origin}</text>')
    return parts


def _place(node: Node, start: float, rows: Iterator[int]) -> _Placed:
    """Leaves take the next row; a fork stands in the middle of its parts."""
    if not node.children:
        return _Placed(node=node, along=start, across=float(next(rows)))
    parts = tuple(_place(child, start + _STEP + _STRETCH * sqrt(max(child.length, 0.0)), rows) for child in node.children)
    return _Placed(node=node, along=start, across=(parts[0].across + parts[-1].across) / 2, parts=parts)


def wheel(tree: FamilyTree) -> Markup:
    """The whole panel on a circle: families as sectors with their trees, strangers as dots, other ties as chords."""
    total = len(tree.models)
    gap = 0.0 if len(tree.families) < 2 else min(0.06, 1.2 / len(tree.root.children))
    free = 2 * pi - gap * (len(tree.families) + bool(tree.strangers))
    angle, unit = -pi / 2 + gap / 2, free / total
    parts: list[str] = []
    spots: dict[str, float] = {}
    for number, node in enumerate(tree.families, start=1):
        rows = iter(range(len(node.names)))
        placed = _place(node, 0.0, rows)
        turned = _Turn(start=angle, unit=unit, reach=max(each.along for each in placed.walk()))
        parts += turned.branches(placed)
        spots |= {each.node.model: turned.angle(each) for each in placed.walk() if each.node.model is not None}
        middle = angle + unit * len(node.names) / 2
        parts.append(_spoke(middle, _RIM + (0 if total <= _LABELLED else 22), str(number), "number"))
        angle += unit * len(node.names) + gap
    for name in tree.strangers:
        spots[name] = angle + unit / 2
        parts.append(_point(spots[name], _RIM, "dot open", 3.0))
        angle += unit
    parts = [_chord(spots[tie.a], spots[tie.b]) for tie in tree.ties[:_CHORDS]] + parts
    if total <= _LABELLED:
        parts += [_name(spot, name) for name, spot in spots.items()]
    label = f"{total} models: {len(tree.families)} families, {len(tree.strangers)} models without a tie"
    return _svg(WIDTH, WIDTH if total <= _LABELLED else 2 * _RIM + 80, label, parts, centre=True)


def standalone(tree: FamilyTree) -> str:
    """The wheel as an SVG file with its own colours."""
    from importlib import resources

    templates = resources.files("fingerprint.report") / "templates"
    styles = "".join((templates / name).read_text("utf-8") for name in ("report.css", "tree.css"))
    return str(wheel(tree)).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1).replace(
        "</title>", f"</title><style>{styles}</style>", 1
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    """A family bent round the hub: rows become angles, depth becomes distance from the middle."""

    start: float
    unit: float
    reach: float

    def angle(self, each: _Placed) -> float:
        return self.start + self.unit * (each.across + 0.5)

    def radius(self, each: _Placed) -> float:
        if not each.parts:
            return _RIM
        return _HUB + 60 + (_RIM - _HUB - 90) * each.along / max(self.reach, 1.0)

    def branches(self, whole: _Placed) -> list[str]:
        found = []
        for each in whole.walk():
            radius = self.radius(each)
            for part in each.parts:
                x, y = _at(self.angle(each), radius)
                bend_x, bend_y = _at(self.angle(part), radius)
                end_x, end_y = _at(self.angle(part), self.radius(part))
                sweep = int(self.angle(part) > self.angle(each))
                found.append(
                    f'<path class="edge {part.node.kind}" d="M{x:.1f} {y:.1f}'
                    f'A{radius:.1f} {radius:.1f} 0 0 {sweep} {bend_x:.1f} {bend_y:.1f}L{end_x:.1f} {end_y:.1f}"/>'
                )
            if not each.parts:
                found.append(_point(self.angle(each), _RIM, f"dot {each.node.kind}", 3.5))
        return found


def _at(angle: float, radius: float) -> tuple[float, float]:
    return cos(angle) * radius, sin(angle) * radius


def _point(angle: float, radius: float, kind: str, size: float) -> str:
    x, y = _at(angle, radius)
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{size:g}"/>'


def _spoke(angle: float, radius: float, what: str, kind: str) -> str:
    x, y = _at(angle, radius if kind != "number" or radius > _RIM else _HUB + 34)
    return _text(x, y + 5, what, kind, "middle")


def _name(angle: float, name: str) -> str:
    """A name that reads from left to right on both sides of the circle."""
    x, y = _at(angle, _RIM + 10)
    turn, anchor = angle * 180 / pi, "start"
    if cos(angle) < 0:
        turn, anchor = turn + 180, "end"
    shown = escape(safe_text(name, limit=20))
    return (
        f'<text class="small" x="{x:.1f}" y="{y:.1f}" dy="4" text-anchor="{anchor}" '
        f'transform="rotate({turn:.1f} {x:.1f} {y:.1f})">{shown}</text>'
    )


def _chord(first: float, second: float) -> str:
    x1, y1 = _at(first, _RIM - 6)
    x2, y2 = _at(second, _RIM - 6)
    return f'<path class="chord" d="M{x1:.1f} {y1:.1f}Q0 0 {x2:.1f} {y2:.1f}"/>'


def _text(x: float, y: float, what: str, kind: str, anchor: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(what)}</text>'


def _svg(width: float, height: float, label: str, parts: list[str], *, centre: bool = False) -> Markup:
    shown = escape(safe_text(label, limit=400))
    box = f"{-width / 2:g} {-height / 2:g} {width:g} {height:g}" if centre else f"0 0 {width:g} {height:g}"
    # Every part was made by the functions above, which escape what is foreign.
    return Markup(  # noqa: S704
        f'<svg viewBox="{box}" role="img" aria-label="{shown}"><title>{shown}</title>' + "".join(parts) + "</svg>"
    )
