"""How far apart two models are on one probe, from whatever both gave: next-symbol probabilities, else answers.

Needs the same prompt on both sides. Distances are compared with each other on the same probe only, so their scale
does not matter. With probabilities: total variation, over tokens where both use one tokenizer, over first bytes
otherwise. With answers: 1 − ½ (share of draws whose openings match + overlap of their words, Jaccard 1901).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fingerprint.evidence.base import NOT_EVIDENCE
from fingerprint.evidence.text import opening, usable_answers
from fingerprint.recording import Distribution, Recording

Floats = NDArray[np.float64]
_READ = 2_000


@dataclass(frozen=True, kw_only=True)
class Side:
    """One model's rows by prompt key, guardrail probes left out."""

    recording: Recording

    @cached_property
    def answers(self) -> dict[str, tuple[str, ...]]:
        return usable_answers(self.recording)

    @cached_property
    def contexts(self) -> dict[str, dict[int, Distribution]]:
        """Prompt key → byte offset → distribution."""
        found: dict[str, dict[int, Distribution]] = {}
        for row in self.recording.distributions:
            prompt = self.recording.prompt_by_id[row.prompt]
            if row.draw == 0 and prompt.set != NOT_EVIDENCE:
                found.setdefault(prompt.key, {})[row.at] = row
        return found

    @cached_property
    def _tables(self) -> dict[tuple[str, int, bool], Mapping[str, float]]:
        return {}

    def table(self, key: str, at: int, *, whole: bool) -> Mapping[str, float]:
        """Probability of each next token (``whole``) or first byte at a place of a prompt."""
        if (key, at, whole) not in self._tables:
            self._tables[key, at, whole] = next_symbols(self.contexts[key][at], whole=whole)
        return self._tables[key, at, whole]


def distance(first: Side, second: Side, key: str) -> float | None:
    """Distance of two models on a probe in [0, 1], or None where they gave nothing that can be compared."""
    one, two = first.contexts.get(key, {}), second.contexts.get(key, {})
    if common := sorted(set(one) & set(two)):
        alike = first.recording.model.tokenizer == second.recording.model.tokenizer
        tables = [(first.table(key, at, whole=alike), second.table(key, at, whole=alike)) for at in common]
        return float(np.mean([_variation(mine, theirs) for mine, theirs in tables]))
    mine, theirs = first.answers.get(key, ()), second.answers.get(key, ())
    if not mine or not theirs:
        return None
    pairs = [(a, b) for a in mine for b in theirs]
    return 1 - sum(_match(a, b) + _overlap(a, b) for a, b in pairs) / (2 * len(pairs))


def signs(suspect: Side, reference: Side, controls: list[Side], keys: list[str]) -> Floats:
    """+1 where the suspect is closer to the reference, −1 where to the control, 0 for neither: (controls, probes)."""
    near = [distance(suspect, reference, key) for key in keys]
    rows = []
    for control in controls:
        far = [distance(suspect, control, key) for key in keys]
        rows.append([0.0 if a is None or b is None else float(np.sign(b - a)) for a, b in zip(near, far, strict=True)])
    return np.array(rows, dtype=np.float64).reshape(len(controls), len(keys))


def next_symbols(row: Distribution, *, whole: bool) -> dict[str, float]:
    """Probability of each next token, or of each first byte; what was not listed is under a name of its own."""
    found: dict[str, float] = {"tail": row.tail}
    for token, logprob in zip(row.tokens, row.logprobs, strict=True):
        name = "=" + (token if whole else token[:1])
        found[name] = found.get(name, 0.0) + math.exp(logprob)
    return found


def _variation(one: Mapping[str, float], two: Mapping[str, float]) -> float:
    # |a − b| = a + b − 2 min(a, b), and the minimum is 0 wherever one side has nothing.
    shared = sum(min(value, two[name]) for name, value in one.items() if name in two)
    return (sum(one.values()) + sum(two.values())) / 2 - shared


def _match(one: str, two: str) -> float:
    start = opening(one)
    return float(bool(start) and start == opening(two))


def _overlap(one: str, two: str) -> float:
    mine, theirs = set(one[:_READ].lower().split()), set(two[:_READ].lower().split())
    return len(mine & theirs) / len(mine | theirs) if mine | theirs else 0.0
