"""What peers compute, re-implemented from their formulas, on the same recordings and pairs as ours.

Larger is closer in every one. ``jsd`` and ``top1`` come with the features; here are the others.

=================  ==================================================================================================
``provenance_z``   agreement on the likeliest next symbol, two-proportion z against the best control (Nikolić et al.
                   2025, model provenance testing)
``nei``            Σ P₁P₂ / √(Σ P₁² · Σ P₂²) over contexts and symbols: Nei's similarity of allele frequencies
                   (Yax et al. 2024, PhyloLM), with next-symbol probabilities for alleles
``mmd``            −MMD² of sampled answers per prompt with the Hamming kernel on characters (Gao et al. 2024, model
                   equality testing), on prompts that were answered more than once
``slop_jaccard``   Jaccard index of the words and bigrams that a model over-uses against all others (Paech, slop-forensics)
=================  ==================================================================================================
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fingerprint.bench.features import FeatureTable
from fingerprint.evidence.text import usable_answers
from fingerprint.recording import Recording

Floats = NDArray[np.float64]
BASELINES = ("jsd", "top1", "provenance_z", "nei", "mmd", "slop_jaccard", "plain_z", "phrases")
_CHARACTERS = 64
_OVERUSED = 150
_FEWEST_USES = 3
_WORD = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True, kw_only=True)
class Baselines:
    """Everything that pairs share, computed once for a whole zoo."""

    table: FeatureTable

    def of(self, suspect: str, reference: str, controls: Sequence[str]) -> dict[str, float]:
        """The baselines that need more than the features."""
        i, j, *rest = (self._place[name] for name in (suspect, reference, *controls))
        count = len(self.table.aligned.prompts)
        found = {
            "provenance_z": min((_z(self._top1[i, j], self._top1[i, c], count) for c in rest), default=0.0),
            "nei": float(self._nei[i, j]),
            "slop_jaccard": _jaccard(self._overused[suspect], self._overused[reference]),
        }
        mmd = mmd_squared(self._drawn[suspect], self._drawn[reference])
        return found if mmd is None else found | {"mmd": -mmd}

    @cached_property
    def _place(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.table.recordings)}

    @cached_property
    def _top1(self) -> Floats:
        likeliest = self.table.aligned.probabilities.argmax(axis=2)
        return np.array([(likeliest == row).mean(axis=1) for row in likeliest])

    @cached_property
    def _nei(self) -> Floats:
        flat = self.table.aligned.probabilities.reshape(len(self._place), -1)
        gram = np.asarray(flat @ flat.T, dtype=np.float64)
        norms = np.sqrt(np.diag(gram))
        return np.asarray(gram / np.outer(norms, norms), dtype=np.float64)

    @cached_property
    def _drawn(self) -> dict[str, dict[str, Floats]]:
        return {name: _codes(recording) for name, recording in self.table.recordings.items()}

    @cached_property
    def _overused(self) -> dict[str, set[str]]:
        return overused({name: _grams(recording) for name, recording in self.table.recordings.items()})


def _z(first: float, second: float, count: int) -> float:
    """Two-proportion z of two agreement rates over the same number of contexts."""
    pooled = (first + second) / 2
    spread = np.sqrt(max(pooled * (1 - pooled), 1e-9) * 2 / count)
    return float((first - second) / spread)


def _codes(recording: Recording) -> dict[str, Floats]:
    """Prompt → code points of its answers (answers, characters), 0 where an answer has ended."""
    found = {}
    for key, texts in usable_answers(recording).items():
        if len(texts) >= 2:
            rows = np.zeros((len(texts), _CHARACTERS))
            for row, text in zip(rows, texts, strict=True):
                codes = [ord(letter) for letter in text[:_CHARACTERS]]
                row[: len(codes)] = codes
            found[key] = rows
    return found


def mmd_squared(first: Mapping[str, Floats], second: Mapping[str, Floats]) -> float | None:
    """Unbiased MMD² with the Hamming kernel, mean over common prompts; None without a prompt that both drew twice."""
    values = []
    for key in sorted(set(first) & set(second)):
        x, y = first[key], second[key]
        xx, yy, xy = (_kernel(a, b) for a, b in ((x, x), (y, y), (x, y)))
        within = sum((k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (xx, yy))
        values.append(within - 2 * xy.mean())
    return float(np.mean(values)) if values else None


def _kernel(first: Floats, second: Floats) -> Floats:
    return np.asarray((first[:, None, :] == second[None, :, :]).mean(axis=2), dtype=np.float64)


def _grams(recording: Recording) -> Counter[str]:
    counts: Counter[str] = Counter()
    for texts in usable_answers(recording).values():
        for text in texts:
            words = _WORD.findall(text.lower())
            counts.update(words)
            counts.update(" ".join(pair) for pair in pairwise(words))
    return counts


def overused(counts: Mapping[str, Counter[str]]) -> dict[str, set[str]]:
    """For each model, the expressions it uses most in proportion to how often all models do."""
    total: Counter[str] = Counter()
    for counter in counts.values():
        total.update(counter)
    size = sum(total.values())
    found = {}
    for name, counter in counts.items():
        own = max(sum(counter.values()), 1)
        ratio = {g: (n / own) / (total[g] / size) for g, n in counter.items() if n >= _FEWEST_USES}
        found[name] = {g for g, _ in sorted(ratio.items(), key=lambda item: (-item[1], item[0]))[:_OVERUSED]}
    return found


def _jaccard(first: set[str], second: set[str]) -> float:
    union = len(first | second)
    return len(first & second) / union if union else 0.0
