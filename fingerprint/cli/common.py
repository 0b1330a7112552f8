"""What the commands share: option types, progress on a terminal, writing results, one line for every error."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fingerprint.collection.collect import Progress
    from fingerprint.options import Options
    from fingerprint.report.schema import Report

ProbesOption = Annotated[str, typer.Option("--probes", help="Probe sets by name or path, separated by commas.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of the sampled answers and of the statistics.")]
TemperatureOption = Annotated[float, typer.Option("--temperature", min=0.0, help="Sampling temperature.")]
SystemOption = Annotated[str, typer.Option("--system", help="System prompt for every probe.")]
StoreOption = Annotated[
    Path | None, typer.Option("--store", help="Folder of collected answers.", show_default="the user's cache")
]
MaxRequestsOption = Annotated[
    int | None, typer.Option("--max-requests", min=0, help="Stop cleanly after this many requests to models.")
]
MaxTokensOption = Annotated[
    int | None, typer.Option("--max-tokens", min=0, help="Stop cleanly after this many tokens, read and written.")
]
MaxMinutesOption = Annotated[float | None, typer.Option("--max-minutes", min=0.0, help="Stop cleanly after this time.")]
PriceInOption = Annotated[
    float | None, typer.Option("--price-in", min=0.0, help="Money per million tokens read, for --dry-run.")
]
PriceOutOption = Annotated[
    float | None, typer.Option("--price-out", min=0.0, help="Money per million tokens written, for --dry-run.")
]
QuietOption = Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")]
EngineOption = Annotated[
    str, typer.Option("--engine", help="Where shards run: here, processes (on this machine), or ray (a cluster).")
]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="Processes of the engine `processes`.")]
RayAddressOption = Annotated[
    str, typer.Option("--ray-address", help="Address of a Ray cluster.", show_default="one started on this machine")
]
OutputOption = Annotated[
    list[Path] | None, typer.Option("-o", "--output", help="Write to a file as well; the ending decides the format.")
]


def make_options(
    *,
    probes: str,
    seed: int,
    temperature: float,
    system: str,
    store: Path | None,
    max_requests: int | None,
    quiet: bool,
    max_tokens: int | None = None,
    max_minutes: float | None = None,
) -> Options:
    """The options of the library from those of the command line."""
    from fingerprint.collection.collect import Budget
    from fingerprint.collection.plan import Settings
    from fingerprint.collection.store import default_root
    from fingerprint.options import Options

    return Options(
        probes=probes,
        settings=Settings(temperature=temperature, seed=seed, system=system),
        budget=Budget(requests=max_requests, tokens=max_tokens, minutes=max_minutes),
        store=store or default_root(),
        progress=progress(quiet=quiet),
    )


def progress(*, quiet: bool) -> Progress:
    """A one-line progress display on stderr, on a terminal only."""
    from fingerprint.collection.collect import silent

    if quiet or not sys.stderr.isatty():
        return silent

    def show(done: int, total: int, what: str) -> None:
        sys.stderr.write(f"\r\x1b[K{what}: {done} of {total}" + ("\n" if done >= total else ""))
        sys.stderr.flush()

    return show


def check_recording_path(path: Path) -> None:
    """Refuse a file that no recording can be written to, before any work is done."""
    from fingerprint.errors import OutputError

    if not path.name.endswith((".jsonl", ".jsonl.zst")):
        raise OutputError(f"{path} has no ending of a recording.", hint="Use .jsonl or .jsonl.zst.")
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: there is no folder {path.parent}.", hint="Create it first.")


def ending(path: Path, known: Sequence[str]) -> str:
    """The longest known ending of a file's name; empty where it has none of them."""
    return max((each for each in known if path.name.endswith(each)), key=len, default="")


def write_text(text: str, path: Path) -> None:
    """Write a result file atomically."""
    from fingerprint.recording_file import write_bytes

    write_bytes(text.encode("utf-8", "replace"), path)


def read_report(path: Path) -> Report:
    """A report in JSON; anything else is refused in one sentence."""
    from fingerprint.report.schema import load_report

    return load_report(path)


def say(text: str) -> None:
    """A line for people, on stderr."""
    sys.stderr.write(text + "\n")


def say_engine_unused(engine: str, models: int, large: int) -> None:
    """That a panel is too small for an engine of several processes, so that nobody believes that one was tried."""
    if engine != "here" and models <= large:
        say(f"Up to {large} models are compared in this process: the engine {engine} was not used.")
