"""How much a probe tells about which model answers: the mutual information of model and answer, in bits.

I = H(mean over models) − mean over models of H (the generalised Jensen–Shannon divergence, Lin 1991), of the next
symbol where at least two models give probabilities, of the opening of the answer otherwise. One answer a model tells
nothing of how much a model disagrees with itself, so text information is then an upper bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fingerprint.evidence.closeness import Side, next_symbols
from fingerprint.evidence.text import opening
from fingerprint.recording import Prompt, Recording

_FEWEST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Information:
    """One probe with its bits, what they were measured on, and by how many models."""

    prompt: Prompt
    bits: float
    measured_on: str
    models: int


def rank_probes(recordings: Sequence[Recording]) -> list[Information]:
    """All prompts that at least two models answered, the most telling first, ties in the order of the recordings.

    Guardrail probes are left out: they are no evidence.
    """
    sides = [Side(recording=recording) for recording in recordings]
    same = len({recording.model.tokenizer for recording in recordings}) == 1
    prompts = {prompt.key: prompt for recording in recordings for prompt in recording.prompts}
    found = [item for key, prompt in prompts.items() if (item := _measure(sides, key, prompt, whole=same))]
    return sorted(found, key=lambda item: -item.bits)


def _measure(sides: Sequence[Side], key: str, prompt: Prompt, *, whole: bool) -> Information | None:
    contexts = [side.contexts[key] for side in sides if key in side.contexts]
    if len(contexts) >= _FEWEST:
        common = set.intersection(*(set(found) for found in contexts))
        if common:
            bits = [mutual_information([next_symbols(found[at], whole=whole) for found in contexts]) for at in common]
            return Information(prompt=prompt, bits=float(np.mean(bits)), measured_on="next symbol", models=len(contexts))
    answers = [side.answers[key] for side in sides if key in side.answers]
    if len(answers) < _FEWEST:
        return None
    shares = []
    for texts in answers:
        starts = [opening(text) for text in texts]
        shares.append({start: starts.count(start) / len(starts) for start in starts})
    return Information(prompt=prompt, bits=mutual_information(shares), measured_on="openings", models=len(answers))


def mutual_information(distributions: Sequence[dict[str, float]]) -> float:
    """Bits by which an answer tells equally likely models apart; never below 0 nor above log2 of their number."""
    names = sorted(set().union(*distributions))
    table = np.array([[row.get(name, 0.0) for name in names] for row in distributions])
    table /= np.maximum(table.sum(axis=1, keepdims=True), 1e-12)
    return max(0.0, _entropy(table.mean(axis=0)) - float(np.mean([_entropy(row) for row in table])))


def _entropy(row: np.typing.NDArray[np.float64]) -> float:
    kept = row[row > 0]
    return float(-(kept * np.log2(kept)).sum())
