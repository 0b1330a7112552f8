"""A block for a model card: front matter where the verdict names a parent, and a section of text in any case.

``base_model`` is what hubs draw family trees from. It is written only where the verdict says that the suspect's weights
come from the reference, and the reference has a hub's name: learned behaviour is no base model, nor is a common origin.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fingerprint.report import words
from fingerprint.report.markdown import escape
from fingerprint.report.sides import both

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fingerprint.report.schema import Report, Result

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


def to_card(report: Report) -> str:
    """The block, in Markdown."""
    return "".join((_front(report.result), *(line + "\n" for line in _section(report))))


def parent(result: Result) -> str:
    """The hub's name of the parent that the verdict shows; empty where it shows none."""
    shown = result.verdict.kind in {"same", "derived"} and result.verdict.direction == "suspect_from_reference"
    name = result.reference.name.removeprefix("hf:")
    return name if shown and _REPOSITORY.fullmatch(name) else ""


def _front(result: Result) -> str:
    name = parent(result)
    # The name has a repository's characters only; in quotes it is a string whatever it spells.
    return f'---\nbase_model: "{name}"\n---\n\n' if name else ""


def _section(report: Report) -> Iterator[str]:
    result = report.result
    low, high = result.log10_lr_bounds
    yield "## Lineage"
    yield ""
    yield f"**{words.headline(result)}** (compared with {escape(result.reference.name)}). {escape(result.verdict.sentence)}"
    yield ""
    if not parent(result):
        yield "No `base_model` is declared here: this comparison does not show which model was made from which."
        yield ""
    yield (
        f"- log10 LR {words.signed(result.log10_lr)}, 95 % interval {words.between(result.log10_lr_interval, 2)}, "
        f"caps {words.signed(low)} … {words.signed(high)}. {words.ratio_sentence(result)}"
    )
    yield f"- H1: {escape(result.hypotheses.h1)}. H2: {escape(result.hypotheses.h2)}."
    found = both(result)
    for name, items in (("For H1", found.for_h1), ("For H2", found.for_h2)):
        told = "; ".join(f"{escape(item.part.title)} ({escape(item.sentence)})" for item in items)
        yield f"- {name}: {told or 'no method'}."
    if change := words.guardrail_change(result):
        yield f"- Guardrails. {escape(change)}"
    for limit in result.limits:
        yield f"- Limit: {escape(limit)}"
    yield ""
    yield (
        f"fingerprint {escape(report.run.tool_version)}, report `{words.name(report.content_digest(), 80)}`; "
        "`fingerprint verify` recomputes it."
    )
