"""``fingerprint library``: recordings of many models, kept together and checked by digest."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fingerprint.cli import common

if TYPE_CHECKING:
    from fingerprint.library import Library
    from fingerprint.options import Options
    from fingerprint.recording import Recording

app = typer.Typer(help="A folder of recordings that references and suspects are looked up in.", no_args_is_help=True)
RootArgument = Annotated[Path, typer.Argument(metavar="LIBRARY", help="Folder of the library.")]


@app.command("add")
def add(
    root: Annotated[Path, typer.Argument(metavar="LIBRARY", help="Folder of the library; made if it is not there.")],
    recordings: Annotated[list[str], typer.Argument(metavar="RECORDING…", help="Recordings, or models to record now.")],
    name: Annotated[str, typer.Option("--name", help="Name in the library; for one recording only.")] = "",
    card: Annotated[
        Path | None, typer.Option("--card", help="JSON about the model's origin. [default: NAME.card.json beside it]")
    ] = None,
    probes: Annotated[
        str, typer.Option("--probes", help="Probe sets for models recorded now.", show_default="those of the library")
    ] = "",
    seed: common.SeedOption = 0,
    store: common.StoreOption = None,
    max_requests: common.MaxRequestsOption = None,
    quiet: common.QuietOption = False,
) -> None:
    """Add recordings. What cannot be added is named with the reason; the others are added all the same."""
    from fingerprint import library as shelf
    from fingerprint import lookup
    from fingerprint.collection.execution import engine as named
    from fingerprint.errors import LibraryError, UsageError
    from fingerprint.text import safe_text

    if len(recordings) > 1 and (name or card):
        raise UsageError("--name and --card are for one recording at a time.")
    library = shelf.Library.open(root) if shelf.is_library(root) else None
    sets = probes or (",".join(ref.name for ref in library.listing.probe_sets) if library else "") or "all"
    options = common.make_options(
        probes=sets, seed=seed, temperature=1.0, system="", store=store, max_requests=max_requests, quiet=quiet
    )
    refused = []
    for spec in recordings:
        try:
            recording, beside = _recorded(spec, options)
            library = library or shelf.create(root, recording)
            entry = library.add(recording, name=name, card=_card(card or beside))
        except UsageError as error:
            refused.append(spec)
            common.say(f"not added: {safe_text(spec)}: {safe_text(error, limit=1000)}")
            continue
        done = f"added {safe_text(entry.name)}" if entry else f"{safe_text(recording.model.name)} is there already"
        common.say(f"{done}; {len(library.entries)} models")
    if library and len(refused) < len(recordings) and lookup.has_index(root):
        lookup.index(root, named("here"))
    if refused:
        raise LibraryError(f"{len(refused)} of {len(recordings)} were not added; the reasons stand above.")


def _recorded(spec: str, options: Options) -> tuple[Recording, Path | None]:
    from fingerprint import api, sources
    from fingerprint.models.spec import parse_spec

    parsed = parse_spec(spec)
    # What is recorded already needs no probe set, which may be one that this machine does not have.
    recording = sources.read(parsed) if parsed.scheme == "rec" else api.record([spec], options)[0]
    place = Path(parsed.locator).expanduser() if parsed.scheme == "rec" and parsed.locator != "-" else None
    beside = place.with_name(place.name.removesuffix(".zst").removesuffix(".jsonl") + ".card.json") if place else None
    return recording, beside if beside and beside.is_file() else None


def _card(path: Path | None) -> bytes:
    from fingerprint.errors import UsageError

    try:
        return path.read_bytes() if path else b""
    except OSError as error:
        raise UsageError(f"The card {path} cannot be read: {error.strerror}.") from error


@app.command("list")
def list_entries(
    root: RootArgument, json_out: Annotated[bool, typer.Option("--json", help="JSON to stdout.")] = False
) -> None:
    """What the library holds, its version and its digest."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from fingerprint.text import json_text, safe_text

    library = _open(root)
    if json_out:
        value = {"digest": library.digest, **library.listing.model_dump(mode="json")}
        sys.stdout.write(json_text(value))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("model", "parameters", "prompts", "answers", "access", "asked at", "recording"):
        table.add_column(column, overflow="fold")
    for entry in library.entries:
        cells = (
            entry.name,
            f"{entry.parameters:,}" if entry.parameters else "unknown",
            str(entry.prompts),
            str(entry.answers),
            ", ".join(entry.access),
            f"T {entry.protocol.temperature:g}" + (", system prompt" if entry.protocol.system else ""),
            entry.recording[7:19],
        )
        table.add_row(*(Text(safe_text(cell)) for cell in cells))
    Console().print(table)
    sets = ", ".join(f"{ref.name} {ref.version}" for ref in library.listing.probe_sets) or "rows without a probe set"
    sys.stdout.write(f"{len(library.entries)} models; {safe_text(sets, limit=1000)}\ndigest {library.digest}\n")


@app.command("verify")
def verify(
    root: RootArgument,
    expected: Annotated[str, typer.Option("--digest", help="The digest that whoever published it gave.")] = "",
) -> None:
    """Read everything and say what is wrong."""
    from fingerprint.errors import LibraryError
    from fingerprint.text import safe_text

    library = _open(root)
    faults = library.faults()
    for fault in faults:
        sys.stdout.write(f"{safe_text(fault.file)} {safe_text(fault.what, limit=400)}\n")
    if faults:
        hint = "`fingerprint library prune` moves it aside." if root.is_dir() else "Download it again."
        raise LibraryError(f"{len(faults)} faults in {len(library.entries)} models.", hint=hint)
    if expected and library.digest != expected:
        raise LibraryError(
            f"The library is whole, but it is not the one that was published: its digest is {library.digest}."
        )
    sys.stdout.write(f"{len(library.entries)} models, all whole; digest {library.digest}\n")


@app.command("nearest")
def nearest(
    root: Annotated[Path, typer.Argument(metavar="LIBRARY", help="A library, an archive of one, or a plain folder.")],
    suspect: Annotated[str, typer.Argument(help="A recording, or a model to record now.")],
    top: Annotated[int, typer.Option("--top", min=1, help="How many to name.")] = 20,
    probes: common.ProbesOption = "all",
    seed: common.SeedOption = 0,
    store: common.StoreOption = None,
    json_out: Annotated[bool, typer.Option("--json", help="JSON to stdout.")] = False,
    engine: common.EngineOption = "here",
    workers: common.WorkersOption = 2,
    ray_address: common.RayAddressOption = "",
) -> None:
    """Who of thousands writes most like SUSPECT? A list to look into, from sketches; no accusation."""
    from fingerprint.collection.execution import engine as named
    from fingerprint.lookup import nearest as rank
    from fingerprint.text import json_text, safe_text

    options = common.make_options(
        probes=probes, seed=seed, temperature=1.0, system="", store=store, max_requests=None, quiet=False
    )
    recording, _ = _recorded(suspect, options)
    found = rank(recording, root, named(engine, workers=workers, address=ray_address), top)
    if json_out:
        rows = [
            {
                "name": each.name,
                "score": each.score,
                "log10_lr_uncapped": each.log10_lr,
                "shared_prompts": each.shared_prompts,
            }
            for each in found
        ]
        sys.stdout.write(json_text({"schema_version": "1.0", "nearest": rows}))
        return
    for place, each in enumerate(found, start=1):
        sys.stdout.write(f"{place:4}  {each.score:+6.2f}  {safe_text(each.name)}\n")
    common.say("Among many models some stranger is always near: compare the suspect with these, one by one.")


@app.command("index")
def index(
    root: RootArgument,
    engine: common.EngineOption = "here",
    workers: common.WorkersOption = 2,
    ray_address: common.RayAddressOption = "",
) -> None:
    """Sketch every recording now, so that `nearest` and `identify` need not; `add` then keeps the index up."""
    from fingerprint import lookup
    from fingerprint.collection.execution import engine as named
    from fingerprint.library import Library

    library = Library.open(root)
    models, old = lookup.index(library.root, named(engine, workers=workers, address=ray_address))
    sys.stdout.write(f"{models} models are in the index; {old} files of earlier states were deleted\n")


@app.command("prune")
def prune(root: RootArgument) -> None:
    """Move what is damaged, or not in the list, into LIBRARY/pruned. Nothing is deleted."""
    from fingerprint.library import Library
    from fingerprint.text import safe_text

    library = Library.open(root)
    moved = library.prune()
    for path in moved:
        sys.stdout.write(f"moved to {safe_text(path)}\n")
    sys.stdout.write(f"{len(library.entries)} models left, {len(moved)} files moved\n")


def _open(root: Path) -> Library:
    from fingerprint import library_archive
    from fingerprint.library import Library

    return library_archive.open_archive(root) if library_archive.is_archive(root) else Library.open(root)
