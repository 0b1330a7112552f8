"""A short summary in Markdown for issues and pull requests; names cannot become links, markup or mentions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fingerprint.report import strata, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fingerprint.report.schema import EvidencePart, Report

_SPECIAL = re.compile(r"([\\`*_\[\]{}#|~$!^])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;", ":": "&#58;"}
_ENTITY = re.compile("[&<>@]|:(?=/)")
_BLOCK = re.compile(r"^(\d*)([-+=.)])")


def render_markdown(report: Report) -> str:
    """Verdict, evidence and limits."""
    result = report.result
    low, high = result.log10_lr_bounds
    sides = f"{escape(result.suspect.name)} {words.arrow(result)} {escape(result.reference.name)}"
    lines = [
        f"## {words.headline(result)}: {sides}",
        "",
        escape(result.verdict.sentence),
        "",
        (
            f"- **log10 LR {words.signed(result.log10_lr)}**, 95 % interval "
            f"{words.between(result.log10_lr_interval, 2)}, caps {words.signed(low)} … {words.signed(high)}"
        ),
        f"- {words.ratio_sentence(result)}",
        f"- H1: {escape(result.hypotheses.h1)}",
        f"- H2: {escape(result.hypotheses.h2)}",
        f"- Direction: {words.DIRECTIONS[result.verdict.direction]}",
    ]
    if sentence := words.posterior_sentence(result):
        lines.append(f"- {sentence}")
    if result.sequential:
        lines.append(f"- Early stopping: {escape(result.sequential.sentence)}")
    lines += ["", "### Evidence", "", *_table(result.evidence)]
    if result.skipped:
        lines += ["", "### Methods not applied", ""]
        lines += [f"- {escape(part.method)}: {escape(part.reason)}" for part in result.skipped]
    lines += ["", "### Limits", ""]
    lines += [f"- {escape(limit)}" for limit in result.limits] or ["- None were stated."]
    lines += [
        "",
        f"Calibration {escape(result.calibration.id)}. {escape(words.calibration_sentence(result))}",
    ]
    if strata.worst(result):
        lines[-1] += f" {escape(strata.sentence(result))}"
    return "\n".join(lines) + "\n"


def escape(value: str) -> str:
    """Foreign text as Markdown that shows exactly that text, in HTML renderers also."""
    shown = _SPECIAL.sub(r"\\\1", words.prose(value).strip())
    shown = _ENTITY.sub(lambda found: _ENTITIES[found.group()], shown)
    # Bare web addresses become links by themselves in some dialects, and a line may start a list.
    shown = re.sub(r"(?i)\b(www)\.", r"\1&#46;", shown)
    return _BLOCK.sub(r"\1\\\2", shown)


def _table(evidence: tuple[EvidencePart, ...]) -> Iterator[str]:
    if not evidence:
        yield "No method could be applied."
        return
    yield "| Method | Access | Effect | 95 % interval | p | n | Closest control |"
    yield "|---|---|---:|---|---:|---:|---|"
    for part in evidence:
        best = words.best_control(part)
        cells = (
            escape(part.title),
            words.ACCESS[part.access],
            words.number(part.effect),
            words.between(part.interval),
            words.pvalue(part.pvalue),
            str(part.n),
            "–" if best is None else f"{words.number(best[1])} ({escape(best[0])})",
        )
        yield "| " + " | ".join(cells) + " |"
