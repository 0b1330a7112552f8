"""``fingerprint collect``: record models, to compare later without them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fingerprint.cli import common

if TYPE_CHECKING:
    from fingerprint.options import Options


def collect(
    models: Annotated[list[str], typer.Argument(metavar="MODEL…", help="The models to record.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The recording: .jsonl or .jsonl.zst; a folder for many models.")
    ],
    score: Annotated[
        list[Path] | None, typer.Option("--score", help="A recording whose answers the model shall score too.")
    ] = None,
    seal: Annotated[
        Path | None, typer.Option("--seal", help="A seal written before: everything is asked anew, under it.")
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
    engine: common.EngineOption = "here",
    workers: common.WorkersOption = 2,
    ray_address: common.RayAddressOption = "",
) -> None:
    """Ask models all probes and write recordings. Run again to go on after an interruption."""
    from dataclasses import replace

    from fingerprint import api, recording_file
    from fingerprint.report.seal import read_seal

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
    options = replace(options, seal=read_seal(seal) if seal else None)
    if len(models) > 1 or output.is_dir():
        _collect_many(models, output, options, (engine, workers, ray_address), scored=bool(score))
        return
    common.check_recording_path(output)
    recording = api.collect(models[0], options, [recording_file.read(path) for path in score or []])
    recording_file.write(recording, output)
    common.say(
        f"{output}: {len(recording.prompts)} prompts, {len(recording.samples)} answers, "
        f"{len(recording.distributions)} distributions, digest {recording.digest[:19]}"
    )


def _collect_many(models: list[str], folder: Path, options: Options, where: tuple[str, int, str], *, scored: bool) -> None:
    from fingerprint.collection.execution import engine
    from fingerprint.errors import ModelError, UsageError
    from fingerprint.many import record_many

    if scored:
        raise UsageError("--score is for one model at a time.")
    name, workers, address = where
    found = record_many(models, options, folder, engine(name, workers=workers, address=address), common.say)
    failed = [each for each in found if each.error]
    if failed:
        hint = "The reasons stand above; the others are recorded. Run again to go on."
        raise ModelError(f"{len(failed)} of {len(found)} models were not recorded.", hint=hint)
