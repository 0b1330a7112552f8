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
#: Rows of the reading tree: height, the farthest that names begin, what is left of the lines and between lines and names.
_ROW, _NAMES, _LEFT, _LEADER = 24.0, 330.0, 8.0, 40.0
_STEP, _STRETCH, _ENLARGED = 18.0, 60.0, 2.2
_HUB, _RIM, _RIM_NAMED = 26.0, 250.0, 190.0
#: Up to so many models have their names in the wheel; from so many on its lines are thin.
_LABELLED, _DENSE = 100, 100
_CHORDS = 60
#: Least distance between the outer lines of a family where it begins in the wheel.
_APART = 16.0
#: Characters of a name in a row and in the wheel, and the widths of a character there and in what stands beside it.
_SHOWN, _SHORT = 44, 24
_WIDE, _SMALL = 7.6, 6.3


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
    scale = min(_ENLARGED, (_NAMES - _LEADER - _LEFT) / max(reach, 1.0))
    names = _LEFT + reach * scale + _LEADER
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
            parts += _leaf(each, x, y, names, descents)
    height = 16 + _ROW * len(node.names)
    label = f"Tree of {len(node.names)} models: {', '.join(node.names[:12])}"
    return _svg(WIDTH, height, label, parts)


def _fork(each: _Placed, x: float, y: float) -> list[str]:
    found = [f'<circle class="fork" cx="{x:.1f}" cy="{y:.1f}" r="3"/>']
    if each.node.support is not None and len(each.parts) > 1 and each.along > 0:
        found.append(_text(x - 6, y - 5, f"{each.node.support:.0%}", "tiny", "end"))
    return found


def _leaf(each: _Placed, x: float, y: float, names: float, descents: Mapping[str, Descent]) -> list[str]:
    name = each.node.model or ""
    shown = _cut(name, _SHOWN)
    parts = [
        f'<circle class="dot {each.node.kind}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>',
        f'<line class="leader" x1="{x + 7:.1f}" y1="{y:.1f}" x2="{names - 6:.1f}" y2="{y:.1f}"/>',
    ]
    origin = ""
    if name in descents:
        known = descents[name].parents
        more = f" or {len(known) - 1} more" if len(known) > 1 else ""
        room = int((WIDTH - names - _WIDE * len(shown) - 8) / _SMALL) - len("made from ") - len(more)
        if room >= 8:
            origin = f'<tspan class="origin" dx="8">made from {escape(_cut(known[0], room))}{more}</tspan>'
    words = f"{escape(shown)}{origin}{_whole(name, descents)}"
    parts.append(f'<text class="label" x="{names:.1f}" y="{y + 5:.1f}">{words}</text>')
    return parts


def _whole(name: str, descents: Mapping[str, Descent]) -> str:
    """What a reader sees who points at a name: all of it, and all that it was made from."""
    known = " or ".join(safe_text(parent, limit=120) for parent in descents[name].parents[:6]) if name in descents else ""
    return f"<title>{escape(safe_text(name, limit=300))}{escape(f', made from {known}') if known else ''}</title>"


def _cut(name: str, limit: int) -> str:
    """A name that fits, cut in its middle: its end tells brothers apart."""
    shown = safe_text(name, limit=1000)
    if len(shown) <= limit:
        return shown
    head = limit // 3
    return f"{shown[:head]}…{shown[len(shown) - (limit - head - 1) :]}"


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
    named = total <= _LABELLED
    rim, size = _RIM_NAMED if named else _RIM, 3.5 if total < _DENSE else 2.4
    for number, node in enumerate(tree.families, start=1):
        rows = iter(range(len(node.names)))
        placed = _place(node, 0.0, rows)
        reach, models = max(each.along for each in placed.walk()), len(node.names)
        turned = _Turn(start=angle, unit=unit, reach=reach, rim=rim, size=size, models=models)
        parts += turned.branches(placed)
        spots |= {each.node.model: turned.angle(each) for each in placed.walk() if each.node.model is not None}
        middle = angle + unit * len(node.names) / 2
        parts.append(_number(middle, turned.inner - 26 if named else rim + 22, str(number)))
        angle += unit * len(node.names) + gap
    for name in tree.strangers:
        spots[name] = angle + unit / 2
        parts.append(_point(spots[name], rim, "dot open", size))
        angle += unit
    parts = [_chord(spots[tie.a], spots[tie.b], rim) for tie in tree.ties[:_CHORDS]] + parts
    if named:
        parts += [_name(spot, name, rim) for name, spot in spots.items()]
    label = f"{total} models: {len(tree.families)} families, {len(tree.strangers)} models without a tie"
    dense = total >= _DENSE
    parts = ['<g class="dense">', *parts, "</g>"] if dense else parts
    return _svg(WIDTH, WIDTH if named else 2 * rim + 80, label, parts, centre=True)


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
    rim: float
    size: float
    models: int

    def angle(self, each: _Placed) -> float:
        return self.start + self.unit * (each.across + 0.5)

    def radius(self, each: _Placed) -> float:
        if not each.parts:
            return self.rim
        return self.inner + (self.rim - 30 - self.inner) * each.along / max(self.reach, 1.0)

    @property
    def inner(self) -> float:
        """Where the family begins: a small one near the rim, or its lines would lie on one another at the hub."""
        return min(max(_HUB + 60, _APART / (self.unit * max(self.models - 1, 1))), self.rim - 40)

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
                found.append(_point(self.angle(each), self.rim, f"dot {each.node.kind}", self.size))
        return found


def _at(angle: float, radius: float) -> tuple[float, float]:
    return cos(angle) * radius, sin(angle) * radius


def _point(angle: float, radius: float, kind: str, size: float) -> str:
    x, y = _at(angle, radius)
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{size:g}"/>'


def _number(angle: float, radius: float, what: str) -> str:
    x, y = _at(angle, radius)
    return _text(x, y + 5, what, "number", "middle")


def _name(angle: float, name: str, rim: float) -> str:
    """A name that reads from left to right on both sides of the circle."""
    x, y = _at(angle, rim + 10)
    turn, anchor = angle * 180 / pi, "start"
    if cos(angle) < 0:
        turn, anchor = turn + 180, "end"
    return (
        f'<text class="small" x="{x:.1f}" y="{y:.1f}" dy="4" text-anchor="{anchor}" '
        f'transform="rotate({turn:.1f} {x:.1f} {y:.1f})">{escape(_cut(name, _SHORT))}{_whole(name, {})}</text>'
    )


def _chord(first: float, second: float, rim: float) -> str:
    x1, y1 = _at(first, rim - 6)
    x2, y2 = _at(second, rim - 6)
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
