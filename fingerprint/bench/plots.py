"""Tippett and calibration plots as inline SVG: no script, clock or random id, so equal tables give equal bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT = 460, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 450, 14, 262
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """The horizontal range and what stands beside the axes; the vertical one is a share from 0 to 1."""

    low: float
    high: float
    x: str
    y: str

    def at(self, x: float, y: float) -> tuple[str, str]:
        """Pixels of a point, cut at the edges."""
        across = (min(max(x, self.low), self.high) - self.low) / max(self.high - self.low, 1e-9)
        up = min(max(y, 0.0), 1.0)
        return f"{_LEFT + across * (_RIGHT - _LEFT):.1f}", f"{_BOTTOM - up * (_BOTTOM - _TOP):.1f}"


def tippett(related: Sequence[float], unrelated: Sequence[float], title: str) -> str:
    """Share of pairs with a log10 LR above x: related pairs should stay high to the right, unrelated drop at 0."""
    low, high = _span([*related, *unrelated])
    xs = np.linspace(low, high, 200)
    curves = [
        ("related", [(x, float(np.mean(np.asarray(related) > x))) for x in xs]),
        ("unrelated", [(x, float(np.mean(np.asarray(unrelated) > x))) for x in xs]),
    ]
    axes = Axes(low=low, high=high, x="log10 likelihood ratio", y="share of pairs above")
    return _plot(title, curves, axes, zero=True)


def reliability(related: Sequence[float], unrelated: Sequence[float], title: str, bins: int = 10) -> str:
    """Observed share of related pairs against the stated probability, at even prior; the diagonal is perfect."""
    values = np.concatenate([np.asarray(related), np.asarray(unrelated)])
    truth = np.concatenate([np.ones(len(related)), np.zeros(len(unrelated))])
    weight = np.where(truth > 0, 0.5 / max(len(related), 1), 0.5 / max(len(unrelated), 1))
    stated = 1 / (1 + 10.0 ** -np.clip(values, -300, 300))
    place = np.minimum((stated * bins).astype(int), bins - 1)
    total = np.bincount(place, weights=weight, minlength=bins)
    means = np.bincount(place, weights=weight * stated, minlength=bins)
    shares = np.bincount(place, weights=weight * truth, minlength=bins)
    dots = [(float(m / t), float(s / t)) for m, s, t in zip(means, shares, total, strict=True) if t > 0]
    curves: list[tuple[str, Points]] = [("diagonal", [(0.0, 0.0), (1.0, 1.0)]), ("related", dots)]
    axes = Axes(low=0.0, high=1.0, x="stated probability, even prior", y="observed share")
    return _plot(title, curves, axes, dots=True)


def lines(curves: Mapping[str, Points], title: str, x_label: str, y_label: str) -> str:
    """Named curves between 0 and 1."""
    xs = [x for points in curves.values() for x, _ in points]
    return _plot(title, list(curves.items()), Axes(low=min(xs), high=max(xs), x=x_label, y=y_label), dots=True)


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.percentile(values, [0.5, 99.5])
    return min(float(low), -1.0), max(float(high), 1.0)


def _plot(title: str, curves: Sequence[tuple[str, Points]], axes: Axes, *, zero: bool = False, dots: bool = False) -> str:
    parts = _frame(axes)
    if zero:
        (x, bottom), (_, top) = axes.at(0, 0), axes.at(0, 1)
        parts.append(f'<path class="zero" d="M{x},{bottom}V{top}"/>')
    for place, (name, points) in enumerate(curves):
        style = name if name in {"related", "unrelated", "diagonal"} else f"line{place % 4}"
        pixels = [axes.at(x, y) for x, y in points]
        parts.append(f'<path class="curve {style}" d="M{"L".join(f"{x},{y}" for x, y in pixels)}"/>')
        if name == "diagonal":
            continue
        if dots:
            parts += [f'<circle class="{style}" cx="{x}" cy="{y}" r="3"/>' for x, y in pixels]
        parts.append(f'<text class="key {style}" x="{_RIGHT - 4}" y="{_TOP + 14 + 15 * place}">{name}</text>')
    picture = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">{"".join(parts)}</svg>'
    return f"<figure>{picture}<figcaption>{title}</figcaption></figure>"


def _frame(axes: Axes) -> list[str]:
    parts = [f'<path class="axis" d="M{_LEFT},{_TOP}V{_BOTTOM}H{_RIGHT}"/>']
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        value = axes.low + share * (axes.high - axes.low)
        left, top = axes.at(value, share)
        parts.append(f'<text x="{left}" y="{_BOTTOM + 16}" text-anchor="middle">{value:.3g}</text>')
        parts.append(f'<text x="{_LEFT - 6}" y="{top}" dy="4" text-anchor="end">{share:.3g}</text>')
    parts.append(f'<text x="{(_LEFT + _RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{axes.x}</text>')
    middle = HEIGHT / 2
    parts.append(f'<text x="12" y="{middle}" transform="rotate(-90 12 {middle})" text-anchor="middle">{axes.y}</text>')
    return parts
