"""``fingerprint bench``: measure the program on models of known lineage."""

from __future__ import annotations

import typer

app = typer.Typer(help="Measurements; every number of the README comes from one of these.", no_args_is_help=True)


@app.command("null")
def null() -> None:
    """x"""
