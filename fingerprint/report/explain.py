"""A report in one sentence, in one paragraph and on one page, in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import fill
from typing import TYPE_CHECKING, Literal

from fingerprint.report import sides, strata, tippett, words
from fingerprint.report.terms import Entry, find

if TYPE_CHECKING:
    from fingerprint.report.schema import Report

Length = Literal["sentence", "paragraph", "page"]
_WIDTH = 96
_TERMS = ("log-lr", "caps", "cllr", "control")


def sentence(report: Report) -> str:
    """The finding."""
    return words.prose(report.result.verdict.sentence)


def paragraph(report: Report) -> str:
    """The finding, how strong it is, and the first thing that limits it."""
    result = report.result
    caps = " … ".join(map(words.signed, result.log10_lr_bounds))
    parts = [
        sentence(report),
        words.ratio_sentence(result),
        f"The log10 likelihood ratio is {words.signed(result.log10_lr)}; the calibration supports nothing outside {caps}.",
        "This is not the probability that a model was copied.",
    ]
    found = sides.both(result)
    parts.append(
        f"Of {len(result.evidence)} methods {len(found.for_h1)} find the suspect closer to the reference than to every "
        f"other model, {len(found.for_h2)} find another model closer, and {len(found.open)} do not tell."
    )
    if result.limits:
        parts.append(words.prose(result.limits[0]))
    return " ".join(parts)


def page(report: Report) -> str:
    """All that a reader without the field's words needs, in plain text."""
    return "\n".join(_page(report)) + "\n"


def _page(report: Report) -> Iterator[str]:
    result = report.result
    yield f"{words.headline(result).upper()}: {words.name(result.suspect.name)} and {words.name(result.reference.name)}"
    yield ""
    yield _wrapped(paragraph(report))
    found = sides.both(result)
    for title, items in (
        ("Speaks for derivation", found.for_h1),
        ("Speaks against it", found.for_h2),
        ("Decides nothing", found.open),
    ):
        yield from _block(title, [f"{words.name(item.part.title)}: {words.prose(item.sentence)}" for item in items])
    yield from _block("Not looked at", [f"{words.name(p.method)}: {words.prose(p.reason)}" for p in result.skipped])
    yield from _block("Pairs whose truth is known", [tippett.sentence(result), strata.sentence(result)])
    yield from _block("Limits", [words.prose(limit) for limit in result.limits])
    yield from _block("Words", [f"{entry.title}: {entry.text}" for entry in map(find, _TERMS)])


def _block(title: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield ""
        yield title
        yield from (_wrapped(line, "- ", "  ") for line in lines)


def entry_text(entry: Entry) -> str:
    """An explained word as plain text."""
    lines = [f"{entry.title}  ({entry.key})", "", _wrapped(entry.text)]
    if entry.do:
        lines += ["", _wrapped(f"What to do: {entry.do}")]
    if entry.source:
        lines += ["", _wrapped(f"Source: {entry.source}")]
    if entry.see:
        lines += ["", f"See also: {', '.join(entry.see)}"]
    return "\n".join(lines) + "\n"


def _wrapped(text: str, first: str = "", rest: str = "") -> str:
    return fill(text, _WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
