"""The Tippett plot: how often pairs of known lineage reach a likelihood ratio, and where this case falls among them."""

from __future__ import annotations

from bisect import bisect_left
from math import ceil
from typing import TYPE_CHECKING

from markupsafe import Markup

from fingerprint.report import words
from fingerprint.report.pictures import WIDTH, Axis, line, polyline, svg, text

if TYPE_CHECKING:
    from fingerprint.report.schema import Result, TippettPart

_LEFT, _TOP, _BOTTOM = 56.0, 16.0, 246.0
_REACH = 6.0


def share_reaching(quantiles: tuple[float, ...], value: float) -> float:
    """Share of the pairs whose log10 LR is at least ``value``, from ascending quantiles."""
    if not quantiles:
        return 0.0
    return 1 - bisect_left(quantiles, value) / len(quantiles)


def draw(result: Result) -> Markup | None:
    """Both curves with the caps and this case's ratio; None where the calibration holds no such data."""
    data = result.calibration.tippett
    if data is None or not data.related or not data.unrelated:
        return None
    case = result.log10_lr_uncapped
    shown = (*data.related, *data.unrelated, *result.log10_lr_bounds, case, -1.0, 1.0)
    low, high = max(-_REACH, min(shown)), min(_REACH, max(shown))
    x, y = Axis((low, high), _LEFT, WIDTH - 12), Axis((0.0, 1.0), _BOTTOM, _TOP)
    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts.append(line(_LEFT, y.at(share), WIDTH - 12, y.at(share), "rule"))
        parts.append(text(_LEFT - 10, y.at(share) + 4, f"{100 * share:.0f} %", "small", "end"))
    step = max(1, ceil((high - low) / 8))
    ticks = range(ceil(low), int(high) + 1, step)
    parts += [text(x.at(tick), _BOTTOM + 22, words.signed(tick, 0), "small", "middle") for tick in ticks]
    parts.append(line(x.at(0), _TOP, x.at(0), _BOTTOM, "zero"))
    parts += [line(x.at(cap), _BOTTOM - 8, x.at(cap), _BOTTOM + 8, "cap") for cap in result.log10_lr_bounds]
    parts.append(polyline(_curve(data.unrelated, x, y), "unrelated"))
    parts.append(polyline(_curve(data.related, x, y), "related"))
    parts.append(line(x.at(case), _TOP, x.at(case), _BOTTOM, "case"))
    anchor = "end" if x.at(case) > WIDTH / 2 else "start"
    shift = -8 if anchor == "end" else 8
    parts.append(text(x.at(case) + shift, _TOP + 12, "this case", "label strong accent", anchor))
    parts.append(text((_LEFT + WIDTH) / 2, _BOTTOM + 44, "log10 likelihood ratio before the caps", "small", "middle"))
    label = f"Tippett plot. {sentence(result)}"
    return svg(_BOTTOM + 52, label, parts)


def _curve(quantiles: tuple[float, ...], x: Axis, y: Axis) -> list[tuple[float, float]]:
    last = max(len(quantiles) - 1, 1)
    points = [(x.at(x.low), y.at(1.0))]
    points += [(x.at(value), y.at(1 - place / last)) for place, value in enumerate(quantiles)]
    return [*points, (x.at(x.high), y.at(0.0))]


def sentence(result: Result) -> str:
    """Where this case falls among the pairs of known lineage."""
    data: TippettPart | None = result.calibration.tippett
    if data is None or not data.related or not data.unrelated:
        return "The calibration holds no curves of this tier, so the place of this case among known pairs is not shown."
    case = result.log10_lr_uncapped
    related, unrelated = share_reaching(data.related, case), share_reaching(data.unrelated, case)
    reached = [words.percent(share) if share else "none" for share in (related, unrelated)]
    return (
        f"Of the calibration's related pairs {reached[0]} reach this case's ratio of {words.signed(case)} before the caps, "
        f"of its unrelated pairs {reached[1]}."
    )
