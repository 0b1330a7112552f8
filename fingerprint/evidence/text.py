"""Text × text: control contrast, rarity-weighted match, shared rare n-grams.

Needs sampled answers of both sides to the same prompts. Blank answers are missing values; answers that the
whole population gives weigh nothing.
"""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from fingerprint.evidence.base import MIN_PROMPTS, NOT_EVIDENCE, Evidence, Skipped
from fingerprint.evidence.case import Case
from fingerprint.recording import Recording
from fingerprint.stats.intervals import bootstrap_interval
from fingerprint.stats.panel import MIN_PANEL
from fingerprint.stats.permutation import mcnemar
from fingerprint.stats.textgrams import constants, says_nothing
from fingerprint.stats.textsim import pair_scores

Floats = NDArray[np.float64]
#: Balding–Nichols: co-ancestry θ bounds what one match is worth at 1/θ; ε is the chance that a relation does not show.
THETA, EPSILON = 0.05, 0.5
_WORD = re.compile(r"[^\W_]+", re.UNICODE)
_WORDS = 4
_FEWEST_OTHERS = 3


def usable_answers(recording: Recording) -> dict[str, tuple[str, ...]]:
    """Prompt key → answers that say something: no guardrail probes, refusals, or texts that ignore the prompt."""
    barred = {prompt.key for prompt in recording.prompts if prompt.set == NOT_EVIDENCE}
    asked = {key: texts for key, texts in recording.answers.items() if key not in barred}
    same = constants([texts[0] for texts in asked.values()])
    kept = {
        key: tuple(text for text in texts if text.strip() not in same and not says_nothing(text))
        for key, texts in asked.items()
    }
    return {key: texts for key, texts in kept.items() if texts}


def opening(answer: str) -> str:
    """An answer reduced to its first words, without case and punctuation: what matching compares."""
    return " ".join(_WORD.findall(answer[:400].lower())[:_WORDS])


def modal_openings(recording: Recording) -> dict[str, str]:
    """Prompt key → the commonest opening, the first drawn one among equals."""
    found = {}
    for key, texts in usable_answers(recording).items():
        counts = Counter(text for text in map(opening, texts) if text)
        if counts:
            found[key] = counts.most_common(1)[0][0]
    return found


def text_evidence(case: Case) -> list[Evidence | Skipped]:
    """All text methods, or the one reason why none applies."""
    names = ("control_contrast", "rarity_match", "rare_ngrams")
    answers = [usable_answers(side) for side in (case.suspect, case.reference)]
    for side, found in zip((case.suspect, case.reference), answers, strict=True):
        if not found:
            return [Skipped(method=name, reason=f"{side.model.name} has no answer that is not blank") for name in names]
    common = sorted(set(answers[0]) & set(answers[1]))
    if len(common) < MIN_PROMPTS:
        reason = f"only {len(common)} prompts answered by both, {MIN_PROMPTS} needed"
        return [Skipped(method=name, reason=reason) for name in names]
    return [_contrast(case), _rarity(case), _ngrams(case, common)]


def _matches(case: Case) -> tuple[list[str], Floats, Floats]:
    """Prompts, matches of the suspect with the reference (prompts,), with the others (others, prompts; NaN missing)."""
    mine, theirs = modal_openings(case.suspect), modal_openings(case.reference)
    keys = sorted(set(mine) & set(theirs))
    hits = np.array([float(mine[key] == theirs[key]) for key in keys])
    rows = []
    for other in case.others:
        table = modal_openings(other)
        rows.append([float(mine[key] == table[key]) if key in table else np.nan for key in keys])
    return keys, hits, np.array(rows, dtype=np.float64).reshape(len(rows), len(keys))


def _contrast(case: Case) -> Evidence | Skipped:
    """McNemar per control on discordant prompts, and the rank of the reference among the controls."""
    keys, hits, rivals = _matches(case)
    kept = [place for place in range(len(rivals)) if np.isfinite(rivals[place]).sum() >= MIN_PROMPTS]
    if not kept:
        return Skipped(method="control_contrast", reason="needs a control that answered the same prompts")
    pvalues, rates = [], {}
    for place in kept:
        known = np.isfinite(rivals[place])
        mine, other = hits[known] > 0, rivals[place][known] > 0
        pvalues.append(mcnemar(int(np.sum(mine & ~other)), int(np.sum(~mine & other))))
        rates[case.labels[place]] = float(other.mean())
    value = float(hits.mean())
    rank = (1 + sum(rate >= value for rate in rates.values())) / (1 + len(rates))
    return Evidence(
        method="control_contrast",
        title="Matching answers, against controls",
        access="text",
        statistic=value - max(rates.values()),
        effect=value,
        interval=bootstrap_interval(lambda w: float(w @ hits / w.sum()), len(keys), seed=case.seed),
        pvalue=max(*pvalues, rank),
        n=len(keys),
        note=f"rank p {rank:.3g} of {len(rates)} controls (it cannot be lower than {1 / (1 + len(rates)):.2g})",
        controls=rates,
    )


def _rarity(case: Case) -> Evidence | Skipped:
    """Balding–Nichols (1994) log likelihood ratio per prompt: a match counts by the rarity of the answer."""
    if len(case.others) < _FEWEST_OTHERS:
        return Skipped(method="rarity_match", reason=f"needs {_FEWEST_OTHERS} controls or panel models for frequencies")
    tables = [modal_openings(other) for other in case.others]
    mine, theirs = modal_openings(case.suspect), modal_openings(case.reference)
    keys = [key for key in sorted(set(mine) & set(theirs)) if sum(key in table for table in tables) >= _FEWEST_OTHERS]
    if len(keys) < MIN_PROMPTS:
        return Skipped(method="rarity_match", reason=f"only {len(keys)} prompts answered by enough of the population")
    values = np.array([rarity_log_lr(mine[key], theirs[key], [t[key] for t in tables if key in t]) for key in keys])
    controls = {}
    for place, table in enumerate(tables):
        rest = [other for index, other in enumerate(tables) if index != place]
        shared = [key for key in keys if key in table]
        scores = [rarity_log_lr(mine[key], table[key], [t[key] for t in rest if key in t]) for key in shared]
        if scores:
            controls[case.labels[place]] = float(np.mean(scores))
    value = float(values.mean())
    return Evidence(
        method="rarity_match",
        title="Rarity-weighted match",
        access="text",
        statistic=float(values.sum()),
        effect=value,
        interval=bootstrap_interval(lambda w: float(w @ values / w.sum()), len(keys), seed=case.seed),
        pvalue=(1 + sum(score >= value for score in controls.values())) / (1 + len(controls)),
        n=len(keys),
        note="nats per prompt; uncalibrated: prompts are not independent, so it is compared, never added up",
        controls=controls,
    )


def rarity_log_lr(first: str, second: str, population: list[str]) -> float:
    """log[(1−ε)·1(match) + ε·p] − log[θ + (1−θ)·p] with p the add-half frequency of the first answer."""
    frequency = (population.count(first) + 0.5) / (len(population) + 1)
    match = float(first == second)
    # A mismatch has probability ε(1−p) under relation and (1−θ)(1−p) without, from which p cancels.
    if not match:
        return float(np.log(EPSILON) - np.log(1 - THETA))
    return float(np.log((1 - EPSILON) + EPSILON * frequency) - np.log(THETA + (1 - THETA) * frequency))


def _ngrams(case: Case, common: list[str]) -> Evidence:
    """Rare n-gram cosine, normalised against the panel on both sides (after AS-norm in speaker verification)."""
    models = (case.suspect, case.reference, *case.others)
    answers = [usable_answers(model) for model in models]
    table = [[(found[key][0] if key in found else None) for key in common] for found in answers]
    scores = pair_scores(table)
    value = float(scores.score[0, 1])
    shared = [place for place in range(len(case.others)) if scores.shared_prompts[0, place + 2] >= MIN_PROMPTS]
    controls = {case.labels[place]: float(scores.score[0, place + 2]) for place in shared}
    unit = "standard deviations" if scores.normalised else f"raw cosine: below {MIN_PANEL} models nothing to normalise by"
    return Evidence(
        method="rare_ngrams",
        title="Shared rare n-grams",
        access="text",
        statistic=value,
        effect=value,
        interval=None,
        pvalue=(1 + sum(score >= value for score in controls.values())) / (1 + len(controls)) if controls else None,
        n=len(common),
        note=unit,
        controls=controls,
        features={"text_z": value, "phrases": float(scores.components["phrases"][0, 1])} if scores.normalised else {},
    )
