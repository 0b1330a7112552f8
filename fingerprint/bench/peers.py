"""Distances of peers, for trees beside ours: Nei's distance of PhyloLM, and Jaccard of over-used n-grams.

Each is a function of weights over prompts (None: each once), so that the same bootstrap serves all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fingerprint.evidence.align import align
from fingerprint.evidence.base import Skipped
from fingerprint.evidence.text import usable_answers
from fingerprint.recording import Recording
from fingerprint.stats.textgrams import tokenise

Floats = NDArray[np.float64]
Distance = Callable[[Floats | None], Floats]
_ALLELE = 4  # characters of a completion that count as one allele (PhyloLM)
_OVERUSED = 300
_LEAST = 3


def nei_of_text(recordings: Sequence[Recording]) -> Distance:
    """PhyloLM (Yax, Oudeyer and Palminteri 2024): prompts are genes, the first characters of sampled answers alleles.

    Similarity of Nei (1972): Σ P_i·P_j / √(Σ P_i² Σ P_j²) over genes and alleles, as a distance −ln.
    """
    answers = [usable_answers(recording) for recording in recordings]
    keys = sorted(set().union(*answers))
    grams = np.zeros((len(keys), len(recordings), len(recordings)))
    for row, key in enumerate(keys):
        drawn = [[text.strip()[:_ALLELE] for text in found.get(key, ())] for found in answers]
        alleles = {allele: place for place, allele in enumerate(dict.fromkeys(a for found in drawn for a in found))}
        shares = np.zeros((len(recordings), len(alleles)))
        for model, found in enumerate(drawn):
            for allele in found:
                shares[model, alleles[allele]] += 1 / len(found)
        grams[row] = shares @ shares.T
    return _nei(grams)


def nei_of_distributions(recordings: Sequence[Recording]) -> Distance | None:
    """The same with the exact next-token distribution in place of samples; None where there is none in common."""
    table = align(recordings[0], recordings[1], recordings[2:])
    if isinstance(table, Skipped) or len(table.used) < len(recordings) - 2:
        return None
    grams = np.zeros((table.prompt_count, len(recordings), len(recordings)))
    for context, prompt in enumerate(table.prompts):
        rows = table.probabilities[:, context].astype(np.float64)
        grams[prompt] += rows @ rows.T
    return _nei(grams)


def _nei(grams: Floats) -> Distance:
    def distance(times: Floats | None) -> Floats:
        total = grams.sum(axis=0) if times is None else np.tensordot(_fit(times, len(grams)), grams, axes=1)
        own = np.sqrt(np.maximum(np.diag(total), 1e-12))
        found = -np.log(np.clip(total / own[:, None] / own[None], 1e-6, 1.0))
        np.fill_diagonal(found, 0.0)
        return np.asarray(found, np.float64)

    return distance


def overused_jaccard(recordings: Sequence[Recording]) -> Distance:
    """One minus the rarity-weighted Jaccard overlap of the word n-grams that a model uses more than the others do.

    After the slop profiles of Paech (2025), which are sets of over-used words, bigrams and trigrams.
    """
    answers = [usable_answers(recording) for recording in recordings]
    keys = sorted(set().union(*answers))
    tokens = tokenise([[found.get(key, (None,))[0] for key in keys] for found in answers])
    vocabulary: dict[tuple[int, ...], int] = {}
    parts = [_counts(column, vocabulary) for column in tokens.columns]
    shape = (len(recordings), len(vocabulary))
    stacked = sparse.vstack([sparse.csr_array((values, (rows, places)), shape=shape) for rows, places, values in parts])
    models, prompts = len(recordings), len(parts)

    def distance(times: Floats | None) -> Floats:
        weights = np.ones(prompts) if times is None else _fit(times, prompts)
        # Row m of the product adds up model m's rows of all prompts, each as often as it was drawn.
        places = (np.tile(np.arange(models), prompts), np.arange(models * prompts))
        chosen = sparse.csr_array((np.repeat(weights, models), places), shape=(models, models * prompts))
        return _jaccard((chosen @ stacked).toarray())

    return distance


def _counts(
    column: Sequence[NDArray[np.int64]], vocabulary: dict[tuple[int, ...], int]
) -> tuple[list[int], list[int], list[float]]:
    rows, places = [], []
    for model, ids in enumerate(column):
        words = ids.tolist()
        for order in (1, 2, 3):
            for start in range(len(words) - order + 1):
                rows.append(model)
                places.append(vocabulary.setdefault(tuple(words[start : start + order]), len(vocabulary)))
    return rows, places, [1.0] * len(rows)


def _jaccard(counts: Floats) -> Floats:
    models = len(counts)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    others = (share.sum(axis=0) - share) / max(models - 1, 1)
    excess = np.where(counts >= _LEAST, np.log((share + 1e-6) / (others + 1e-6)), 0.0)
    chosen = np.zeros_like(counts)
    for row in range(models):
        best = np.argsort(-excess[row], kind="stable")[:_OVERUSED]
        chosen[row, best[excess[row, best] > 0]] = 1.0
    used = (counts > 0).sum(axis=0)
    weighted = chosen * np.log((models + 1) / np.maximum(used, 1))
    both = weighted @ chosen.T
    own = weighted.sum(axis=1)
    union = own[:, None] + own[None] - both
    found = 1 - np.divide(both, union, out=np.zeros_like(both), where=union > 0)
    np.fill_diagonal(found, 0.0)
    return np.asarray(found, np.float64)


def _fit(times: Floats, prompts: int) -> Floats:
    """Weights for as many prompts as a method has (methods see different prompts)."""
    return np.resize(times, prompts)
