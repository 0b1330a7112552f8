"""The report as one page that loads nothing and runs nothing: it can be mailed, archived and printed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from fingerprint.report import pictures, sides, strata, tippett, words
from fingerprint.report.terms import entries, glossary

if TYPE_CHECKING:
    from fingerprint.report.schema import ModelPart, Report, Result


def render_html(report: Report) -> str:
    """The whole page; the same report gives the same bytes."""
    result = report.result
    strips = [(part, pictures.strip(part, result.reference.name)) for part in pictures.main_methods(result.evidence)]
    models: list[tuple[str, ModelPart]] = [("Suspect", result.suspect), ("Reference", result.reference)]
    models += [("Control", control) for control in result.controls]
    return template("report.html.j2").render(
        report=report,
        result=result,
        words=words,
        scale=pictures.scale(result),
        forest=pictures.forest(result.evidence),
        strips=strips,
        models=models,
        sides=sides.both(result),
        tippett=tippett,
        curves=tippett.draw(result),
        strata=strata,
        sizes=pictures.sizes(result),
        glossary=(entries()[result.verdict.kind], *glossary()),
        rails=_rails(result),
        explained=_explained,
        methods=[entries()[part.method] for part in result.evidence if part.method in entries()],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rail:
    """One kind of request: what each side refuses, drawn and in words."""

    title: str
    suspect: Markup
    suspect_shown: str
    reference: Markup
    reference_shown: str


def _rails(result: Result) -> list[_Rail]:
    rails = result.guardrails
    drawn = (
        (rails.suspect_harmful, rails.reference_harmful),
        (rails.suspect_harmless, rails.reference_harmless),
        (rails.suspect_safe, rails.reference_safe),
    )
    return [
        _Rail(
            title=title,
            suspect=pictures.share(mine, "suspect"),
            suspect_shown=said,
            reference=pictures.share(theirs, "other"),
            reference_shown=other,
        )
        for (title, said, other), (mine, theirs) in zip(words.guardrail_rows(result), drawn, strict=True)
    ]


def _explained(method: str) -> str:
    """The title of a method, empty where nothing explains it."""
    return entries()[method].title if method in entries() else ""


@cache
def template(name: str) -> Template:
    """A template of this package, with every string made harmless."""
    environment = Environment(
        loader=PackageLoader("fingerprint.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)


def _harmless(value: Any) -> Any:
    """Every string that the template prints passes here before autoescape: no field can be forgotten."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return words.prose(value)
