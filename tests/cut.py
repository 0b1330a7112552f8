"""Shipped recordings cut down to every eighth prompt: the same verdicts in a fifth of the time."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from fingerprint import recording_file, shipped
from fingerprint.recording import Recording


@cache
def small(name: str, every: int = 8) -> Recording:
    """A shipped recording with every eighth prompt and what belongs to it."""
    whole = next(recording for recording in shipped.recordings() if recording.model.name == name)
    prompts = whole.prompts[::every]
    kept = {prompt.id for prompt in prompts}
    rows = {
        key: tuple(row for row in getattr(whole, key) if row.prompt in kept)
        for key in ("samples", "distributions", "scores")
    }
    return replace(whole, prompts=prompts, **rows)


def lay(folder: Path, every: int = 8, **names: str) -> None:
    """Write small recordings of shipped models into a folder, under other names: ``ours="student"``."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, name in names.items():
        recording_file.write(small(name, every), folder / f"{file.replace('_', '-')}.jsonl.zst")
