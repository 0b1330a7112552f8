"""``fingerprint probes``: look at the probe sets, check one's own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="List, show and validate probe sets.", no_args_is_help=True)


@app.command("list")
def list_sets() -> None:
    """All probe sets, with their size and purpose."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from fingerprint.probes import builtin
    from fingerprint.text import safe_text

    table = Table(box=None, pad_edge=False)
    for name in ("set", "probes", "access", "purpose"):
        table.add_column(name, overflow="fold")
    for name, probe_set in builtin().items():
        row = (name, str(len(probe_set.probes)), ", ".join(probe_set.card.access), probe_set.card.purpose)
        table.add_row(*(Text(safe_text(cell)) for cell in row))
    Console().print(table)


@app.command("show")
def show(name: Annotated[str, typer.Argument(help="Name or path of a probe set.")]) -> None:
    """The card of a set and its probes."""
    from fingerprint.probes import load
    from fingerprint.text import safe_text

    for probe_set in load(name):
        card = probe_set.card
        sys.stdout.write(f"{card.name} {card.version}: {safe_text(card.title)}\n")
        for label in ("purpose", "confounder", "licence"):
            sys.stdout.write(f"{label}: {safe_text(getattr(card, label), limit=2000)}\n")
        sys.stdout.write(f"language: {', '.join(card.language)}\naccess: {', '.join(card.access)}\n")
        sys.stdout.write(f"digest: {probe_set.digest}\n\n")
        for probe in probe_set.probes:
            sys.stdout.write(f"{probe.id}  {safe_text(probe.text, limit=2000)}\n")


@app.command("validate")
def validate(
    names: Annotated[list[str] | None, typer.Argument(help="Names or paths; all built-in sets without any.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Write the digest into the card of each file given.")] = False,
) -> None:
    """Check sets and that the digest in each card is that of its probes."""
    from fingerprint.errors import ProbeError
    from fingerprint.probes import load, with_digest

    for probe_set in load(",".join(names) if names else "all"):
        card = probe_set.card
        if write:
            for path in map(Path, names or []):
                path.write_text(with_digest(path.read_text("utf-8"), load(str(path))[0].digest), "utf-8")
        elif card.digest != probe_set.digest:
            raise ProbeError(
                f"The card of {card.name} has the digest {card.digest or '(none)'}, its probes have {probe_set.digest}.",
                hint="Probes changed: raise the version and run `fingerprint probes validate --write FILE`.",
            )
        sys.stdout.write(f"{card.name}: {len(probe_set.probes)} probes, {probe_set.digest}\n")


@app.command("rank")
def rank(
    panel: Annotated[
        Path | None, typer.Option("--panel", help="Folder of recordings to measure on.", show_default="the shipped models")
    ] = None,
    top: Annotated[int | None, typer.Option("--top", min=1, help="How many probes to print.")] = None,
    json_out: Annotated[bool, typer.Option("--json", help="JSON to stdout.")] = False,
) -> None:
    """The information of each probe in bits: how much an answer tells of which model gave it."""
    import json

    from fingerprint import api, shipped
    from fingerprint.errors import UsageError
    from fingerprint.evidence.information import rank_probes
    from fingerprint.text import safe_text

    recordings = api.read_folder(panel) if panel else list(shipped.recordings())
    found = rank_probes(recordings)[:top]
    if not found:
        raise UsageError("No probe was answered by two models.", hint="Information is measured between models.")
    if json_out:
        rows = [
            {
                "probe": item.prompt.id,
                "set": item.prompt.set,
                "bits": round(item.bits, 4),
                "measured_on": item.measured_on,
                "models": item.models,
            }
            for item in found
        ]
        sys.stdout.write(json.dumps({"schema_version": "1.0", "probes": rows}, ensure_ascii=False) + "\n")
        return
    for item in found:
        name = safe_text(item.prompt.id, limit=24)
        text = safe_text(item.prompt.text, limit=60)
        sys.stdout.write(f"{item.bits:7.3f}  {item.measured_on:<11}  {name:<14}  {text}\n")
