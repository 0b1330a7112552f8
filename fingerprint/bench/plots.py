"""Tippett and calibration plots as inline SVG: no script, clock or random id, so equal tables give equal bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

WIDTH, HEIGHT = 460, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 450, 14, 262
Points = Sequence[tuple[float, float]]


def tippett(related: Sequence[float], unrelated: Sequence[float], title: str) -> str:
    """Share of pairs with a log10 LR above x: related pairs should stay high to the right, unrelated drop at 0."""
    low, high = _span([*related, *unrelated])
    xs = np.linspace(low, high, 200)
    curves = [
        ("related", [(x, float(np.mean(np.asarray(related) > x))) for x in xs]),
        ("unrelated", [(x, float(np.mean(np.asarray(unrelated) > x))) for x in xs]),
    ]
    return _plot(title, curves, (low, high), (0.0, 1.0), "log10 likelihood ratio", "share of pairs above", zero=True)


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
    return _plot(title, curves, (0.0, 1.0), (0.0, 1.0), "stated probability, even prior", "observed share", dots=True)


def lines(curves: Mapping[str, Points], title: str, x_label: str, y_label: str) -> str:
    """Named curves between 0 and 1."""
    xs = [x for points in curves.values() for x, _ in points]
    return _plot(title, list(curves.items()), (min(xs), max(xs)), (0.0, 1.0), x_label, y_label, dots=True)


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.percentile(values, [0.5, 99.5])
    return min(float(low), -1.0), max(float(high), 1.0)


def _plot(
    title: str,
    curves: Sequence[tuple[str, Points]],
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    x_label: str,
    y_label: str,
    *,
    zero: bool = False,
    dots: bool = False,
) -> str:
    def at(x: float, y: float) -> str:
        across = (min(max(x, x_range[0]), x_range[1]) - x_range[0]) / max(x_range[1] - x_range[0], 1e-9)
        up = (min(max(y, y_range[0]), y_range[1]) - y_range[0]) / max(y_range[1] - y_range[0], 1e-9)
        return f"{_LEFT + across * (_RIGHT - _LEFT):.1f},{_BOTTOM - up * (_BOTTOM - _TOP):.1f}"

    parts = [f'<path class="axis" d="M{_LEFT},{_TOP}V{_BOTTOM}H{_RIGHT}"/>']
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = x_range[0] + share * (x_range[1] - x_range[0]), y_range[0] + share * (y_range[1] - y_range[0])
        left, top = at(x, y_range[0]).split(",")[0], at(x_range[0], y).split(",")[1]
        parts.append(f'<text x="{left}" y="{_BOTTOM + 16}" text-anchor="middle">{x:.3g}</text>')
        parts.append(f'<text x="{_LEFT - 6}" y="{top}" dy="4" text-anchor="end">{y:.3g}</text>')
    if zero:
        parts.append(f'<path class="zero" d="M{at(0, y_range[0])}L{at(0, y_range[1])}"/>')
    for place, (name, points) in enumerate(curves):
        style = name if name in {"related", "unrelated", "diagonal"} else f"line{place % 4}"
        parts.append(f'<path class="curve {style}" d="M{"L".join(at(x, y) for x, y in points)}"/>')
        if dots and name != "diagonal":
            parts += [
                f'<circle class="{style}" cx="{point.split(",")[0]}" cy="{point.split(",")[1]}" r="3"/>'
                for point in (at(x, y) for x, y in points)
            ]
        if name != "diagonal":
            parts.append(f'<text class="key {style}" x="{_RIGHT - 4}" y="{_TOP + 14 + 15 * place}">{name}</text>')
    middle = (_LEFT + _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{x_label}</text>')
    parts.append(f'<text x="12" y="{HEIGHT / 2}" transform="rotate(-90 12 {HEIGHT / 2})" text-anchor="middle">{y_label}</text>')
    label = f'role="img" aria-label="{title}"'
    return f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" {label}>{"".join(parts)}</svg><figcaption>{title}</figcaption></figure>'
