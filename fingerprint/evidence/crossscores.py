"""Who finds whose text how likely: bits per byte of every scored answer, as one array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerprint.canonical import digest
from fingerprint.evidence.base import NOT_EVIDENCE
from fingerprint.recording import Recording, Sample

Floats = NDArray[np.float64]
_FEWEST_BYTES = 8


@dataclass(frozen=True, kw_only=True)
class CrossScores:
    """``bits`` (scorers, authors, prompts) per byte, NaN where not scored; row and column i are the same model."""

    bits: Floats

    def choose(self, rows: Sequence[int]) -> CrossScores:
        """The same for some of the models, in the order of ``rows``."""
        return CrossScores(bits=self.bits[np.ix_(rows, rows, range(self.bits.shape[2]))])


def scorable(recording: Recording) -> list[Sample]:
    """The answers that are worth scoring under other models: not blank, not tiny, no guardrail probes."""
    return [
        sample
        for sample in recording.samples
        if sample.draw == 0
        and len(sample.text.encode("utf-8", "surrogatepass")) >= _FEWEST_BYTES
        and recording.prompt_by_id[sample.prompt].set != NOT_EVIDENCE
    ]


def cross_scores(models: Sequence[Recording]) -> CrossScores:
    """Every model's scores of every model's first answers, on the prompts of which any answer was scored."""
    tables = [_scores(model) for model in models]
    known = {prompt for table in tables for prompt, _ in table}
    texts = [_texts(model, known) for model in models]
    prompts = {key: place for place, key in enumerate(sorted(known))}
    bits = np.full((len(models), len(models), len(prompts)), np.nan)
    for scorer, table in enumerate(tables):
        if not table:
            continue
        for author, answers in enumerate(texts):
            for key, text in answers.items():
                value = table.get((key, text))
                if value is not None:
                    bits[scorer, author, prompts[key]] = value
    return CrossScores(bits=bits)


def _texts(recording: Recording, wanted: set[str]) -> dict[str, str]:
    """Prompt key → digest of the first answer."""
    keys = {sample.prompt: recording.prompt_by_id[sample.prompt].key for sample in recording.samples}
    return {key: digest(s.text)[7:31] for s in scorable(recording) if (key := keys[s.prompt]) in wanted}


def _scores(recording: Recording) -> dict[tuple[str, str], float]:
    return {(recording.prompt_by_id[score.prompt].key, score.text): score.bits_per_byte for score in recording.scores}
