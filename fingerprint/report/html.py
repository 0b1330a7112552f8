"""The report as one page: self-contained, without script, readable on screen and on paper."""

from __future__ import annotations

from functools import cache
from importlib import resources

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from fingerprint.report import pictures
from fingerprint.report.schema import Report
from fingerprint.text import safe_text

_STRIPS = ("partial_correlation", "divergence", "rare_ngrams")


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["safe_text"] = lambda value: safe_text(value, limit=2000)
    path = resources.files("fingerprint.report") / "templates" / "report.html.j2"
    return environment.from_string(path.read_text("utf-8"))


def render_html(report: Report) -> str:
    """The whole page as text. The pictures are made here and escape what they show themselves."""
    result = report.result
    strips = [item for item in result.evidence if item.method in _STRIPS and item.controls]
    return _template().render(
        report=report,
        result=result,
        scale=Markup(pictures.scale(result)),  # noqa: S704  # escaped by pictures
        forest=Markup(pictures.forest(result.evidence)),  # noqa: S704
        strips=[(item, Markup(pictures.strip(item, result.reference.name))) for item in strips],  # noqa: S704
    )
