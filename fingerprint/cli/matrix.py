"""``fingerprint matrix``: all pairs of a folder of recordings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fingerprint.cli import common


def matrix(
    folder: Annotated[Path, typer.Argument(help="Folder of recordings, one per model.")],
    json_out: Annotated[bool, typer.Option("--json", help="JSON to stdout.")] = False,
    output: Annotated[list[Path] | None, typer.Option("-o", "--output", help="Write .json or .csv.")] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="How many pairs to print.")] = 20,
    engine: common.EngineOption = "here",
    workers: common.WorkersOption = 2,
    ray_address: common.RayAddressOption = "",
) -> None:
    """Compare all models of a folder with each other by their answers, strongest pairs first."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from fingerprint import many
    from fingerprint import matrix as all_pairs
    from fingerprint.collection.execution import engine as named
    from fingerprint.errors import OutputError
    from fingerprint.text import json_text, safe_text

    for path in output or []:
        if path.suffix not in {".json", ".csv"}:
            raise OutputError(f"{path} has no known ending.", hint="Use .json or .csv.")
    names, rows, limits = many.matrix_with_limits(folder, named(engine, workers=workers, address=ray_address))
    common.say_engine_unused(engine, len(names), many.LARGE)
    text = json_text(all_pairs.as_json(names, rows, limits))
    for path in output or []:
        common.write_text(text if path.suffix == ".json" else all_pairs.as_csv(rows), path)
    if json_out:
        sys.stdout.write(text)
        return
    table = Table(box=None, pad_edge=False)
    for name in ("pair", "kind", "log10 LR", "uncapped"):
        table.add_column(name, overflow="fold")
    for row in sorted(rows, key=lambda row: -row.log10_lr_uncapped)[:top]:
        cells = (f"{row.a} – {row.b}", row.kind, f"{row.log10_lr:+.2f}", f"{row.log10_lr_uncapped:+.2f}")
        table.add_row(*(Text(safe_text(cell)) for cell in cells))
    console = Console()
    console.print(table)
    for limit in limits:
        console.print(Text(f"• {safe_text(limit, limit=1000)}", style="dim"))
