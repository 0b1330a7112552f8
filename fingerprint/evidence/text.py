"""Text × text: control contrast, rarity-weighted match, shared rare n-grams.

Needs sampled answers of both sides to the same prompts. Blank answers are missing values. What most models say, a
memorised text or a matter of course, weighs nothing: where the suspect opens as at least half of the models do, the
prompt does not count for the matching of openings, and a whole answer that at least half of them give is missing in the
comparison of n-grams. Both rules look at the reference as at any control, so that they favour neither. Null: the
reference is no closer to the suspect than each of the others is; its sources stand with each statistic
(`fingerprint.stats.permutation`, `fingerprint.stats.textsim`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

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
Opened = tuple[list[str], list[dict[str, str]], str]
#: Balding–Nichols: co-ancestry θ bounds what one match is worth at 1/θ; ε is the chance that a relation does not show.
THETA, EPSILON = 0.05, 0.5
_WORD = re.compile(r"[^\W_]+", re.UNICODE)
_WORDS = 4
_FEWEST_OTHERS = 3
#: An answer is common if this share of the models gives it, and three of four or more: two alone may be kin.
_COMMON, _FEWEST_ALIKE = 0.5, 3
_LOOKED_AT = 400


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


def common_answers(tables: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Prompt key → the answer that at least half of the models give there; ``tables`` hold prompt key → answer.

    Prompts that fewer than four of the models answered have none.
    """
    found = {}
    for key in set().union(*tables):
        given = [table[key] for table in tables if key in table]
        answer, count = Counter(given).most_common(1)[0]
        if len(given) > _FEWEST_OTHERS and count >= max(_FEWEST_ALIKE, _COMMON * len(given)):
            found[key] = answer
    return found


def without_common(answers: Sequence[Mapping[str, tuple[str, ...]]]) -> tuple[list[dict[str, str]], int]:
    """First answers by prompt key without those that at least half of the models give, and on how many prompts."""
    first = [{key: texts[0] for key, texts in table.items()} for table in answers]
    words = [{key: " ".join(_WORD.findall(text[:_LOOKED_AT].lower())) for key, text in table.items()} for table in first]
    common = common_answers(words)
    kept = [
        {key: text for key, text in table.items() if common.get(key) != said[key]}
        for table, said in zip(first, words, strict=True)
    ]
    return kept, len(common)


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
    opened = _opened(case)
    return [_contrast(case, opened), _rarity(case, opened), _ngrams(case, common)]


def _opened(case: Case) -> Opened:
    """Prompts that count, the openings of suspect, reference and others, and a note on the prompts that do not."""
    tables = [modal_openings(model) for model in (case.suspect, case.reference, *case.others)]
    common = common_answers(tables[1:])
    both = sorted(set(tables[0]) & set(tables[1]))
    keys = [key for key in both if common.get(key) != tables[0][key]]
    left = len(both) - len(keys)
    return keys, tables, f"; {left} prompts left out, to which the suspect says what most models say" if left else ""


def _matches(keys: list[str], tables: list[dict[str, str]]) -> tuple[Floats, Floats]:
    """Matches of the suspect with the reference (prompts,), with the others (others, prompts; NaN missing)."""
    mine, theirs, *others = tables
    hits = np.array([float(mine[key] == theirs[key]) for key in keys])
    rows = [[float(mine[key] == table[key]) if key in table else np.nan for key in keys] for table in others]
    return hits, np.array(rows, dtype=np.float64).reshape(len(rows), len(keys))


def _contrast(case: Case, opened: Opened) -> Evidence | Skipped:
    """McNemar per control on discordant prompts, and the rank of the reference among the controls."""
    keys, tables, left_out = opened
    if len(keys) < MIN_PROMPTS:
        return Skipped(method="control_contrast", reason=_few(keys, left_out))
    hits, rivals = _matches(keys, tables)
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
        note=f"rank p {rank:.3g} of {len(rates)} controls (it cannot be lower than {1 / (1 + len(rates)):.2g}){left_out}",
        controls=rates,
    )


def _rarity(case: Case, opened: Opened) -> Evidence | Skipped:
    """Balding–Nichols (1994) log likelihood ratio per prompt: a match counts by the rarity of the answer."""
    if len(case.others) < _FEWEST_OTHERS:
        return Skipped(method="rarity_match", reason=f"needs {_FEWEST_OTHERS} controls or panel models for frequencies")
    counted, (mine, theirs, *tables), left_out = opened
    keys = [key for key in counted if sum(key in table for table in tables) >= _FEWEST_OTHERS]
    if len(keys) < MIN_PROMPTS:
        return Skipped(method="rarity_match", reason=_few(keys, left_out))
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
        note=f"nats per prompt; uncalibrated: prompts are not independent, so it is compared, never added up{left_out}",
        controls=controls,
    )


def _few(keys: list[str], left_out: str) -> str:
    return f"only {len(keys)} prompts on which openings can be compared, {MIN_PROMPTS} needed{left_out}"


def rarity_log_lr(first: str, second: str, population: list[str]) -> float:
    """log[(1−ε)·1(match) + ε·p] − log[θ + (1−θ)·p] with p the add-half frequency of the first answer."""
    frequency = (population.count(first) + 0.5) / (len(population) + 1)
    match = float(first == second)
    # A mismatch has probability ε(1−p) under relation and (1−θ)(1−p) without, from which p cancels.
    if not match:
        return float(np.log(EPSILON) - np.log(1 - THETA))
    return float(np.log((1 - EPSILON) + EPSILON * frequency) - np.log(THETA + (1 - THETA) * frequency))


def _ngrams(case: Case, common: list[str]) -> Evidence | Skipped:
    """Rare n-gram cosine, normalised against the panel on both sides (after AS-norm in speaker verification)."""
    models = (case.suspect, case.reference, *case.others)
    answers, dropped = without_common([usable_answers(model) for model in models])
    scores = pair_scores([[found.get(key) for key in common] for found in answers])
    if scores.shared_prompts[0, 1] < MIN_PROMPTS:
        reason = (
            f"only {scores.shared_prompts[0, 1]} prompts on which both say something of their own, {MIN_PROMPTS} needed"
        )
        return Skipped(method="rare_ngrams", reason=reason)
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
        n=int(scores.shared_prompts[0, 1]),
        note=unit + (f"; on {dropped} prompts an answer that half of the models give is left out" if dropped else ""),
        controls=controls,
        features={"text_z": value, "phrases": float(scores.components["phrases"][0, 1])} if scores.normalised else {},
    )
