"""``fingerprint import``: answers that another program recorded, as a recording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fingerprint.cli import common


def import_answers(
    file: Annotated[
        Path,
        typer.Argument(
            help="AlpacaEval's outputs (.json), samples of lm-eval-harness (.jsonl), a log of Inspect (.eval, .json), "
            "or rows with a prompt and an answer (.csv, .tsv, .json, .jsonl)."
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The recording: .jsonl or .jsonl.zst.")],
    model: Annotated[str, typer.Option("--model", help="Which model's answers, or what to call the model.")] = "",
    prompt_field: Annotated[str, typer.Option("--prompt-field", help="The field or column that holds the prompt.")] = "",
    answer_field: Annotated[str, typer.Option("--answer-field", help="The field or column that holds the answer.")] = "",
) -> None:
    """Turn recorded answers into a recording. The same files can be compared at once, as rec:FILE."""
    from fingerprint import recording_file
    from fingerprint.imports.read import read
    from fingerprint.text import safe_text

    common.check_recording_path(output)
    fields = {name: value for name, value in (("prompt", prompt_field), ("answer", answer_field)) if value}
    recording = read(file.expanduser(), model=model, fields=fields)
    recording_file.write(recording, output)
    common.say(
        f"{output}: {safe_text(recording.model.name)}, {len(recording.prompts)} prompts, {len(recording.samples)} answers, "
        f"{len(recording.distributions)} distributions, {len(recording.scores)} scores"
    )
