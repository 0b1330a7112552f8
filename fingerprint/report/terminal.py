"""The report for a terminal of 80 columns. Foreign text is only ever put into ``Text``, never into markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fingerprint.report import words
from fingerprint.report.words import verdict_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import RenderableType

    from fingerprint.report.schema import EvidencePart, Kind, ModelPart, Report, Result

__all__ = ["render", "verdict_line"]

_STYLES: dict[Kind, str] = {
    "same": "bold magenta",
    "derived": "bold blue",
    "distilled": "bold red",
    "related": "bold yellow",
    "unrelated": "bold green",
    "inconclusive": "bold",
}
_SCALE = 61
_LARGE = 1e9


def render(report: Report) -> RenderableType:
    """The full report: what was found first, then why, then how far it can be trusted."""
    result = report.result
    return Group(
        *_verdict(result),
        *_scale(result),
        *_section("Early stopping", [words.prose(result.sequential.sentence)] if result.sequential else []),
        *_evidence(result),
        *_skipped(result),
        *_population(result),
        *_section("Noise floor", [words.floor_sentence(result.noise_floor)]),
        *_guardrails(result),
        *_section("Calibration", [words.calibration_sentence(result), words.prose(result.calibration.note)]),
        *_section("Limits", map(words.prose, result.limits), bullet="• "),
        Text(),
        Text(f"fingerprint {words.name(report.run.tool_version)}", style="dim"),
    )


def _verdict(result: Result) -> Iterator[RenderableType]:
    title = Text()
    title.append(words.headline(result).upper(), style=_STYLES[result.verdict.kind])
    title.append(f"   {words.name(result.suspect.name)} {words.arrow(result)} {words.name(result.reference.name)}")
    yield title
    yield Text(words.prose(result.verdict.sentence))
    yield Text(f"Direction: {words.DIRECTIONS[result.verdict.direction]}.", style="dim")


def _scale(result: Result) -> Iterator[RenderableType]:
    low, high = result.log10_lr_bounds
    yield from _heading("Likelihood ratio")
    yield _indent(
        Text.assemble(
            f"log10 LR {words.signed(result.log10_lr)}",
            f"   95 % {words.between(result.log10_lr_interval, 2)}",
            f"   caps {words.signed(low)} … {words.signed(high)}",
        )
    )
    for line in _drawn(result):
        yield _indent(line)
    yield _indent(Text(words.ratio_sentence(result)))
    yield _indent(Text(f"H1: {words.prose(result.hypotheses.h1)}", style="dim"))
    yield _indent(Text(f"H2: {words.prose(result.hypotheses.h2)}", style="dim"))
    if sentence := words.posterior_sentence(result):
        yield _indent(Text(sentence))


def _drawn(result: Result) -> tuple[Text, Text]:
    """The caps as brackets, zero as a cross, the interval thick, the value as a dot; and labels below."""
    shown = (*result.log10_lr_bounds, *result.log10_lr_interval, result.log10_lr)
    reach = min(_LARGE, max(1.0, *map(abs, shown)))

    def place(value: float) -> int:
        return round((max(-reach, min(reach, value)) / reach + 1) / 2 * (_SCALE - 1))

    low, high = map(place, result.log10_lr_bounds)
    line = ["─" if low < column < high else "·" for column in range(_SCALE)]
    line[place(0)] = "┼"
    line[low], line[high] = "├", "┤"
    start, end = map(place, result.log10_lr_interval)
    line[start : end + 1] = "━" * (end + 1 - start)
    line[place(result.log10_lr)] = "●"
    bar = Text("".join(line))
    bar.stylize(_STYLES[result.verdict.kind], start, end + 1)
    bar.stylize(_STYLES[result.verdict.kind], place(result.log10_lr), place(result.log10_lr) + 1)
    ends = words.signed(-reach), words.signed(reach)
    half = _SCALE // 2
    labels = ends[0].ljust(half) + "0" + ends[1].rjust(half)
    return bar, Text(labels, style="dim")


def _evidence(result: Result) -> Iterator[RenderableType]:
    yield from _heading("Evidence")
    if not result.evidence:
        yield _indent(Text("No method could be applied."))
        return
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim", width=78)
    table.add_column(Text("method"), width=20, overflow="fold")
    table.add_column(Text("access"), width=7, overflow="fold")
    table.add_column(Text("effect, 95 %"), width=21, overflow="fold")
    table.add_column(Text("p"), width=7, overflow="fold", justify="right")
    table.add_column(Text("n"), width=6, overflow="fold", justify="right")
    table.add_column(Text("closest control"), overflow="fold")
    for part in result.evidence:
        table.add_row(*_row(part))
    yield _indent(table)
    notes = [f"{words.name(part.title)}: {words.prose(part.note)}" for part in result.evidence if part.note]
    for note in notes:
        yield _item(note, style="dim")


def _row(part: EvidencePart) -> Iterator[Text]:
    yield Text(words.name(part.title))
    yield Text(words.ACCESS[part.access])
    interval = "" if part.interval is None else f" {words.between(part.interval)}"
    yield Text(f"{words.number(part.effect)}{interval}")
    yield Text(words.pvalue(part.pvalue))
    yield Text(f"{part.n}")
    best = words.best_control(part)
    yield Text("–" if best is None else f"{words.number(best[1])} {words.name(best[0], 40)}")


def _skipped(result: Result) -> Iterator[RenderableType]:
    lines = [f"{words.name(part.method)}: {words.prose(part.reason)}" for part in result.skipped]
    return _section("Methods not applied", lines, bullet="• ")


def _population(result: Result) -> Iterator[RenderableType]:
    yield from _heading("Models")
    yield _item(f"suspect: {_model(result.suspect)}")
    yield _item(f"reference: {_model(result.reference)}")
    for control in result.controls:
        yield _item(f"control: {_model(control)}")
    if not result.controls:
        yield _item("control: none was named")
    if result.base is not None:
        yield _item(f"base of the suspect: {_model(result.base)}")
    if result.panel:
        yield _item("panel: " + ", ".join(words.name(member) for member in result.panel))


def _model(model: ModelPart) -> str:
    size = f", {model.parameters:,} parameters" if model.parameters > 0 else ""
    return (
        f"{words.name(model.name)} ({words.name(model.architecture) or 'unknown architecture'}{size}; "
        f"{model.prompts} prompts, {model.samples} answers, {model.distributions} distributions)"
    )


def _guardrails(result: Result) -> Iterator[RenderableType]:
    rails = result.guardrails
    yield from _heading("Guardrails")
    if not rails.available:
        yield _indent(Text(f"Not compared: {words.prose(rails.reason) or 'no reason given'}."))
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for title in ("refused", "suspect", "reference"):
        table.add_column(Text(title), overflow="fold")
    for row in words.guardrail_rows(result):
        table.add_row(*map(Text, row))
    yield _indent(table)
    if change := words.guardrail_change(result):
        yield _indent(Text(change))
    yield _indent(Text(words.prose(rails.sentence)))


def _section(title: str, lines: Iterable[str], bullet: str = "") -> Iterator[RenderableType]:
    shown = [line for line in lines if line]
    if not shown:
        return
    yield from _heading(title)
    for line in shown:
        yield _item(line, bullet=bullet) if bullet else _indent(Text(line))


def _heading(title: str) -> Iterator[RenderableType]:
    yield Text()
    yield Text(title, style="bold")


def _item(line: str, *, bullet: str = "• ", style: str = "") -> RenderableType:
    """One hanging line: the bullet stands in front of all that wraps."""
    table = Table.grid(padding=0)
    table.add_column(width=len(bullet))
    table.add_column(overflow="fold")
    table.add_row(Text(bullet, style=style), Text(line, style=style))
    return _indent(table)


def _indent(what: RenderableType) -> RenderableType:
    return Padding(what, (0, 0, 0, 2))
