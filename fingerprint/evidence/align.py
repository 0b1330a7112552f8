"""Put the distributions of several models on common contexts and a common alphabet.

Tokenizers differ, so the common alphabet is the next visible byte: a token counts for its first byte, with or without a
space before it. A context is a prompt cut at a byte; only contexts that all models answered are kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerprint.evidence.base import MIN_PROMPTS, NOT_EVIDENCE, Skipped
from fingerprint.recording import END, Distribution, Recording

#: 256 first bytes, 256 bytes after a space, and the end of the text.
ALPHABET = 513
Context = tuple[str, int]
_ENOUGH = 0.8  # a control must have answered this share of the contexts that suspect and reference share


@dataclass(frozen=True, kw_only=True)
class Aligned:
    """Probabilities (models, contexts, symbols); model 0 is the suspect, 1 the reference, the rest are ``used``."""

    probabilities: NDArray[np.float32]
    prompts: NDArray[np.int64]
    used: tuple[int, ...]

    @property
    def prompt_count(self) -> int:
        return int(self.prompts.max()) + 1 if self.prompts.size else 0


def symbol(token: str) -> int:
    """The alphabet's place of a token given as latin-1 characters."""
    if token == END:
        return 512
    if token[0] == " " and len(token) > 1:
        return 256 + ord(token[1])
    return ord(token[0])


def contexts(recording: Recording, draw: int = 0) -> dict[Context, Distribution]:
    """The recording's distributions by context, without those on guardrail probes."""
    found: dict[Context, Distribution] = {}
    for row in recording.distributions:
        prompt = recording.prompt_by_id[row.prompt]
        if row.draw == draw and prompt.set != NOT_EVIDENCE:
            found[prompt.key, row.at] = row
    return found


def dense(rows: Sequence[Distribution], cache: dict[str, int] | None = None) -> NDArray[np.float32]:
    """Probabilities over the alphabet, shape (rows, symbols); the tail of a cut-off list is not in it."""
    known = {} if cache is None else cache
    table = np.zeros((len(rows), ALPHABET), dtype=np.float32)
    for place, row in enumerate(rows):
        for token in row.tokens:
            if token not in known:
                known[token] = symbol(token)
        places = [known[token] for token in row.tokens]
        np.add.at(table[place], places, np.exp(np.array(row.logprobs)))
    return table


def align(suspect: Recording, reference: Recording, others: Sequence[Recording]) -> Aligned | Skipped:
    """Common contexts of suspect and reference, and of all others that answered most of them."""
    sides = [contexts(suspect), contexts(reference)]
    for side, recording in zip(sides, (suspect, reference), strict=True):
        if not side:
            reason = f"{recording.model.name} gives no log-probabilities{recording.why_not('topk')}"
            return Skipped(method="aligned", reason=reason)
    common = sorted(set(sides[0]) & set(sides[1]))
    if len({key for key, _ in common}) < MIN_PROMPTS:
        return Skipped(
            method="aligned",
            reason=f"only {len({key for key, _ in common})} prompts with log-probabilities in common, {MIN_PROMPTS} needed",
        )
    used: list[int] = []
    tables = list(sides)
    for place, recording in enumerate(others):
        table = contexts(recording)
        if sum(context in table for context in common) >= _ENOUGH * len(common):
            used.append(place)
            tables.append(table)
    common = [context for context in common if all(context in table for table in tables)]
    cache: dict[str, int] = {}
    probabilities = np.stack([dense([table[context] for context in common], cache) for table in tables])
    index = {key: place for place, key in enumerate(dict.fromkeys(key for key, _ in common))}
    prompts = np.array([index[key] for key, _ in common], dtype=np.int64)
    return Aligned(probabilities=probabilities, prompts=prompts, used=tuple(used))


def tail_share(aligned: Aligned) -> float:
    """Mean probability outside the recorded lists, over suspect and reference."""
    return float(np.clip(1 - aligned.probabilities[:2].sum(axis=2), 0, 1).mean())


def entropy_bits(aligned: Aligned, model: int) -> float:
    """Mean entropy of a model's next-symbol distributions, in bits."""
    rows = aligned.probabilities[model].astype(np.float64)
    return float(-(rows * np.log2(np.maximum(rows, 1e-12))).sum(axis=1).mean()) if len(rows) else math.nan
