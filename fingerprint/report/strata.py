"""Where a case falls among the strata of the calibration: kinds of pairs without descent, and what of each it shares.

Which stratum a real case belongs to cannot be known: what two models read or learned from does not show. So its ratio is
held against every stratum, and the worst one that nothing visible excludes is named.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log10
from typing import TYPE_CHECKING

from fingerprint.calibration.model import STEPS
from fingerprint.report import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fingerprint.report.schema import Result, StratumPart


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """What a stratum is, and what the two sides must have in common (True), must not (False), or need not (None).

    ``weights``: both sides' weights go back to one start, which independent weights exclude.
    """

    meaning: str
    tokenizer: bool | None = None
    architecture: bool | None = None
    weights: bool = False


_KINDS = {
    "other data": _Kind(meaning="Strangers: other texts, another tokenizer.", tokenizer=False),
    "same tokenizer": _Kind(meaning="Other texts, the same tokenizer.", tokenizer=True),
    "same fine-tuning set": _Kind(meaning="Other texts at first, then tuned on the same ones."),
    "same data": _Kind(meaning="The same texts and architecture, another random start.", architecture=True),
    "same data, other architecture": _Kind(meaning="The same texts, another architecture.", architecture=False),
    "half the data": _Kind(meaning="One read half of what the other read."),
    "same data and same fine-tuning set": _Kind(meaning="The same texts, then tuned on the same ones."),
    "student of a same-data twin": _Kind(meaning="One learned from a model that read what the other read."),
    "common teacher": _Kind(meaning="Fellow students: both learned from a third model."),
    "kin of the teacher": _Kind(meaning="One learned from a model that the other’s weights come from, or went into."),
    "siblings of one base": _Kind(meaning="Both were made from the weights of a third model.", weights=True),
}
_UNKNOWN = _Kind(meaning="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One stratum beside this case. ``reached`` is None where the calibration does not say."""

    part: StratumPart
    meaning: str
    against: str
    reached: int | None

    @property
    def order(self) -> tuple[bool, bool, float, float, float]:
        """Unrelated pairs first, then those akin; what is excluded last; the most misleading first."""
        counts = (self.reached or 0, self.part.lr_above_10, self.part.lr_above_1)
        least = [-_rate(count, self.part.pairs) for count in counts]
        return self.part.kin, bool(self.against), least[0], least[1], least[2]


def _rate(count: int, pairs: int) -> float:
    """A share from 0 to 1, whatever a report says."""
    return max(0, min(count, pairs)) / max(pairs, 1)


def rows(result: Result) -> tuple[Row, ...]:
    """The strata of a report's calibration: of unrelated pairs, then of those akin without descent; the worst first."""
    return tuple(sorted((_row(result, part) for part in result.calibration.strata), key=lambda row: row.order))


def _row(result: Result, part: StratumPart) -> Row:
    kind = _KINDS.get(part.name, _UNKNOWN)
    wanted = {"tokenizer": kind.tokenizer, "architecture": kind.architecture}
    against = [_against(what, wish, found=_alike(result, what)) for what, wish in wanted.items()]
    # Where one learned from the other, the verdict says so only after the weights were found to be independent.
    if kind.weights and result.verdict.kind == "distilled":
        against.append("their weights are independent")
    return Row(
        part=part,
        meaning=kind.meaning,
        against="; ".join(filter(None, against)),
        reached=_reaching(result, part),
    )


def _against(what: str, wanted: bool | None, *, found: bool | None) -> str:
    """Why the case is not like the pairs of a stratum, as far as this goes; empty where it may be."""
    if wanted is None or found is None or wanted == found:
        return ""
    return f"their {what}s differ" if wanted else f"they share one {what}"


def _reaching(result: Result, part: StratumPart) -> int | None:
    data, case = result.calibration.tippett, result.log10_lr_uncapped
    if part.reached and not part.kin and data is not None and data.unrelated and case > data.unrelated[-1]:
        return 0  # the greatest of all unrelated pairs is known exactly, also beyond the last step
    return reaching(part, case)


def reaching(part: StratumPart, log10_lr: float) -> int | None:
    """How many pairs of a stratum reach a ratio, never too few: counted at the step of 0.05 below it."""
    if not part.reached:
        return None
    place = sum(step <= log10_lr + 1e-9 for step in STEPS) - 1
    if place < 0:
        return part.pairs
    return part.reached[place] if place < len(part.reached) else 0


def _alike(result: Result, what: str) -> bool | None:
    """Whether both sides say the same of their tokenizer or architecture; None where one says nothing."""
    first, second = (str(getattr(side, what)) for side in (result.suspect, result.reference))
    return first == second if first and second else None


def columns(result: Result, row: Row) -> tuple[tuple[str, int | None], ...]:
    """What is counted of a stratum, each with its title."""
    reached = ("Reach this ratio", row.reached)
    if on_weights(result):
        return (reached,)
    return reached, ("LR above 1", row.part.lr_above_1), ("LR above 10", row.part.lr_above_10)


def on_weights(result: Result) -> bool:
    """Whether the ratio before the caps is one over a p-value, of which a tenth of all unrelated pairs reach ten."""
    return result.calibration.tier == "weights"


def curve(part: StratumPart) -> tuple[tuple[float, float], ...]:
    """Share of a stratum's pairs that reach each ratio."""
    return tuple((step, _rate(count, part.pairs)) for step, count in zip(STEPS, (*part.reached, 0), strict=False))


def worst(result: Result) -> tuple[Row, ...]:
    """Of the strata that nothing visible excludes the most misleading one of unrelated pairs, and that of kin."""
    opened = [row for row in rows(result) if not row.against and row.reached is not None]
    first = [next((row for row in opened if row.part.kin == kin), None) for kin in (False, True)]
    return tuple(row for row in first if row is not None)


def sentence(result: Result) -> str:
    """What the least favourable strata say of this case's ratio, in words."""
    found = worst(result)
    if not result.calibration.strata:
        return f"Strata are not published with this calibration for the tier {words.name(result.calibration.tier)}."
    if not found:
        return "How often each stratum reaches this case’s ratio is not published with this calibration."
    if result.log10_lr_uncapped <= 0:
        return "This case’s ratio is not above 1: it speaks for no descent, whichever stratum the case belongs to."
    if not any(row.reached for row in found):
        row = found[0]
        if on_weights(result):
            return "No pair of the strata that nothing visible excludes reaches this case’s ratio."
        return (
            "No pair of the strata that nothing visible excludes reaches this case’s ratio. Where ratios mislead most "
            f"often, “{words.name(row.part.name)}”, {_count(row, row.part.lr_above_10)} are above 10."
        )
    said = [
        f"{'of those akin without descent' if row.part.kin else 'of unrelated pairs'} {_count(row, row.reached or 0)} "
        f"in “{words.name(row.part.name)}”"
        for row in found
    ]
    return f"Of the strata that nothing visible excludes, the worst reach this case’s ratio so often: {'; '.join(said)}."


def _count(row: Row, count: int) -> str:
    return f"{count:,} of {row.part.pairs:,} ({words.share(count, row.part.pairs)})"


def circumstances(result: Result) -> Iterator[tuple[str, str]]:
    """What of the case's circumstances is visible, each beside what the calibration's pairs had."""
    names = ", ".join(words.name(control.name, 30) for control in result.controls)
    if names:
        said = f"{names}. Every pair of the population had models beside it that read the same texts; whether yours did, "
        said += "you know and the program does not."
    elif on_weights(result):
        said = "None. Common texts leave no likeness in weights, but a common parent is found only if it is named."
    else:
        said = "None. Every pair of the population had models beside it that read the same texts; without them likeness "
        said += "by common texts is not told from descent."
    yield "Named controls", said
    tier = f"Compared on the tier {words.name(result.calibration.tier)}"
    yield "Access", f"{tier}, as the pairs of these strata were." if result.calibration.strata else f"{tier}."
    for what in ("tokenizer", "architecture"):
        alike = _alike(result, what)
        shown = f"Both sides have the same {what}." if alike else f"The sides have different {what}s."
        yield what.capitalize(), "Unknown on at least one side, so it excludes no row." if alike is None else shown
    if result.protocol_differences:
        differing = ", ".join(words.name(each) for each in result.protocol_differences)
        yield "Asked alike", f"No: they differ in {differing}. All pairs of the population were asked alike."
    yield "What they read", "Not visible: any row on the same texts may be the one."
    yield "Size", size_sentence(result)


def size_sentence(result: Result) -> str:
    """Which side is of a size that the population has."""
    low, high = result.calibration.parameters or (0, 0)
    if min(low, high) <= 0:
        return "The sizes of the population are not published with this calibration."
    said = []
    for who, side in (("suspect", result.suspect), ("reference", result.reference)):
        size = side.parameters
        if size <= 0:
            said.append(f"{who} of unknown size")
        elif low <= size <= high:
            said.append(f"{who} within the population’s sizes")
        elif size > high:
            said.append(f"{who} {words.factor(log10(size) - log10(high))} times the population’s largest model")
        else:
            times = words.factor(log10(low) - log10(size))
            said.append(f"{who} {times} times smaller than the population’s smallest model")
    shown = "; ".join(said)
    return f"{shown[0].upper()}{shown[1:]}."
