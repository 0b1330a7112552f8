"""``fingerprint claims``: what models say of their origin, and whether their weights agree."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fingerprint.cli import common

if TYPE_CHECKING:
    from fingerprint.claims import ClaimResult
    from fingerprint.policy import Outcome


def claims(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", help="Folder, GGUF file, zoo:name, or hf:org/name in the hub's cache."),
    ],
    against: Annotated[
        list[str] | None,
        typer.Option("--against", help="Weights of a claimed parent: a spec, or NAME=SPEC to tie it to a claimed name."),
    ] = None,
    files: Annotated[
        bool,
        typer.Option("--files", help="The arguments are files, as pre-commit names them: read the models they belong to."),
    ] = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Gate as a rule of check does: exit 1 where a claim is contradicted, 4 if unreadable."
        ),
    ] = False,
    json_out: Annotated[bool, typer.Option("--json", help="JSON to stdout instead of lines for people.")] = False,
    seed: common.SeedOption = 0,
) -> None:
    """Read the declared parents of each MODEL and test them against its weights: supported, contradicted or untested."""
    from fingerprint.claims import check_claims, models_of
    from fingerprint.errors import ModelError
    from fingerprint.gate import judge_declared
    from fingerprint.policy import EXIT, worst
    from fingerprint.text import json_text

    named = models_of([Path(name) for name in models]) if files else models
    outcomes: list[Outcome] = []
    rows: list[dict[str, Any]] = []
    for model in named:
        try:
            found = check_claims(model, against=against or [], seed=seed)
        except ModelError as error:
            if not strict:
                raise
            _refuse(model, "error", str(error))
            outcomes.append("error")
            continue
        rows += [{"model": model, **_row(item)} for item in found]
        if not json_out:
            _tell(found, of=model if len(named) > 1 else "")
        if strict:
            outcome, reason = judge_declared(model, found)
            outcomes.append(outcome)
            if outcome != "passed":
                _refuse(model, outcome, reason)
    if json_out:
        table = {"schema_version": "1.0", "result": {"claims": rows}}
        sys.stdout.write(json_text(table, indent=2))
    raise typer.Exit(EXIT[worst(outcomes)])


def _tell(found: tuple[ClaimResult, ...], *, of: str) -> None:
    from fingerprint.text import safe_text

    start = f"{safe_text(of)}: " if of else ""
    if not found:
        sys.stdout.write(f"{start}The model claims no parent: no card, metadata or configuration names one.\n")
    for item in found:
        claim = item.claim
        how = "" if claim.relation == "unknown" else f" ({claim.relation})"
        sys.stdout.write(
            f"{start}{item.status.upper():12} {safe_text(claim.parent)}{how}, says {safe_text(claim.source)}: "
            f"{safe_text(item.reason, limit=400)}\n"
        )


def _refuse(model: str, outcome: str, reason: str) -> None:
    from fingerprint.text import safe_text

    common.say(f"fingerprint: claims of {safe_text(model)}: {outcome}: {safe_text(reason, limit=600)}")


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
