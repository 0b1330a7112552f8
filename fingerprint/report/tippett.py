"""The Tippett plot: how often pairs of known lineage reach a likelihood ratio, and where this case falls among them."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from markupsafe import Markup

from fingerprint.report import strata, words
from fingerprint.report.pictures import Axis, svg

if TYPE_CHECKING:
    from fingerprint.report.schema import Result, StratumPart, TippettPart

_REACH = 6.0
#: The drawing is stretched to its frame; words stand around it, so that they are not stretched with it.
_BOX = ' viewBox="0 0 100 100" preserveAspectRatio="none"'
SHARES = (0, 25, 50, 75, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """The drawing, and what is written around it, by place in per cent of the width.

    ``stratum`` names the one that is drawn by itself: of unrelated pairs the least favourable to a claim.
    """

    picture: Markup
    ticks: tuple[tuple[float, str], ...]
    here: float
    stratum: str


def share_reaching(quantiles: tuple[float, ...], value: float) -> float:
    """Share of the pairs whose log10 LR is at least ``value``, from ascending quantiles."""
    if not quantiles:
        return 0.0
    return 1 - bisect_left(quantiles, value) / len(quantiles)


def draw(result: Result) -> Plot | None:
    """Both curves with the caps and this case's ratio; None where the calibration holds no such data."""
    data = result.calibration.tippett
    if data is None or not data.related or not data.unrelated:
        return None
    case = result.log10_lr_uncapped
    shown = (*data.related, *data.unrelated, *result.log10_lr_bounds, case - 0.2, case + 0.2, -1.0, 1.0)
    x = Axis((max(-_REACH, min(shown)), min(_REACH, max(shown))), 0, 100)
    here = x.at(case)
    parts = [_line(0, share, 100, share, "rule") for share in SHARES]
    parts.append(_line(x.at(0), 0, x.at(0), 100, "zero"))
    parts += [_line(x.at(cap), 96, x.at(cap), 100, "cap") for cap in result.log10_lr_bounds]
    parts += [_curve(data.unrelated, x, "unrelated"), _curve(data.related, x, "related")]
    least = next(iter(strata.worst(result)), None)
    if least is not None:
        parts.append(_stratum(least.part, x))
    parts.append(_line(here, 0, here, 100, "case"))
    step = max(1, ceil((x.high - x.low) / 8))
    ticks = [tick for tick in range(int(x.low), int(x.high) + 1) if tick % step == 0]
    return Plot(
        picture=svg(parts, "curves", f"Tippett plot. {sentence(result)}", _BOX),
        ticks=tuple((x.at(tick), words.signed(tick, 0)) for tick in ticks),
        here=here,
        stratum="" if least is None else least.part.name,
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"/>'


def _curve(quantiles: tuple[float, ...], x: Axis, kind: str) -> str:
    """The share of pairs that reach each ratio, as far as the axis goes."""
    last = max(len(quantiles) - 1, 1)
    points = [(x.at(value), 100 * place / last) for place, value in enumerate(quantiles) if x.low <= value <= x.high]
    height = 100 * (1 - share_reaching(quantiles, x.low))
    end = 100 * (1 - share_reaching(quantiles, x.high)) if quantiles[-1] > x.high else 100.0
    path = " ".join(f"{left:g},{top:.2f}" for left, top in [(0.0, height), *points, (100.0, end)])
    return f'<polyline class="curve {kind}" points="{path}"/>'


def _stratum(part: StratumPart, x: Axis) -> str:
    points = [(x.at(step), 100 * (1 - share)) for step, share in strata.curve(part) if x.low <= step <= x.high]
    path = " ".join(f"{left:g},{top:.2f}" for left, top in points)
    return f'<polyline class="curve stratum" points="{path}"/>'


def sentence(result: Result) -> str:
    """Where this case falls among the pairs of known lineage."""
    data: TippettPart | None = result.calibration.tippett
    if data is None or not data.related or not data.unrelated:
        return "The calibration holds no curves of this tier, so the place of this case among known pairs is not shown."
    case = result.log10_lr_uncapped
    related, unrelated = share_reaching(data.related, case), share_reaching(data.unrelated, case)
    reached = [words.percent(share) if share else "none" for share in (related, unrelated)]
    used = result.calibration
    return (
        f"Of the calibration's {used.related_pairs:,} related pairs {reached[0]} reach this case's ratio "
        f"({words.signed(case)} before the caps), of its {used.unrelated_pairs:,} unrelated pairs {reached[1]}."
    )
