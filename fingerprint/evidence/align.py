"""Put the distributions of several models on common contexts and a common alphabet.

Tokenizers differ, so the common alphabet is the next visible byte: a token counts for its first byte, with or without a
space before it. A context is a prompt cut at a byte; only contexts that all models answered are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerprint.evidence.base import MIN_PROMPTS, NOT_EVIDENCE, Skipped
from fingerprint.recording import END, Distribution, Recording
from fingerprint.stats import affinity

#: 256 first bytes, 256 bytes after a space, and the end of the text.
ALPHABET = 513
Context = tuple[str, int]
Floats = NDArray[np.float64]
#: Ranks that are kept of each list.
DEPTH = 20
_ENOUGH = 0.8  # a control must have answered this share of the contexts that suspect and reference share


@dataclass(frozen=True, kw_only=True)
class Aligned:
    """Distributions on common contexts; model 0 is the suspect, 1 the reference, the rest are ``used``.

    ``probabilities`` (models, contexts, symbols) are over next visible bytes; ``tokens`` and ``bytes_`` are affinities
    (prompts, models, models) over token strings and over those bytes; ``prompts`` numbers each context's prompt;
    ``ranks`` (models, contexts, depth) are numbers of the likeliest tokens in order, the same for the same bytes, −1
    where a list ends; ``tokenizers`` holds each model's tokenizer digest, empty where it is unknown.
    """

    probabilities: NDArray[np.float32]
    prompts: NDArray[np.int64]
    used: tuple[int, ...]
    tokens: Floats
    bytes_: Floats
    ranks: NDArray[np.int32]
    tokenizers: tuple[str, ...]

    @property
    def prompt_count(self) -> int:
        return int(self.prompts.max()) + 1 if self.prompts.size else 0

    @property
    def other_rows(self) -> list[int]:
        """Rows of the models that are neither suspect nor reference."""
        return list(range(2, len(self.probabilities)))

    def choose(self, rows: Sequence[int]) -> Aligned:
        """The same contexts for some of the models, the first two of ``rows`` as suspect and reference."""
        square = np.ix_(range(len(self.tokens)), rows, rows)
        return Aligned(
            probabilities=self.probabilities[list(rows)],
            prompts=self.prompts,
            used=tuple(range(len(rows) - 2)),
            tokens=self.tokens[square],
            bytes_=self.bytes_[square],
            ranks=self.ranks[list(rows)],
            tokenizers=tuple(self.tokenizers[row] for row in rows),
        )


@dataclass(frozen=True, kw_only=True)
class Lists:
    """One model's recorded lists: token numbers and probabilities, each (contexts, length), unused places of mass 0."""

    ids: NDArray[np.int32]
    masses: NDArray[np.float32]

    def ranks(self) -> NDArray[np.int32]:
        """Numbers of the likeliest tokens, (contexts, at most `DEPTH`), −1 for unused places and repeated bytes."""
        width = min(DEPTH, self.ids.shape[1])
        order = np.argsort(-self.masses, axis=1, kind="stable")[:, :width]
        top, found = np.take_along_axis(self.ids, order, axis=1), np.full((len(self.ids), DEPTH), -1, dtype=np.int32)
        again = (np.tril(top[:, :, None] == top[:, None, :], -1)).any(axis=2)
        unused = np.take_along_axis(self.masses, order, axis=1) <= 0
        found[:, :width] = np.where(again | unused, -1, top)
        return found


class Vocabulary(dict[str, int]):
    """Numbers for token strings, the same for all models, and each number's place in the alphabet of bytes."""

    def __init__(self) -> None:
        super().__init__()
        self._symbols: list[int] = []

    def __missing__(self, token: str) -> int:
        self[token] = number = len(self._symbols)
        self._symbols.append(symbol(token))
        return number

    def lists(self, rows: Sequence[Distribution]) -> Lists:
        """Number the tokens of some distributions."""
        length = max((len(row.tokens) for row in rows), default=0)
        ids = np.zeros((len(rows), length), dtype=np.int32)
        masses = np.full((len(rows), length), -np.inf, dtype=np.float32)
        for place, row in enumerate(rows):
            # A look-up that is not written in Python: there are millions of them.
            ids[place, : len(row.tokens)] = list(map(self.__getitem__, row.tokens))
            masses[place, : len(row.tokens)] = row.logprobs
        return Lists(ids=ids, masses=np.exp(masses))

    def dense(self, lists: Lists) -> NDArray[np.float32]:
        """Probabilities over the alphabet of bytes, (contexts, symbols); the tail of a cut-off list is not in it."""
        count = len(lists.ids)
        if not count or not self._symbols:
            return np.zeros((count, ALPHABET), dtype=np.float32)
        places = np.array(self._symbols)[lists.ids] + ALPHABET * np.arange(count)[:, None]
        sums = np.bincount(places.ravel(), weights=lists.masses.ravel(), minlength=count * ALPHABET)
        return sums.reshape(count, ALPHABET).astype(np.float32)


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


def dense(rows: Sequence[Distribution]) -> NDArray[np.float32]:
    """Probabilities over the alphabet of bytes, shape (rows, symbols)."""
    vocabulary = Vocabulary()
    return vocabulary.dense(vocabulary.lists(rows))


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
    models = [suspect, reference, *(others[place] for place in used)]
    return _aligned(models, [[table[context] for context in common] for table in tables], common, used)


def _aligned(
    models: Sequence[Recording], rows: Sequence[Sequence[Distribution]], common: Sequence[Context], used: Sequence[int]
) -> Aligned:
    vocabulary = Vocabulary()
    lists = [vocabulary.lists(table) for table in rows]
    probabilities = np.stack([vocabulary.dense(each) for each in lists])
    index = {key: place for place, key in enumerate(dict.fromkeys(key for key, _ in common))}
    prompts = np.array([index[key] for key, _ in common], dtype=np.int64)
    return Aligned(
        probabilities=probabilities,
        prompts=prompts,
        used=tuple(used),
        tokens=affinity.of_lists([each.ids for each in lists], [each.masses for each in lists], prompts),
        bytes_=affinity.of_tables(probabilities, prompts),
        ranks=np.stack([each.ranks() for each in lists]),
        tokenizers=tuple(model.model.tokenizer for model in models),
    )


def tail_share(aligned: Aligned) -> float:
    """Mean probability outside the recorded lists, over suspect and reference."""
    return float(np.clip(1 - aligned.probabilities[:2].sum(axis=2), 0, 1).mean())


def by_prompt(values: Floats, aligned: Aligned) -> Floats:
    """Mean per prompt."""
    sizes = np.bincount(aligned.prompts, minlength=aligned.prompt_count)
    sums = np.bincount(aligned.prompts, weights=values, minlength=aligned.prompt_count)
    return np.asarray(sums / np.maximum(sizes, 1), dtype=np.float64)
