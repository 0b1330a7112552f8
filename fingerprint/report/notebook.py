"""What a result shows of itself in a notebook and at a prompt: a harmless fragment of HTML, or plain lines."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from fingerprint.report import ci, words
from fingerprint.report.html import template

if TYPE_CHECKING:
    from rich.console import RenderableType

    from fingerprint.policy import Decision
    from fingerprint.report.schema import Report

_WIDTH = 80


def report_fragment(report: Report) -> str:
    """Verdict, ratio, evidence and limits for a notebook's cell; it loads nothing and brings no style of its own."""
    return template("notebook.html.j2").render(result=report.result, words=words)


def decision_fragment(decision: Decision) -> str:
    """A decision for a notebook's cell."""
    return template("decision.html.j2").render(headline=ci.headline(decision), findings=decision.findings, pair=ci.pair)


def decision_text(decision: Decision) -> str:
    """A decision in plain lines, the worst known by its word."""
    rows = [f"  {found.rule.id}: {found.outcome}, {ci.pair(found)}: {ci.line(found.reason)}" for found in decision.findings]
    return "\n".join([ci.headline(decision), *rows])


def plain(what: RenderableType) -> str:
    """Anything that rich can show, as plain text of at most 80 columns."""
    from rich.console import Console

    buffer = io.StringIO()
    Console(file=buffer, width=_WIDTH, no_color=True).print(what)
    return buffer.getvalue()
