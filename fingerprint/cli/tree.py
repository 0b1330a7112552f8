"""``fingerprint tree``: who belongs together in a folder of recordings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fingerprint.cli import common

_ENDINGS = (".json", ".nwk", ".newick", ".html", ".svg")


def tree(
    folder: Annotated[Path, typer.Argument(help="Folder of recordings, a library, or an archive of one.")],
    json_out: Annotated[bool, typer.Option("--json", help="JSON to stdout.")] = False,
    newick_out: Annotated[bool, typer.Option("--newick", help="Newick to stdout.")] = False,
    output: Annotated[list[Path] | None, typer.Option("-o", "--output", help="Write .json, .nwk, .html or .svg.")] = None,
    replicates: Annotated[int, typer.Option("--replicates", min=0, max=10_000, help="Bootstrap replicates.")] = 100,
    cut: Annotated[
        float | None, typer.Option("--support", min=0.0, max=1.0, help="Forks below are left open. [default: 0.7]")
    ] = None,
    seed: common.SeedOption = 0,
    engine: common.EngineOption = "here",
    workers: common.WorkersOption = 2,
    ray_address: common.RayAddressOption = "",
) -> None:
    """Group the models of a folder into families, by weights and behaviour, and draw what is supported."""
    from fingerprint import many
    from fingerprint.collection.execution import engine as named
    from fingerprint.errors import OutputError
    from fingerprint.text import json_text
    from fingerprint.tree import page, picture
    from fingerprint.tree.model import newick
    from fingerprint.tree.panel import Settings
    from fingerprint.verdict import SUPPORT

    for path in output or []:
        if path.suffix not in _ENDINGS:
            raise OutputError(f"{path} has no known ending.", hint=f"Use {', '.join(_ENDINGS)}.")
    settings = Settings(replicates=replicates, seed=seed, cut=SUPPORT if cut is None else cut)
    found = many.tree(folder, settings, named(engine, workers=workers, address=ray_address))
    common.say_engine_unused(engine, len(found.models), many.LARGE)
    text = json_text(found.as_json())
    for path in output or []:
        if path.suffix == ".json":
            common.write_text(text, path)
        elif path.suffix == ".html":
            common.write_text(page.render_page(found), path)
        elif path.suffix == ".svg":
            common.write_text(picture.standalone(found), path)
        else:
            common.write_text(newick(found.root) + "\n", path)
    if json_out or newick_out:
        sys.stdout.write(text if json_out else newick(found.root) + "\n")
        return
    sys.stdout.write("\n".join(page.lines(found)) + "\n")
