"""A synthetic panel of any size with a planted pedigree.

Each model is a habit (its own preference among words, line beginnings and closings) on top of what a prompt asks for; every
fifth model has a parent and keeps three quarters of its habit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fingerprint import recording_file
from fingerprint.canonical import digest
from fingerprint.recording import ModelInfo, ProbeSetRef, Prompt, Recording, Sample

PROMPTS, WORDS = 400, 150
_VOCABULARY, _TOPIC, _HABIT = 20_000, 400, 1_500
EVERY, _KEPT = 5, 0.75


def synthetic(count: int, folder: Path, prompts: int = PROMPTS) -> dict[str, str]:
    """Write ``count`` recordings; returns child → parent. Those that are there are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    words = _words()
    topics = [np.random.default_rng([7, prompt]).choice(_VOCABULARY, _TOPIC, replace=False) for prompt in range(prompts)]
    asked = tuple(
        Prompt(id=f"p{k:03d}", text=f"Question number {k}: tell me about it.", set="synthetic") for k in range(prompts)
    )
    parents = {f"model-{child:04d}": f"model-{child - 1:04d}" for child in range(1, count) if child % EVERY == 0}
    for model in range(count):
        path = folder / f"model-{model:04d}.jsonl.zst"
        if not path.is_file():
            recording_file.write(_recording(model, words, topics, asked), path)
    return parents


def _words() -> np.ndarray[Any, np.dtype[np.str_]]:
    rng = np.random.default_rng(1)
    letters = np.array(list("etaoinshrdlucmfwypvbgk"))
    return np.array(["".join(rng.choice(letters, rng.integers(2, 9))) + f"{k % 7 or ''}" for k in range(_VOCABULARY)])


def _recording(model: int, words: Any, topics: Sequence[Any], asked: tuple[Prompt, ...]) -> Recording:
    habit = _habit(model)
    if model and model % EVERY == 0:
        mine = np.random.default_rng([3, model]).random(_HABIT) < _KEPT
        habit = np.where(mine, _habit(model - 1), habit)
    rng = np.random.default_rng([5, model])
    samples = []
    for prompt, topic in zip(asked, topics, strict=True):
        chosen = np.where(rng.random(WORDS) < 0.5, rng.choice(topic, WORDS), rng.choice(habit, WORDS))
        tokens = words[chosen]
        lines = [" ".join(tokens[start : start + 15]) + "." for start in range(0, WORDS, 15)]
        samples.append(Sample(prompt=prompt.id, draw=0, text="\n".join(lines)))
    info = ModelInfo(name=f"model-{model:04d}", kind="synthetic", digest=digest(["synthetic", model]))
    ref = ProbeSetRef(name="synthetic", version="1", digest=digest("synthetic"))
    return Recording(model=info, probe_sets=(ref,), prompts=asked, samples=tuple(samples))


def _habit(model: int) -> Any:
    """Words in the order of a power law, so that each model repeats a few of its own."""
    rng = np.random.default_rng([2, model])
    own = rng.choice(_VOCABULARY, _HABIT)
    return own[np.minimum((rng.pareto(1.0, _HABIT) * 30).astype(int), _HABIT - 1)]
