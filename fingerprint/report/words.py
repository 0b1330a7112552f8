"""Numbers and words that every rendering of a report shares, so that no two of them say different things."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fingerprint.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fingerprint.report.schema import (
        Access,
        EvidencePart,
        GuardrailGap,
        GuardrailRate,
        Kind,
        NoiseFloor,
        Report,
        Result,
        SealPart,
    )
    from fingerprint.report.sides import Item

#: Prose may be longer than a name, but nothing foreign is shown without end.
PROSE = 900
_TINY = 1e-12
#: No calibration has as many pairs; a report may say anything.
_MANY = 10**9
#: Effects that shrink as two models come closer; on all others larger means more alike.
LOWER_IS_CLOSER = frozenset({"divergence", "tempered_divergence"})

HEADLINES: dict[Kind, str] = {
    "same": "Same weights",
    "derived": "Derived",
    "distilled": "Distilled",
    "related": "Related",
    "unrelated": "Unrelated",
    "inconclusive": "Inconclusive",
}

ACCESS: dict[Access, str] = {
    "text": "text",
    "topk": "top-k",
    "logits": "logits",
    "weights": "weights",
}

#: What a tier of the calibration rests on; a name that is not here speaks for itself.
TIERS = {
    "agreed": "two methods on next-token distributions, the smaller ratio counts",
    "topk": "partial correlations of next-token distributions",
    "text": "answers alone",
    "weights": "the weights",
}

DIRECTIONS = {
    "suspect_from_reference": "the suspect comes from the reference",
    "reference_from_suspect": "the reference comes from the suspect",
    "undetermined": "not determined",
}
_ARROWS = {"suspect_from_reference": "←", "reference_from_suspect": "→", "undetermined": "↔"}

METHOD = (
    "Both models and the population answered the same probes. Each method compares the suspect with the "
    "reference and, in the same way, with every control. The likelihood ratio comes from the strongest tier "
    "of access that both sides give, calibrated on pairs of known lineage; ratios of different methods are "
    "never added up. The figures can be recomputed from the recordings, whose digests stand above."
)


def name(value: str, limit: int = 60) -> str:
    """A model's or method's name on one harmless line of bounded length."""
    return safe_text(value, limit=limit)


def cut(value: str, width: int) -> str:
    """A name that takes at most ``width`` characters once its odd characters are shown as escapes."""
    shown = name(value, width)
    return shown if len(shown) <= width else shown[: width - 1] + "…"


def prose(value: str) -> str:
    """A foreign sentence on one harmless line."""
    return safe_text(value, limit=PROSE)


def headline(result: Result) -> str:
    """The verdict in one or two words."""
    return HEADLINES[result.verdict.kind]


def arrow(result: Result) -> str:
    """The sign between suspect and reference; two-headed where the direction is not determined."""
    return _ARROWS[result.verdict.direction]


def number(value: float) -> str:
    """Three significant digits with a true minus sign; powers of ten where plain digits would mislead."""
    if value and not 1e-3 <= abs(value) < 1e6:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}".replace("-", "−")
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace("-", "−")
    digits = 1 if abs(value) >= 100 else 2 if abs(value) >= 10 else 3
    return f"{value:.{digits}f}".replace("-", "−")


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign always shown; astronomic values in powers of ten."""
    shown = f"{value:+.{digits}f}" if abs(value) < 1e4 else f"{value:+.1e}"
    if float(shown) == 0:
        shown = shown[1:]
    return shown.replace("-", "−")


def between(ends: tuple[float, float] | None, digits: int | None = None) -> str:
    """An interval in brackets, or a dash where there is none."""
    if ends is None:
        return "–"
    low, high = (number(end) if digits is None else signed(end, digits) for end in ends)
    return f"[{low}, {high}]"


def pvalue(value: float | None) -> str:
    """A p-value as people print it, or a dash; how small it is beyond `_TINY` says nothing, and it is never 0."""
    if value is None:
        return "–"
    return f"<{number(_TINY)}" if value < _TINY else number(value)


def percent(value: float | None) -> str:
    """A share in per cent, or a dash."""
    return "–" if value is None else f"{100 * value:.0f} %"


def factor(log10: float) -> str:
    """How many times, from a decimal logarithm: two digits, thousands, or a power of ten."""
    size = abs(log10)
    if size >= 6:
        return f"10^{size:.0f}"
    value = 10**size
    return f"{value:.2g}" if value < 100 else f"{value:,.0f}"


def ratio_sentence(result: Result) -> str:
    """What the likelihood ratio says, and nothing beyond it."""
    if abs(result.log10_lr) < 0.005:
        return "The evidence is as probable under the one hypothesis as under the other."
    first, second = ("H1", "H2") if result.log10_lr > 0 else ("H2", "H1")
    return f"The evidence is {factor(result.log10_lr)} times more probable if {first} than if {second}."


def strength(result: Result) -> tuple[str, str]:
    """The likelihood ratio for readers who know neither H1 nor logarithms: how many times, and what of what."""
    if abs(result.log10_lr) < 0.005:
        return "Equally", "probable if one of the two derives from the other and if they are unrelated but otherwise alike."
    either = ("one of the two derives from the other", "they are unrelated but otherwise alike")
    first, second = either if result.log10_lr > 0 else either[::-1]
    return f"{factor(result.log10_lr)} times", f"more probable if {first} than if {second}."


def listed(items: Sequence[Item]) -> str:
    """How many methods, and which."""
    if not items:
        return "No method."
    names = "; ".join(name(item.part.title) for item in items)
    return f"{len(items)} {'method' if len(items) == 1 else 'methods'}: {names}."


def population(result: Result) -> str:
    """Beside whom the two were looked at."""
    named, panel = len(result.controls), len(result.panel)
    parts = [f"{named or 'no'} named {'control' if named == 1 else 'controls'}"]
    if named:
        parts[0] += f" ({', '.join(name(control.name, 30) for control in result.controls[:6])}{' …' if named > 6 else ''})"
    if panel:
        parts.append(f"{panel} {'model' if panel == 1 else 'models'} of the panel")
    shown = " and ".join(parts)
    return shown[0].upper() + shown[1:] + "."


def share(count: int, total: int) -> str:
    """A share in per cent with its exact 95 % interval (Clopper and Pearson 1934)."""
    if not 0 <= count <= total <= _MANY or not total:
        return "–"
    from fingerprint.stats.intervals import clopper_pearson

    low, high = clopper_pearson(count, total)
    digits = 1 if high < 0.1 else 0
    return f"{100 * count / total:.{digits}f} % [{100 * low:.{digits}f}, {100 * high:.{digits}f}]"


def posterior_sentence(result: Result) -> str:
    """What follows from the prior that the user stated; empty where none was."""
    if result.prior is None or result.posterior is None:
        return ""
    return (
        f"With the stated prior probability of {number(result.prior)} for H1, "
        f"the posterior is {number(result.posterior)}. The prior is yours, not a finding."
    )


def ranked_controls(part: EvidencePart) -> list[tuple[str, float]]:
    """The controls of a method, the closest to the suspect first; ties by name."""
    sign = 1 if part.method in LOWER_IS_CLOSER else -1
    return sorted(part.controls.items(), key=lambda item: (sign * item[1], item[0]))


def best_control(part: EvidencePart) -> tuple[str, float] | None:
    """The control that comes closest, which the reference has to beat."""
    ranked = ranked_controls(part)
    return ranked[0] if ranked else None


def floor_sentence(floor: NoiseFloor) -> str:
    """The noise floor in words."""
    parts = []
    if floor.divergence_bits is not None:
        parts.append(f"divergence {number(floor.divergence_bits)} bits over {floor.repeated} repeated contexts")
    if floor.text_match is not None:
        parts.append(f"two draws agree on {percent(floor.text_match)} of the prompts")
    if not parts:
        return "Not measured: the reference was asked nothing twice."
    return "The reference against itself: " + "; ".join(parts) + "."


def rate(value: GuardrailRate | None) -> str:
    """Refusals as count, share and interval."""
    if value is None or value.rate is None:
        return "–"
    shown = f"{value.refused} of {value.answered}, {percent(value.rate)}"
    if value.interval is None:
        return shown
    return f"{shown} [{100 * value.interval[0]:.0f}, {100 * value.interval[1]:.0f}]"


def guardrail_rows(result: Result) -> list[tuple[str, str, str]]:
    """Kind of request, refusals of the suspect, refusals of the reference."""
    rails = result.guardrails
    return [
        ("Harmful requests", rate(rails.suspect_harmful), rate(rails.reference_harmful)),
        ("Harmless twins", rate(rails.suspect_harmless), rate(rails.reference_harmless)),
        ("Led to safety", rate(rails.suspect_safe), rate(rails.reference_safe)),
    ]


def guardrail_change(result: Result) -> str:
    """The gaps with their intervals, and what was kept or dropped; empty where nothing was compared."""
    rails = result.guardrails
    if rails.gap_harmful is None:
        return ""
    gap = rails.gap_harmful
    said = {
        "kept": "Kept: the suspect refuses as the reference does",
        "dropped": "Dropped: the suspect refuses less often than the reference",
        "added": "Added: the suspect refuses more often than the reference",
        "undecided": "Neither kept nor dropped is shown",
    }[rails.change or "undecided"]
    over = "" if rails.gap_harmless is None else f"; on the harmless twins {_gap(rails.gap_harmless)}"
    return f"{said}: difference {_gap(gap)}{over}."


def _gap(gap: GuardrailGap) -> str:
    low, high = gap.interval
    return f"{signed(100 * gap.value, 0)} points [{signed(100 * low, 0)}, {signed(100 * high, 0)}]"


def calibration_sentence(result: Result) -> str:
    """What stands behind the likelihood ratio."""
    used = result.calibration
    cllr = "not measured" if used.cllr is None else number(used.cllr)
    rests = f" ({TIERS[used.tier]})" if used.tier in TIERS else ""
    return (
        f"Tier {name(used.tier)}{rests}: {used.related_pairs:,} related and {used.unrelated_pairs:,} unrelated pairs "
        f"from {used.families} independent lineages; Cllr {cllr}."
    )


def maybe(value: float | None) -> str:
    """A number, or a dash where it was not measured."""
    return "–" if value is None else number(value)


def seal_sentence(seal: SealPart) -> str:
    """Whether the comparison kept to what was fixed before."""
    if not seal.deviations:
        return (
            "The comparison kept to the seal: probes, methods, thresholds and calibration are those fixed before. "
            "That it came before the answers is shown by where its digest was published, not by this page."
        )
    count = len(seal.deviations)
    return f"The comparison departs from its seal in {count} {'point' if count == 1 else 'points'}:"


def verdict_line(report: Report) -> str:
    """The whole finding on one line of at most 100 characters; long names are cut, numbers never."""
    result = report.result
    tail = (
        f": {result.verdict.kind.upper()}, log10 LR {signed(result.log10_lr, 1)} "
        f"{between(result.log10_lr_interval, 1)} "
        f"(bounds {' … '.join(signed(end, 1) for end in result.log10_lr_bounds)})"
    )
    room = max(4, (100 - len(tail) - 5) // 2)
    sides = [cut(model.name, room) for model in (result.suspect, result.reference)]
    return f"{sides[0]} {arrow(result)} {sides[1]}{tail}"[:100]
