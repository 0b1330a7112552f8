"""``fingerprint claims``: what a model says of its origin, and whether its weights agree."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from fingerprint.cli import common

if TYPE_CHECKING:
    from fingerprint.claims import ClaimResult


def claims(
    model: Annotated[str, typer.Argument(help="Folder, GGUF file, zoo:name, or hf:org/name in the hub's cache.")],
    against: Annotated[
        list[str] | None,
        typer.Option("--against", help="Weights of a claimed parent: a spec, or NAME=SPEC to tie it to a claimed name."),
    ] = None,
    json_out: Annotated[bool, typer.Option("--json", help="JSON to stdout instead of lines for people.")] = False,
    seed: common.SeedOption = 0,
) -> None:
    """Read the declared parents of MODEL and test each against its weights: supported, contradicted or untested."""
    from fingerprint.claims import check_claims
    from fingerprint.text import json_text, safe_text

    found = check_claims(model, against=against or [], seed=seed)
    if json_out:
        table = {"schema_version": "1.0", "result": {"claims": [_row(item) for item in found]}}
        sys.stdout.write(json_text(table, indent=2))
        return
    if not found:
        sys.stdout.write("The model claims no parent: no card, metadata or configuration names one.\n")
    for item in found:
        claim = item.claim
        how = "" if claim.relation == "unknown" else f" ({claim.relation})"
        sys.stdout.write(
            f"{item.status.upper():12} {safe_text(claim.parent)}{how}, says {safe_text(claim.source)}: "
            f"{safe_text(item.reason, limit=400)}\n"
        )


def _row(item: ClaimResult) -> dict[str, object]:
    claim = item.claim
    return {
        "parent": claim.parent,
        "relation": claim.relation,
        "source": claim.source,
        "status": item.status,
        "reason": item.reason,
        "kind": item.kind,
        "log10_p": None if item.log10_p is None else round(item.log10_p, 4),
    }
