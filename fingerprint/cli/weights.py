"""``fingerprint weights``: lineage from tensors alone; no model is run."""

from __future__ import annotations

from typing import Annotated

import typer

from fingerprint.cli import common


def weights(
    suspect: Annotated[str, typer.Argument(help="Open weights in question: ./folder, gguf:…, zoo:…, hf:… in the cache.")],
    reference: Annotated[str, typer.Argument(help="Open weights that they may descend from.")],
    other: Annotated[
        list[str] | None,
        typer.Option("--other", help="Open weights that may be a common parent, or the second parent of a merge."),
    ] = None,
    json_out: Annotated[bool, typer.Option("--json", help="JSON to stdout instead of the report for people.")] = False,
    output: common.OutputOption = None,
    seed: common.SeedOption = 0,
) -> None:
    """Compare two models by their weights: same, derived, or begun independently of each other."""
    from fingerprint import lineage
    from fingerprint.cli.compare import check_format, deliver

    for path in output or []:
        check_format(path)
    report = lineage.compare_weights(suspect, reference, others=other or [], seed=seed)
    deliver(report, json_out=json_out, output=output or [])
