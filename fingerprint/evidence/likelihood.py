"""Text × log-probabilities: does one model find the other's text unusually likely?

For the commonest real case, in which one side gives text only. Scores are bits per byte, so tokenizers do not matter
(`fingerprint collect --score` adds them to a recording; `compare` does so for models that it can ask).
"""

from __future__ import annotations

import numpy as np

from fingerprint.canonical import digest
from fingerprint.evidence.base import MIN_PROMPTS, NOT_EVIDENCE, Evidence, Skipped
from fingerprint.evidence.case import Case
from fingerprint.recording import Recording, Sample
from fingerprint.stats.intervals import bootstrap_interval
from fingerprint.stats.permutation import beats_all

_FEWEST_BYTES = 8


def scorable(recording: Recording) -> list[Sample]:
    """The answers that are worth scoring under other models: not blank, not tiny, no guardrail probes."""
    return [
        sample
        for sample in recording.samples
        if sample.draw == 0
        and len(sample.text.encode("utf-8", "surrogatepass")) >= _FEWEST_BYTES
        and recording.prompt_by_id[sample.prompt].set != NOT_EVIDENCE
    ]


def cross_likelihood(case: Case) -> list[Evidence | Skipped]:
    """Both directions: the suspect's text under the reference, and the reference's text under the suspect."""
    return [
        _one_way(case, case.suspect, case.reference, "suspect_text_likelihood", "Suspect's text under the reference"),
        _one_way(case, case.reference, case.suspect, "reference_text_likelihood", "Reference's text under the suspect"),
    ]


def _one_way(case: Case, author: Recording, scorer: Recording, method: str, title: str) -> Evidence | Skipped:
    texts = scorable(author)
    keys = [(author.prompt_by_id[sample.prompt].key, digest(sample.text)[7:31]) for sample in texts]
    own = _scores(scorer)
    keys = [key for key in keys if key in own]
    if len(keys) < MIN_PROMPTS:
        reason = f"{scorer.model.name} has not scored the answers of {author.model.name}{scorer.why_not('scores')}"
        return Skipped(method=method, reason=reason)
    rivals: dict[str, list[float]] = {}
    for label, other in zip(case.labels, case.others, strict=True):
        table = _scores(other)
        if all(key in table for key in keys):
            rivals[label] = [table[key] for key in keys]
    if not rivals:
        return Skipped(method=method, reason=f"no control has scored the answers of {author.model.name}")
    mine = np.array([own[key] for key in keys])
    table_of_rivals = np.array(list(rivals.values()))
    gains = table_of_rivals.mean(axis=0) - mine
    value = float(gains.mean())
    return Evidence(
        method=method,
        title=title,
        access="topk",
        statistic=value,
        effect=value,
        interval=bootstrap_interval(lambda w: float(w @ gains / w.sum()), len(gains), seed=case.seed),
        pvalue=beats_all(-mine, -table_of_rivals, seed=case.seed),
        n=len(gains),
        note="bits per byte saved against the mean of the controls",
        controls={
            label: float(np.mean(np.delete(table_of_rivals, place, 0).mean(axis=0) - row)) if len(rivals) > 1 else 0.0
            for place, (label, row) in enumerate(zip(rivals, table_of_rivals, strict=True))
        },
    )


def _scores(recording: Recording) -> dict[tuple[str, str], float]:
    return {(recording.prompt_by_id[score.prompt].key, score.text): score.bits_per_byte for score in recording.scores}
