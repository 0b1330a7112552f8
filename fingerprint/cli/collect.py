"""``fingerprint collect``: record one model, to compare later without it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fingerprint.cli import common


def collect(
    model: Annotated[str, typer.Argument(help="The model to record.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The recording: .jsonl or .jsonl.zst.")],
    score: Annotated[
        list[Path] | None, typer.Option("--score", help="A recording whose answers the model shall score too.")
    ] = None,
    probes: common.ProbesOption = "all",
    seed: common.SeedOption = 0,
    temperature: common.TemperatureOption = 1.0,
    system: common.SystemOption = "",
    store: common.StoreOption = None,
    max_requests: common.MaxRequestsOption = None,
    max_tokens: common.MaxTokensOption = None,
    max_minutes: common.MaxMinutesOption = None,
    quiet: common.QuietOption = False,
) -> None:
    """Ask a model all probes and write a recording. Run again to go on after an interruption."""
    from fingerprint import api, recording_file

    common.check_recording_path(output)
    options = common.make_options(
        probes=probes,
        seed=seed,
        temperature=temperature,
        system=system,
        store=store,
        max_requests=max_requests,
        max_tokens=max_tokens,
        max_minutes=max_minutes,
        quiet=quiet,
    )
    recording = api.collect(model, options, [recording_file.read(path) for path in score or []])
    recording_file.write(recording, output)
    common.say(
        f"{output}: {len(recording.prompts)} prompts, {len(recording.samples)} answers, "
        f"{len(recording.distributions)} distributions, digest {recording.digest[:19]}"
    )
