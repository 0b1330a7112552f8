"""The pictures of the page as inline SVG: no script, clock or random id, so equal reports give equal bytes.

Places along an axis are shares of the width, so a picture is as wide as its page and its words keep their size. Colours
come from the classes of the style sheet: one drawing serves light, dark and paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log10
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from fingerprint.report import words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fingerprint.report.schema import EvidencePart, GuardrailRate, Result

_LARGE = 1e9
#: Room at both ends of a track, in per cent, so that no mark is cut.
_ENDS = (3.0, 97.0)
_MIDDLE = 9
#: Named controls in one picture; the rest are dots in one row.
_NAMED = 12
#: Methods whose controls are drawn, the most telling first.
_MAIN = ("partial_correlation", "weight_descent", "rare_ngrams", "control_contrast", "residual_correlation")
_PICTURES = 2


class Axis:
    """Numbers laid between two places, in per cent of the width; it runs backwards where smaller means closer."""

    def __init__(
        self, values: Iterable[float], left: float = _ENDS[0], right: float = _ENDS[1], *, reverse: bool = False
    ) -> None:
        kept = [max(-_LARGE, min(_LARGE, value)) for value in values]
        self.low, self.high = min(kept), max(kept)
        if self.high - self.low < 1e-12:
            self.low, self.high = self.low - 1, self.high + 1
        self.left, self.right = (right, left) if reverse else (left, right)

    def at(self, value: float) -> float:
        share = (max(self.low, min(self.high, value)) - self.low) / (self.high - self.low)
        return round(self.left + share * (self.right - self.left), 2)

    @property
    def ends(self) -> tuple[float, float]:
        """The numbers at the left and at the right end."""
        return (self.low, self.high) if self.left < self.right else (self.high, self.low)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a picture: whose it is, its track, and its number in words."""

    name: str
    track: Markup
    shown: str
    is_reference: bool = False


def scale(result: Result) -> Markup:
    """The likelihood ratio between its caps, on a line in whose middle both hypotheses explain the evidence alike."""
    low, high = result.log10_lr_bounds
    shown = (low, high, *result.log10_lr_interval, result.log10_lr)
    reach = min(_LARGE, max(1.0, *map(abs, shown)) * 1.12)
    axis = Axis((-reach, reach), 0, 100)
    parts = [_line(0, 100, 40, "axis")]
    step = max(1, ceil(reach / 3))
    for tick in range(-int(reach / step) * step, int(reach) + 1, step):
        words_of_it = f"{words.factor(tick)}×" if tick else "equal"
        parts += [_stroke(axis.at(tick), 35, 45, "tick"), _text(axis.at(tick), 64, words_of_it, "small")]
    parts.append(_bar(axis.at(low), axis.at(high), 36, 8, "allowed"))
    parts.append(_stroke(axis.at(0), 26, 54, "zero"))
    parts += _caps(low, high, axis)
    start, end = map(axis.at, result.log10_lr_interval)
    parts.append(_bar(start, end, 36, 8, "interval"))
    here = axis.at(result.log10_lr)
    parts.append(f'<circle class="value" cx="{here:g}%" cy="40" r="10"/>')
    parts.append(_text(here, 18, "this case", "strong accent"))
    label = (
        f"log10 likelihood ratio {words.signed(result.log10_lr)}, interval "
        f"{words.between(result.log10_lr_interval, 2)}, caps {words.signed(low)} and {words.signed(high)}"
    )
    return svg(parts, "scale", label)


def _caps(low: float, high: float, axis: Axis) -> list[str]:
    """Two strokes with their size; close together they are named away from each other, at zero not at all."""
    parts = [_stroke(axis.at(cap), 26, 54, "cap") for cap in (low, high)]
    if low < -0.005:
        parts.append(_text(axis.at(low), 88, f"cap {words.factor(low)}×", "small", "end" if axis.at(low) > 20 else "start"))
    if high > 0.005:
        place = axis.at(high)
        parts.append(_text(place, 88, f"cap {words.factor(high)}×", "small", "end" if place > 80 else "start"))
    return parts


def forest(evidence: tuple[EvidencePart, ...]) -> dict[str, tuple[Markup, str, str]]:
    """Per method its effect with interval and closest control on a track of its own, and the numbers at its ends."""
    return {part.method: _forest_row(part) for part in evidence}


def _forest_row(part: EvidencePart) -> tuple[Markup, str, str]:
    best = words.best_control(part)
    values = [0.0, part.effect, *(part.interval or ()), *([best[1]] if best else [])]
    axis = Axis(values, reverse=part.method in words.LOWER_IS_CLOSER)
    parts = [_line(*_ENDS, _MIDDLE, "rule"), _stroke(axis.at(0), 0, 18, "zero")]
    if best:
        parts.append(_circle(axis.at(best[1]), "ring"))
    parts += _reference(part, axis)
    left, right = map(words.number, axis.ends)
    return svg(parts, "track"), left, right


def main_methods(evidence: tuple[EvidencePart, ...]) -> tuple[EvidencePart, ...]:
    """The few methods whose distribution of controls is drawn."""
    usable = [part for part in evidence if part.controls]
    order = {method: place for place, method in enumerate(_MAIN)}
    ranked = sorted(usable, key=lambda part: order.get(part.method, len(order)))
    return tuple(ranked[:_PICTURES])


def strip(part: EvidencePart, reference: str) -> tuple[Row, ...]:
    """The suspect's effect with the reference among that with every control, the closest on top."""
    ranked = words.ranked_controls(part)
    named, rest = ranked[:_NAMED], ranked[_NAMED:]
    reverse = part.method in words.LOWER_IS_CLOSER
    axis = Axis([0.0, part.effect, *(part.interval or ()), *part.controls.values()], reverse=reverse)
    back = [_line(*_ENDS, _MIDDLE, "rule"), _stroke(axis.at(0), -4, 22, "zero")]
    rows = [
        Row(
            name=words.name(name, 30),
            track=svg([*back, _circle(axis.at(value), "control")], "track"),
            shown=words.number(value),
        )
        for name, value in named
    ]
    ahead = sum((value < part.effect) if reverse else (value > part.effect) for _, value in named)
    own = Row(
        name=words.name(reference, 30),
        track=svg([*back, *_reference(part, axis)], "track"),
        shown=words.number(part.effect),
        is_reference=True,
    )
    rows.insert(ahead, own)
    if rest:
        dots = [_circle(axis.at(value), "control") for _, value in rest]
        rows.append(Row(name=f"{len(rest)} further controls", track=svg([*back, *dots], "track"), shown=""))
    return tuple(rows)


def sizes(result: Result) -> tuple[Row, ...]:
    """The sizes of the calibration's models and of both sides on one logarithmic axis; none where nothing is known."""
    population = result.calibration.parameters
    sides = (("Suspect", result.suspect.parameters, True), ("Reference", result.reference.parameters, False))
    if population is None or min(population) <= 0:
        return ()
    known = [*population, *(size for _, size, _ in sides if size > 0)]
    axis = Axis([log10(min(known)) - 0.3, log10(max(known)) + 0.3])
    back = _line(*_ENDS, _MIDDLE, "rule")
    low, high = (axis.at(log10(size)) for size in population)
    # A band of one size would not be seen.
    band = _bar(low - 0.5, high + 0.5, _MIDDLE - 6, 12, "control")
    found = [Row(name="Population", track=svg([back, band], "track"), shown=f"{population[0]:,} to {population[1]:,}")]
    for name, size, own in sides:
        place = axis.at(log10(max(size, 1)))
        mark = _diamond(place) if own else _circle(place, "ring")
        parts = [back, mark] if size > 0 else [back]
        found.append(Row(name=name, track=svg(parts, "track"), shown=f"{size:,}" if size > 0 else "unknown"))
    return tuple(found)


def share(rate: GuardrailRate | None, kind: str) -> Markup:
    """A share with its interval between 0 and 100 %; an empty track where there is none."""
    axis = Axis((0.0, 1.0))
    parts = [_line(*_ENDS, _MIDDLE, "rule")]
    if rate is not None and rate.rate is not None:
        if rate.interval:
            parts.append(_line(axis.at(rate.interval[0]), axis.at(rate.interval[1]), _MIDDLE, f"whisker {kind}"))
        parts.append(_circle(axis.at(rate.rate), kind))
    return svg(parts, "track")


def _reference(part: EvidencePart, axis: Axis) -> list[str]:
    """The diamond of the reference on its interval."""
    ends = [axis.at(end) for end in part.interval or ()]
    whisker = [_line(ends[0], ends[1], _MIDDLE, "whisker")] if ends else []
    return [*whisker, _diamond(axis.at(part.effect))]


def _diamond(x: float) -> str:
    return f'<svg x="{x:g}%" y="{_MIDDLE}"><path class="value" d="M0-7L7 0L0 7L-7 0Z"/></svg>'


def svg(parts: Iterable[str], kind: str, label: str = "", box: str = "") -> Markup:
    """A picture of its own if it has a label; else a part of one, whose numbers stand beside it in words."""
    shown = escape(label)
    about = f' role="img" aria-label="{shown}"><title>{shown}</title>' if label else ' aria-hidden="true">'
    # Every part was made by the functions below, which escape what is foreign.
    return Markup(f'<svg class="{kind}"{box}{about}{"".join(parts)}</svg>')  # noqa: S704


def _line(start: float, end: float, y: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{start:g}%" y1="{y:g}" x2="{end:g}%" y2="{y:g}"/>'


def _stroke(x: float, top: float, bottom: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x:g}%" y1="{top:g}" x2="{x:g}%" y2="{bottom:g}"/>'


def _bar(start: float, end: float, y: float, height: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{start:g}%" y="{y:g}" width="{max(end - start, 0):.2f}%" height="{height:g}"/>'


def _circle(x: float, kind: str) -> str:
    return f'<circle class="{kind}" cx="{x:g}%" cy="{_MIDDLE}" r="5"/>'


def _text(x: float, y: float, what: str, kind: str, anchor: str = "") -> str:
    """Words at a place; near an end they run inwards, so that nothing is cut."""
    anchor = anchor or ("start" if x < 8 else "end" if x > 92 else "middle")
    return f'<text class="{kind}" x="{x:g}%" y="{y:g}" text-anchor="{anchor}">{escape(what)}</text>'
