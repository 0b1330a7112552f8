"""``fingerprint identify``: one suspect against many references."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fingerprint.cli import common

if TYPE_CHECKING:
    from fingerprint.identify import Identification


def identify(
    suspect: Annotated[str, typer.Argument(help="The model in question, or a recording of it.")],
    panel: Annotated[Path, typer.Option("--panel", help="Folder of recordings of the possible origins.")],
    json_out: Annotated[bool, typer.Option("--json", help="JSON to stdout.")] = False,
    output: Annotated[list[Path] | None, typer.Option("-o", "--output", help="Write the JSON to a file too.")] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="How many candidates to print.")] = 10,
    probes: common.ProbesOption = "all",
    seed: common.SeedOption = 0,
    temperature: common.TemperatureOption = 1.0,
    system: common.SystemOption = "",
    store: common.StoreOption = None,
    max_requests: common.MaxRequestsOption = None,
    engine: common.EngineOption = "here",
    workers: common.WorkersOption = 2,
    ray_address: common.RayAddressOption = "",
    quiet: common.QuietOption = False,
) -> None:
    """Who of a panel may be behind SUSPECT? Ranks by the answers; "none of these" is an answer too."""
    from fingerprint import lookup
    from fingerprint.collection.execution import engine as named
    from fingerprint.errors import OutputError
    from fingerprint.identify import as_json
    from fingerprint.text import json_text

    for path in output or []:
        if path.suffix != ".json":
            raise OutputError(f"{path} has no known ending.", hint="Use .json.")
    options = common.make_options(
        probes=probes,
        seed=seed,
        temperature=temperature,
        system=system,
        store=store,
        max_requests=max_requests,
        quiet=quiet,
    )
    found = lookup.identify(suspect, panel, options, named(engine, workers=workers, address=ray_address))
    text = json_text(as_json(found))
    for path in output or []:
        common.write_text(text, path)
    if json_out:
        sys.stdout.write(text)
        return
    _show(found, top)


def _show(found: Identification, top: int) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from fingerprint.text import safe_text

    console = Console()
    console.print(Text(safe_text(found.sentence, limit=1000), style="bold"))
    table = Table(box=None, pad_edge=False)
    for name in ("", "candidate", "kind", "log10 LR", "uncapped", "Holm p", "prompts"):
        table.add_column(name, overflow="fold")
    for row in found.candidates[:top]:
        cells = (
            str(row.rank),
            row.name,
            row.kind + (" ← accused" if row.accused else ""),
            f"{row.log10_lr:+.2f}",
            f"{row.log10_lr_uncapped:+.2f}",
            f"{row.pvalue_holm:.2g}",
            str(row.shared_prompts),
        )
        table.add_row(*(Text(safe_text(cell)) for cell in cells))
    table.add_row(Text("–"), Text("none of these"), Text(found.answer), Text(f"{found.log10_lr_none:+.2f}"))
    console.print(table)
    for left in found.left_out:
        console.print(Text(f"left out: {safe_text(left.name)}: {safe_text(left.reason)}", style="dim"))
    for limit in found.limits:
        console.print(Text(f"• {safe_text(limit, limit=1000)}", style="dim"))
