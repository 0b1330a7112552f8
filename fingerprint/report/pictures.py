"""The pictures of the page as inline SVG: no script, clock or random id, so equal reports give equal bytes.

Colours come from the classes of the page's style sheet, so that one drawing serves light, dark and paper.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from fingerprint.report import words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fingerprint.report.schema import EvidencePart, Result

WIDTH = 720
#: Where the axes of the two kinds of rows start and end; names stand left of them, numbers right.
_FOREST, _STRIP = (272.0, 556.0), (250.0, 640.0)
_LARGE = 1e9
#: Named controls in one picture; the rest are dots in one row.
_NAMED = 12
#: Methods whose controls are drawn, the most telling first.
_MAIN = ("partial_correlation", "weight_descent", "rare_ngrams", "control_contrast", "residual_correlation")
_PICTURES = 2


class Axis:
    """A line of numbers laid between two columns of pixels; it runs backwards where smaller means closer."""

    def __init__(self, values: Iterable[float], left: float, right: float, *, reverse: bool = False) -> None:
        kept = [max(-_LARGE, min(_LARGE, value)) for value in values]
        self.low, self.high = min(kept), max(kept)
        if self.high - self.low < 1e-12:
            self.low, self.high = self.low - 1, self.high + 1
        self.left, self.right = (right, left) if reverse else (left, right)

    def at(self, value: float) -> float:
        share = (max(self.low, min(self.high, value)) - self.low) / (self.high - self.low)
        return round(self.left + share * (self.right - self.left), 1)


def scale(result: Result) -> Markup:
    """The likelihood ratio between its caps, on a line on which zero says nothing."""
    low, high = result.log10_lr_bounds
    shown = (low, high, *result.log10_lr_interval, result.log10_lr)
    reach = min(_LARGE, max(1.0, *map(abs, shown)) * 1.12)
    axis = Axis((-reach, reach), 0, WIDTH)
    parts = [line(axis.left, 62, axis.right, 62, "axis")]
    step = max(1, ceil(reach / 6))
    for tick in range(-int(reach / step) * step, int(reach) + 1, step):
        x = axis.at(tick)
        parts += [line(x, 58, x, 66, "axis"), text(x, 86, words.signed(tick, 0), "small", "middle")]
    parts.append(line(axis.at(0), 44, axis.at(0), 66, "zero"))
    parts.append(_rect(axis.at(low), 57, axis.at(high) - axis.at(low), 10, "allowed"))
    for cap in (low, high):
        parts.append(line(axis.at(cap), 48, axis.at(cap), 76, "cap"))
    start, end = map(axis.at, result.log10_lr_interval)
    parts.append(_rect(start, 57, max(end - start, 1.0), 10, "interval"))
    x = axis.at(result.log10_lr)
    parts.append(f'<circle class="value" cx="{x}" cy="62" r="9"/>')
    parts.append(text(min(max(x, 60), WIDTH - 60), 30, words.signed(result.log10_lr), "strong accent", "middle"))
    parts.append(text(0, 116, "← speaks for H2", "small", "start"))
    parts.append(text(axis.at(0), 116, "neutral", "small", "middle"))
    parts.append(text(WIDTH, 116, "speaks for H1 →", "small", "end"))
    label = (
        f"log10 likelihood ratio {words.signed(result.log10_lr)}, interval "
        f"{words.between(result.log10_lr_interval, 2)}, caps {words.signed(low)} and {words.signed(high)}"
    )
    return svg(124, label, parts)


def forest(evidence: tuple[EvidencePart, ...]) -> Markup:
    """Effect and interval of each method on its own line; right is closer, the ring is the best control."""
    parts: list[str] = []
    for place, part in enumerate(evidence):
        parts += _forest_row(part, 20 + 46 * place)
    label = "Effect of each method with its interval and the closest control; the numbers stand in the table"
    return svg(20 + 46 * len(evidence), label, parts)


def _forest_row(part: EvidencePart, y: float) -> list[str]:
    best = words.best_control(part)
    values = [0.0, part.effect, *(part.interval or ()), *([best[1]] if best else [])]
    axis = Axis(values, _FOREST[0], _FOREST[1], reverse=part.method in words.LOWER_IS_CLOSER)
    parts = [
        text(0, y + 5, words.cut(part.title, 34), "label", "start"),
        line(_FOREST[0], y, _FOREST[1], y, "rule"),
        line(axis.at(0), y - 8, axis.at(0), y + 8, "zero"),
        text(
            _FOREST[0],
            y + 20,
            words.number(axis.low if axis.left < axis.right else axis.high),
            "tiny",
            "middle",
        ),
        text(
            _FOREST[1],
            y + 20,
            words.number(axis.high if axis.left < axis.right else axis.low),
            "tiny",
            "middle",
        ),
    ]
    if best:
        parts.append(_ring(axis.at(best[1]), y))
    if part.interval:
        parts.append(line(axis.at(part.interval[0]), y, axis.at(part.interval[1]), y, "whisker"))
    parts.append(_diamond(axis.at(part.effect), y))
    shown = "no p-value" if part.pvalue is None else f"p {words.pvalue(part.pvalue)}"
    parts.append(text(WIDTH, y + 5, f"{words.number(part.effect)} · {shown}", "label", "end"))
    return parts


def main_methods(evidence: tuple[EvidencePart, ...]) -> tuple[EvidencePart, ...]:
    """The few methods whose distribution of controls is drawn."""
    usable = [part for part in evidence if part.controls]
    order = {method: place for place, method in enumerate(_MAIN)}
    ranked = sorted(usable, key=lambda part: order.get(part.method, len(order)))
    return tuple(ranked[:_PICTURES])


def strip(part: EvidencePart, reference: str) -> Markup:
    """The suspect's effect with the reference among that with every control, the closest on top."""
    ranked = words.ranked_controls(part)
    named, rest = ranked[:_NAMED], ranked[_NAMED:]
    reverse = part.method in words.LOWER_IS_CLOSER
    axis = Axis(
        [0.0, part.effect, *(part.interval or ()), *part.controls.values()],
        _STRIP[0],
        _STRIP[1],
        reverse=reverse,
    )
    rows: list[tuple[str, float, bool]] = [(name, value, False) for name, value in named]
    ahead = sum((value < part.effect) if reverse else (value > part.effect) for _, value in named)
    rows.insert(ahead, (reference, part.effect, True))
    parts: list[str] = []
    for place, (name, value, is_reference) in enumerate(rows):
        y = 18 + 30 * place
        kind = "label strong accent" if is_reference else "label"
        parts += [
            text(0, y + 5, words.cut(name, 30), kind, "start"),
            line(_STRIP[0], y, _STRIP[1], y, "rule"),
        ]
        if is_reference and part.interval:
            parts.append(line(axis.at(part.interval[0]), y, axis.at(part.interval[1]), y, "whisker"))
        parts.append(_diamond(axis.at(value), y) if is_reference else _dot(axis.at(value), y))
        parts.append(text(WIDTH, y + 5, words.number(value), kind, "end"))
    height = 18 + 30 * len(rows)
    if rest:
        parts.append(text(0, height + 5, f"{len(rest)} further controls", "label", "start"))
        parts += [
            line(_STRIP[0], height, _STRIP[1], height, "rule"),
            *(_dot(axis.at(value), height) for _, value in rest),
        ]
        height += 30
    parts.insert(0, line(axis.at(0), 4, axis.at(0), height - 14, "zero"))
    label = f"{words.name(part.title)}: the reference among {len(ranked)} controls, closest first"
    return svg(height, label, parts)


def svg(height: float, label: str, parts: list[str]) -> Markup:
    shown = escape(label)
    # Every part was made by the functions below, which escape what is foreign.
    return Markup(  # noqa: S704
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{shown}"><title>{shown}</title>'
        + "".join(parts)
        + "</svg>"
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"/>'


def polyline(points: Iterable[tuple[float, float]], kind: str) -> str:
    """A curve through points; its colour and dash come from its class."""
    path = " ".join(f"{x:g},{y:g}" for x, y in points)
    return f'<polyline class="curve {kind}" points="{path}"/>'


def _rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{max(width, 0):.1f}" height="{height:g}" rx="5"/>'


def _dot(x: float, y: float) -> str:
    return f'<circle class="control" cx="{x:g}" cy="{y:g}" r="5"/>'


def _ring(x: float, y: float) -> str:
    return f'<circle class="ring" cx="{x:g}" cy="{y:g}" r="5"/>'


def _diamond(x: float, y: float) -> str:
    return f'<path class="value" d="M{x:g} {y - 7:g}L{x + 7:g} {y:g}L{x:g} {y + 7:g}L{x - 7:g} {y:g}Z"/>'


def text(x: float, y: float, what: str, kind: str, anchor: str) -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(what)}</text>'
