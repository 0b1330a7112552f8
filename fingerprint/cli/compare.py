"""``fingerprint compare``: describes; exit 0 whatever it finds."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fingerprint.cli import common

if TYPE_CHECKING:
    from fingerprint.report.schema import Report

#: Modules and functions, so that only the format in use is imported.
_RENDERERS = {
    ".json": ("schema", "to_json"),
    ".html": ("html", "render_html"),
    ".md": ("markdown", "render_markdown"),
    ".csv": ("csv_table", "render_csv"),
    ".cdx.json": ("cyclonedx", "to_bom"),
    ".intoto.json": ("intoto", "to_statement"),
    ".card.md": ("model_card", "to_card"),
}
FORMATS = (*_RENDERERS, ".txt")


def compare(
    suspect: Annotated[str, typer.Argument(help="The model in question: ./folder, hf:org/name, gguf:…, rec:…, zoo:…")],
    reference: Annotated[str, typer.Argument(help="The model that it may derive from.")],
    control: Annotated[
        list[str] | None,
        typer.Option("--control", help="A model of the same kind, known not to derive from the reference."),
    ] = None,
    panel: Annotated[
        Path | None, typer.Option("--panel", help="Folder of recordings that stand for the population.")
    ] = None,
    base: Annotated[
        str | None, typer.Option("--base", help="What the suspect was before it learned, if known; never a control.")
    ] = None,
    probes: common.ProbesOption = "all",
    json_out: Annotated[bool, typer.Option("--json", help="JSON to stdout instead of the report for people.")] = False,
    output: common.OutputOption = None,
    recordings: Annotated[
        Path | None, typer.Option("--recordings", help="Keep the recordings in this folder, to compare again later.")
    ] = None,
    prior: Annotated[
        float | None, typer.Option("--prior", min=0.0, max=1.0, help="Prior probability of H1; adds a posterior.")
    ] = None,
    sequential: Annotated[
        bool, typer.Option("--sequential", help="Ask the most telling probes first, and stop once it is decided.")
    ] = False,
    alpha: Annotated[float, typer.Option("--alpha", help="Level at which --sequential stops.")] = 0.01,
    seal: Annotated[
        Path | None, typer.Option("--seal", help="A seal written before; the report shows whether it was kept.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be asked, and stop.")] = False,
    price_in: common.PriceInOption = None,
    price_out: common.PriceOutOption = None,
    seed: common.SeedOption = 0,
    temperature: common.TemperatureOption = 1.0,
    system: common.SystemOption = "",
    store: common.StoreOption = None,
    max_requests: common.MaxRequestsOption = None,
    max_tokens: common.MaxTokensOption = None,
    max_minutes: common.MaxMinutesOption = None,
    quiet: common.QuietOption = False,
) -> None:
    """Compare two models: how much more probable is the evidence if SUSPECT derives from REFERENCE?"""
    from dataclasses import replace

    from fingerprint import api
    from fingerprint.errors import UsageError
    from fingerprint.report.seal import read_seal

    options = common.make_options(
        probes=probes,
        seed=seed,
        temperature=temperature,
        system=system,
        store=store,
        max_requests=max_requests,
        max_tokens=max_tokens,
        max_minutes=max_minutes,
        quiet=quiet,
    )
    if prior is not None and not 0 < prior < 1:
        raise UsageError("A prior of 0 or 1 leaves nothing to learn.", hint="Give a probability between them.")
    if not 0 < alpha < 1:
        raise UsageError("The level --alpha must lie between 0 and 1.", hint="0.01 is usual.")
    specs = [suspect, reference, *(control or [])]
    for path in output or []:
        check_format(path)
    if dry_run:
        from fingerprint.cli.plan import print_plan

        print_plan([*specs, base] if base else specs, options, price_in=price_in, price_out=price_out, json_out=json_out)
        return
    sealed = read_seal(seal) if seal else None
    found = api.compare(
        suspect,
        reference,
        controls=control or [],
        panel=panel,
        options=replace(options, prior=prior, sequential=alpha if sequential else None, seal=sealed, base=base),
        save_to=recordings,
    )
    deliver(found, json_out=json_out, output=output or [])


def check_format(path: Path) -> None:
    """Refuse an ending without a format before any work is done."""
    from fingerprint.errors import OutputError

    if not common.ending(path, FORMATS):
        raise OutputError(f"{path} has no known ending.", hint=f"Use one of {', '.join(FORMATS)}.")
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: there is no folder {path.parent}.", hint="Create it first.")


def deliver(report: Report, *, json_out: bool, output: list[Path]) -> None:
    """Files first, so that a closed pipe loses nothing; then stdout."""
    from fingerprint.report.schema import to_json

    for path in output:
        common.write_text(rendered(report, common.ending(path, FORMATS)), path)
    if json_out:
        sys.stdout.write(to_json(report))
        return
    from rich.console import Console

    from fingerprint.report.terminal import render

    console = Console()
    console.print(render(report), width=min(console.width, 100))
    for path in output:
        common.say(f"written: {path}")


def rendered(report: Report, suffix: str) -> str:
    """The report in the format of a file ending."""
    if suffix in _RENDERERS:
        module, function = _RENDERERS[suffix]
        found: str = getattr(import_module(f"fingerprint.report.{module}"), function)(report)
        return found
    return str(report)
