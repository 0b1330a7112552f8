"""Fewer queries: the same pairs seen through some of the prompts only, for power curves and for resampled nulls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fingerprint.bench.rates import discrimination
from fingerprint.bench.zoo import LINEAGE, TIERS, Say, Scored, Zoo, eligible, left_out, score_pairs
from fingerprint.recording import Recording
from fingerprint.zoo.pairs import SAME_DATA, Pair

#: Prompts asked, as far as there are so many.
COUNTS = (25, 50, 100, 200, 400)


def limited(zoo: Zoo, keys: Sequence[str]) -> Zoo:
    """The zoo as if only these prompts (by key) had been asked."""
    wanted = set(keys)
    return Zoo(recordings={name: _limited(each, wanted) for name, each in zoo.recordings.items()}, cards=zoo.cards)


def _limited(recording: Recording, wanted: set[str]) -> Recording:
    ids = {prompt.id for prompt in recording.prompts if prompt.key in wanted}
    return replace(
        recording,
        prompts=tuple(prompt for prompt in recording.prompts if prompt.id in ids),
        samples=tuple(row for row in recording.samples if row.prompt in ids),
        distributions=tuple(row for row in recording.distributions if row.prompt in ids),
        scores=tuple(row for row in recording.scores if row.prompt in ids),
    )


def common_keys(zoo: Zoo) -> list[str]:
    """Keys of the prompts that every model was asked."""
    return sorted(set.intersection(*({prompt.key for prompt in r.prompts} for r in zoo.recordings.values())))


def draws(zoo: Zoo, count: int, rounds: int, seed: int) -> Iterator[Zoo]:
    """The zoo under random choices of `count` prompts."""
    keys = common_keys(zoo)
    generator = np.random.default_rng(seed)
    for _ in range(rounds):
        yield limited(zoo, [keys[place] for place in generator.choice(len(keys), min(count, len(keys)), replace=False)])


def hard_pairs(pairs: Sequence[Pair]) -> list[Pair]:
    """Students and their teachers, and the unrelated pairs that read the same data."""
    return [pair for pair in pairs if pair.truth in LINEAGE or pair.stratum in SAME_DATA]


def power(zoo: Zoo, pairs: Sequence[Pair], say: Say, *, seed: int = 0) -> dict[str, Any]:
    """AUC and TPR at 1 % FPR of every tier against same-data pairs, by the number of prompts asked."""
    chosen = hard_pairs(pairs)
    table: dict[str, Any] = {}
    total = len(common_keys(zoo))
    for count in [*(c for c in COUNTS if c < total), total]:
        scored = score_pairs(next(draws(zoo, count, 1, seed)), lambda _: None, chosen)
        table[str(count)] = {name: _row(scored, features) for name, features in TIERS.items()}
        say(f"{count} prompts: {len(scored)} pairs")
    return table


def _row(scored: Sequence[Scored], features: tuple[str, ...]) -> dict[str, Any] | None:
    pairs = eligible(scored, features)
    if len({item.pair.truth in LINEAGE for item in pairs}) < 2:
        return None
    found = discrimination(pairs, left_out(scored, features))
    return {name: found[name] for name in ("derived", "by logits", "by text") if name in found}
