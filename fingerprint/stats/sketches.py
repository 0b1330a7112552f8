"""Answers of one model as a few thousand numbers: what makes thousands of models comparable.

`textsim` compares all models of a panel at once, prompt by prompt. Here every model is reduced on its own to a
sketch of fixed size, and the similarity of two models is the inner product of their sketches. The n-grams
are those of `textsim`, with the same rarity weights and the same cosine per prompt; only the inner product is
approximate: n-grams are added, with a sign, into ``SIZE`` places by their hash (count sketch: Charikar et al. 2002;
as features: Weinberger et al. 2009). Its error has standard deviation 1/√SIZE per view, whatever the prompts.

Rarity is counted over a *population* of at most ``POPULATION`` models. Up to that many models it is the whole
panel, as in `textsim`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fingerprint.stats import textgrams as tg
from fingerprint.stats.wordhash import NEWLINE, Words, mix, words

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

VIEWS = ("shared", "trigrams", "lines", "closings")
BLOCKS = 32
"""Groups of prompts with places of their own in a sketch, so that prompts can be resampled afterwards."""
SIZE = 1 << 16
POPULATION = 128
_PLACES = SIZE // BLOCKS
_PROMPT_BITS = 13
MOST_PROMPTS = 1 << _PROMPT_BITS
_GROUPS = ("body", "lines", "closings")
#: The views, and the group of n-grams that each is made of.
_SOURCE = {"shared": "body", "trigrams": "body", "lines": "lines", "closings": "closings"}
Keys = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """How many models of the population used an n-gram in answer to a prompt.

    ``keys`` and ``counts`` hold, by group, the n-grams that at least two used, in order; ``answered`` (prompts,)
    counts the models that answered.
    """

    keys: dict[str, Keys]
    counts: dict[str, npt.NDArray[np.uint16]]
    answered: Floats

    def count(self, group: str, keys: Keys) -> Floats:
        """Models that used each n-gram; 1 for those that the table does not hold."""
        table = self.keys[group]
        if not len(table):
            return np.ones(len(keys))
        place = np.minimum(np.searchsorted(table, keys), len(table) - 1)
        return np.where(table[place] == keys, self.counts[group][place], 1).astype(np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """One model: ``values`` (views, blocks, places), and which prompts it answered (prompts,)."""

    values: Singles
    answered: Bools


def grams(answers: Sequence[str | None]) -> tuple[dict[str, Keys], Bools]:
    """By group, the distinct (n-gram, prompt) keys of one model's answers in order; which prompts are answered.

    Answers that say nothing (blank, refusals, one text to everything) are dropped as in `textsim`.
    """
    if len(answers) > MOST_PROMPTS:
        raise ValueError(f"{len(answers)} prompts; a sketch holds {MOST_PROMPTS}")
    row = tg.usable([list(answers)])[0]
    hashes, counts = words([text or "" for text in row])
    flat, table, newline = _laid_out(hashes, counts)
    parts = {
        "body": tg.word_grams(flat, table, (1, 2, 3)),
        "lines": tg.line_grams(flat, table, newline) if len(flat.ids) else (flat.doc, flat.ids),
        "closings": tg.edge_grams(flat, table, closing=True),
    }
    return {name: _keys(*part) for name, part in parts.items()}, counts > 0


def _laid_out(hashes: Words, counts: tg.Ints) -> tuple[tg.Flat, tg.Ints, int]:
    """The pieces as `textgrams` wants them, with multipliers that depend on the words alone."""
    unique, ids = np.unique(hashes, return_inverse=True)
    unique = np.concatenate([unique, np.array([1, 2], np.uint64)])  # the edges of a text
    table = np.stack([mix(unique * np.uint64(2 * order + 3)) >> np.uint64(2) for order in range(4)]).astype(np.int64)
    doc = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    first = np.cumsum(counts) - counts
    start = np.arange(len(doc), dtype=np.int64) - first[doc]
    flat = tg.Flat(ids=ids.astype(np.int64), doc=doc, start=start, end=counts[doc] - 1 - start)
    place = int(np.searchsorted(unique[:-2], np.uint64(NEWLINE)))
    found = place < len(unique) - 2 and int(unique[place]) == NEWLINE
    return flat, table, place if found else -1


def _keys(doc: tg.Ints, hashes: tg.Ints) -> Keys:
    """Distinct (n-gram, prompt) in one word each, sorted: the hash above, the prompt in the low bits."""
    key = np.sort((hashes.astype(np.uint64) << np.uint64(_PROMPT_BITS)) | doc.astype(np.uint64))
    return key[np.concatenate([[True], key[1:] != key[:-1]])] if len(key) else key


def population(models: Iterable[Sequence[str | None]]) -> Population:
    """Count n-grams over models (each a list of answers, one per prompt)."""
    found: dict[str, list[Keys]] = {group: [] for group in _GROUPS}
    answered: list[Bools] = []
    for answers in models:
        keys, given = grams(answers)
        answered.append(given)
        for group, part in keys.items():
            found[group].append(part)
    tables, counts = {}, {}
    for group, parts in found.items():
        tables[group], counts[group] = counted(parts)
    return Population(keys=tables, counts=counts, answered=np.sum(answered, axis=0, dtype=np.float64))


def counted(parts: list[Keys]) -> tuple[Keys, npt.NDArray[np.uint16]]:
    """Keys that at least two of the parts hold, in order, and how many do; empties ``parts`` to save memory."""
    together = np.sort(np.concatenate(parts)) if parts else np.zeros(0, np.uint64)
    parts.clear()
    if not len(together):
        return together, np.zeros(0, np.uint16)
    edges = np.flatnonzero(np.concatenate([[True], together[1:] != together[:-1], [True]]))
    size = np.diff(edges)
    kept = size >= 2
    return together[edges[:-1][kept]], size[kept].astype(np.uint16)


def sketch(answers: Sequence[str | None], known: Population) -> Sketch:
    """The sketch of one model against a population that answered the same prompts."""
    keys, answered = grams(answers)
    values = np.zeros((len(VIEWS), SIZE), np.float32)
    for group in _GROUPS:
        part = keys[group]
        prompt = (part & np.uint64(MOST_PROMPTS - 1)).astype(np.int64)
        use, models = known.count(group, part), known.answered[prompt]
        rarity = np.log((models + 1) / np.minimum(use, models + 1))
        place, sign = _place(part, prompt)
        for view, name in enumerate(VIEWS):
            if _SOURCE[name] == group:
                weight = rarity * _kept(name, part, use, models)
                norm = np.sqrt(np.bincount(prompt, weights=weight**2, minlength=len(answers)))
                norm[norm == 0] = np.inf
                values[view] = np.bincount(place, weights=sign * weight / norm[prompt], minlength=SIZE)
    return Sketch(values=values.reshape(len(VIEWS), BLOCKS, _PLACES), answered=answered)


def _kept(view: str, keys: Keys, use: Floats, models: Floats) -> Bools | bool:
    if view == "shared":
        return np.asarray((use >= 2) & (use <= models / 2), np.bool_)
    if view == "trigrams":
        return np.asarray((keys >> np.uint64(_PROMPT_BITS)) & np.uint64(2**tg.ORDER_BITS - 1) == 3, np.bool_)
    return True


def _place(keys: Keys, prompt: tg.Ints) -> tuple[tg.Ints, Floats]:
    """Place and sign of each key; a prompt's n-grams fall into its block."""
    spread = mix(keys)
    inside = (spread & np.uint64(_PLACES - 1)).astype(np.int64)
    sign = np.where(spread >> np.uint64(63), 1.0, -1.0)
    return (prompt % BLOCKS) * _PLACES + inside, sign
