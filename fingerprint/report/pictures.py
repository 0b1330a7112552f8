"""Three pictures in SVG: the scale, the forest, the controls. Same report, same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from fingerprint.report.schema import EvidencePart, Result
from fingerprint.text import safe_text

_WIDTH = 720
_LEFT = 250
_ROW = 30


def scale(result: Result) -> str:
    """The log10 likelihood ratio between its caps, on a line from −3 to +3."""

    def x(value: float) -> float:
        return 40 + (max(-3.0, min(3.0, value)) + 3) / 6 * (_WIDTH - 80)

    low, high = result.log10_lr_bounds
    ends = result.log10_lr_interval
    ticks = "".join(
        f'<line x1="{x(t):.1f}" y1="52" x2="{x(t):.1f}" y2="58" class="axis"/>'
        f'<text x="{x(t):.1f}" y="74" class="tick" text-anchor="middle">{_power(t)}</text>'
        for t in range(-3, 4)
    )
    body = (
        f'<rect x="{x(low):.1f}" y="34" width="{max(x(high) - x(low), 1):.1f}" height="36" class="range" transform="translate(0,-13)"/>'
        f'<line x1="40" y1="52" x2="{_WIDTH - 40}" y2="52" class="axis"/>{ticks}'
        f'<line x1="{x(ends[0]):.1f}" y1="40" x2="{x(ends[1]):.1f}" y2="40" class="interval"/>'
        f'<circle cx="{x(result.log10_lr):.1f}" cy="40" r="8" class="point"/>'
        f'<text x="{x(low):.1f}" y="14" class="tick" text-anchor="end">cap {low:+.2f} </text>'
        f'<text x="{x(high):.1f}" y="14" class="tick"> cap {high:+.2f}</text>'
    )
    label = f"log10 likelihood ratio {result.log10_lr:+.2f}, interval {ends[0]:+.2f} to {ends[1]:+.2f}, caps {low:+.2f} and {high:+.2f}"
    return _svg(84, body, label)


def _power(exponent: int) -> str:
    return {-3: "1/1000", -2: "1/100", -1: "1/10", 0: "1", 1: "10", 2: "100", 3: "1000"}[exponent]


def forest(items: Sequence[EvidencePart]) -> str:
    """One row per method: effect and interval, each row between the smallest and largest value it shows."""
    rows = []
    for number, item in enumerate(items):
        y = 20 + number * _ROW
        ends = item.interval or (item.effect, item.effect)
        values = [item.effect, *ends, 0.0, *item.controls.values()]
        x = _axis(values)
        dots = "".join(f'<circle cx="{x(v):.1f}" cy="{y}" r="3" class="control"/>' for v in item.controls.values())
        pvalue = "" if item.pvalue is None else f" p {item.pvalue:.2g}"
        rows.append(
            f'<text x="0" y="{y + 4}" class="label">{_text(item.title)}</text>'
            f'<line x1="{_LEFT}" y1="{y}" x2="{_WIDTH - 90}" y2="{y}" class="grid"/>'
            f'<line x1="{x(0):.1f}" y1="{y - 9}" x2="{x(0):.1f}" y2="{y + 9}" class="axis"/>{dots}'
            f'<line x1="{x(ends[0]):.1f}" y1="{y}" x2="{x(ends[1]):.1f}" y2="{y}" class="interval"/>'
            f'<circle cx="{x(item.effect):.1f}" cy="{y}" r="6" class="point"/>'
            f'<text x="{_WIDTH}" y="{y + 4}" class="tick" text-anchor="end">{item.effect:.3g}{pvalue}</text>'
        )
    label = "Effect of every method with its interval; small grey dots are the controls, the bar is zero"
    return _svg(24 + _ROW * max(len(items), 1), "".join(rows), label)


def strip(item: EvidencePart, reference: str) -> str:
    """The reference among the controls on one method's axis, each with its name."""
    points = sorted([(value, name, "control") for name, value in item.controls.items()])
    points.append((item.effect, reference, "point"))
    x = _axis([value for value, _, _ in points])
    rows = []
    for number, (value, name, style) in enumerate(sorted(points, key=lambda point: -point[0])[:30]):
        y = 16 + number * 22
        rows.append(
            f'<text x="0" y="{y + 4}" class="label">{_text(name)}</text>'
            f'<line x1="{_LEFT}" y1="{y}" x2="{_WIDTH - 90}" y2="{y}" class="grid"/>'
            f'<circle cx="{x(value):.1f}" cy="{y}" r="6" class="{style}"/>'
            f'<text x="{_WIDTH}" y="{y + 4}" class="tick" text-anchor="end">{value:.3g}</text>'
        )
    label = f"{item.title} between the suspect and the reference, among {len(item.controls)} controls"
    return _svg(20 + 22 * min(len(points), 30), "".join(rows), label)


class _axis:  # noqa: N801  # reads as a function of a value
    """Linear map of the values' range to the drawing area."""

    def __init__(self, values: Sequence[float]) -> None:
        self._low = min(values)
        self._span = (max(values) - self._low) or 1.0

    def __call__(self, value: float) -> float:
        return _LEFT + 10 + (value - self._low) / self._span * (_WIDTH - 90 - _LEFT - 20)


def _text(value: str) -> str:
    return escape(safe_text(value, limit=34))


def _svg(height: int, body: str, label: str) -> str:
    safe = escape(safe_text(label, limit=300))
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{safe}" '
        f'xmlns="http://www.w3.org/2000/svg"><title>{safe}</title>{body}</svg>'
    )
