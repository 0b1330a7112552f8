"""Text only, real models: how well the panel scores find documented relations among recorded answers.

Reads a folder with ``assistants.jsonl.zst`` (rows model, prompt_id, prompt, output) and ``lineage.csv`` (child, parent,
relation, confidence), and the smaller sets beside them. Pairs that nobody documented count as unrelated, so the error
rates are upper bounds. Every likelihood ratio is that of a calibration fitted without the pair's families.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerprint.bench.judgements import judged
from fingerprint.bench.recorded_data import STUDENTS, Recorded, read_sets
from fingerprint.calibration.fit import LabelledPair
from fingerprint.calibration.metrics import auc, cllr, cllr_min, tpr_at
from fingerprint.calibration.panel import PanelCalibration
from fingerprint.calibration.panel_fit import fit_panel, left_out
from fingerprint.stats.intervals import clopper_pearson
from fingerprint.stats.textsim import PairScores, pair_scores

Floats = NDArray[np.float64]
_FOLDS = 5
_ROUNDS = 200
_LN10 = float(np.log(10))
#: Candidate teachers: assistants that their vendors served, and the largest open chat models, whoever taught whom.
CANDIDATES = (
    "claude-2", "claude-2.1", "claude-instant-1.2", "claude-3-5-sonnet-20240620", "cohere", "gemini-pro",
    "gpt-3.5-turbo-0301", "gpt-3.5-turbo-0613", "gpt-3.5-turbo-1106", "gpt-4-0125-preview", "gpt-4-turbo-2024-04-09",
    "gpt-4o-2024-05-13", "gpt35_turbo_instruct", "gpt4_0613", "gpt4_1106_preview", "llama-2-70b-chat-hf",
    "mistral-large-2402", "Meta-Llama-3-70B-Instruct", "Qwen2-72B-Instruct", "text_davinci_003",
)  # fmt: skip


def run(folder: Path, *, date: str = "") -> tuple[dict[str, Any], PanelCalibration]:
    """The table, and the panel calibration fitted on all sets."""
    sets = read_sets(folder)
    scores, seconds = [], []
    for data in sets:
        started = time.monotonic()
        scores.append(pair_scores(data.answers))
        seconds.append(round(time.monotonic() - started, 1))
    labelled, students, place = _labelled(sets, scores)
    logs = left_out(labelled, students)
    table: dict[str, Any] = {}
    for row, (data, found) in enumerate(zip(sets, scores, strict=True)):
        table[data.name] = _set_table(data, found, logs[place == row]) | {"seconds": seconds[row]}
    families = sum(len(set(data.families)) for data in sets)
    related = sum(len({name for name in data.families if data.families.count(name) > 1}) for data in sets)
    calibration = fit_panel(
        labelled,
        students,
        families=families,
        related_families=related,
        name=f"panel-{date or 'undated'}",
        date=date,
        population=f"{sum(len(data.models) for data in sets)} recorded models in {len(sets)} sets of public answers, "
        f"{families} families by documented lineage; texts not included",
    )
    return table, calibration


def _labelled(
    sets: Sequence[Recorded], scores: Sequence[PairScores]
) -> tuple[list[LabelledPair], list[bool], NDArray[Any]]:
    """All pairs of all sets with a fold that keeps whole families together, and the set that each is of."""
    labelled, students, place = [], [], []
    for row, (data, found) in enumerate(zip(sets, scores, strict=True)):
        family = data.families
        for (i, j), relation in zip(data.pairs, data.relation_of_pairs, strict=True):
            features = {"panel_z": float(found.score[i, j]), "imitation_z": float(found.imitation[i, j])}
            # A pair across two families belongs to the fold of the smaller number: it is held out with that family.
            fold = f"{data.name}/{min(family[i], family[j]) % _FOLDS}"
            labelled.append(LabelledPair(features=features, related=bool(relation), pedigree=fold))
            students.append(relation == STUDENTS)
            place.append(row)
    return labelled, students, np.array(place)


def _set_table(data: Recorded, scores: PairScores, logs: Floats) -> dict[str, Any]:
    relations = data.relation_of_pairs
    truth = np.array([bool(relation) for relation in relations])
    baseline = as_norm(scores.components["phrases"])
    table: dict[str, Any] = {
        "models": len(data.models),
        "prompts": len(data.prompts),
        "families": len(set(data.families)),
        "ours": _by_relation(data, logs),
        "descent score": _by_relation(data, _flat(data, scores.score)),
        "imitation score": _by_relation(data, _flat(data, scores.imitation)),
        "baseline rare n-gram cosine, AS-norm": _by_relation(data, _flat(data, baseline)),
        "baseline rare n-gram cosine, raw": _by_relation(data, _flat(data, scores.components["phrases"])),
        "calibration": {
            "cllr": round(cllr(logs[truth], logs[~truth]), 4),
            "cllr_min": round(cllr_min(logs[truth], logs[~truth]), 4),
            "unlisted_pairs": int((~truth).sum()),
            "unlisted_with_lr_above_1": int((logs[~truth] > 0).sum()),
            "unlisted_with_lr_above_10": int((logs[~truth] > _LN10).sum()),
            "listed_with_lr_above_10": int((logs[truth] > _LN10).sum()),
        },
    }
    ratios = np.zeros((len(data.models), len(data.models)))
    for (i, j), value in zip(data.pairs, logs, strict=True):
        ratios[i, j] = ratios[j, i] = value
    if data.name == "assistants":
        table["teacher_attribution"] = {
            "ours": _attribution(data, ratios),
            "imitation score": _attribution(data, scores.imitation),
            "baseline rare n-gram cosine, AS-norm": _attribution(data, baseline),
        }
        linked = np.array([bool(judged(data.models[i], data.models[j]).link) for i, j in data.pairs])
        table["ours, unlisted pairs judged linked left out"] = _by_relation(data, logs, kept=truth | ~linked)
    table["strongest_unlisted"] = _strongest(data, logs)
    return table


def _flat(data: Recorded, matrix: Floats) -> Floats:
    return np.array([matrix[pair] for pair in data.pairs])


def as_norm(matrix: Floats) -> Floats:
    """Symmetric normalisation as in speaker verification: z scores against all others, mean of both sides."""
    models = len(matrix)
    off = ~np.eye(models, dtype=bool)
    rows = matrix[off].reshape(models, models - 1)
    one_sided = (matrix - rows.mean(axis=1)[:, None]) / np.maximum(rows.std(axis=1), 1e-9)[:, None]
    return np.asarray(np.where(off, (one_sided + one_sided.T) / 2, 0.0), np.float64)


def _by_relation(data: Recorded, values: Floats, kept: NDArray[np.bool_] | None = None) -> dict[str, Any]:
    """AUC with a bootstrap interval over families, TPR at 1 % FPR with Clopper–Pearson, for every relation."""
    relations = np.array(data.relation_of_pairs)
    chosen = np.ones(len(values), dtype=bool) if kept is None else kept
    unrelated = chosen & (relations == "")
    masks = {name: chosen & (relations == name) for name in sorted(set(relations) - {""})}
    masks["all listed"] = chosen & (relations != "")
    weights = _family_weights(data)
    rows = {}
    for name, mask in masks.items():
        hits, of = tpr_at(values[mask], values[unrelated])
        low, high = clopper_pearson(hits, of)
        rows[name] = {
            "pairs": of,
            "auc": round(auc(values[mask], values[unrelated]), 4),
            "auc_interval": _auc_interval(values, mask, unrelated, weights),
            "tpr_at_1_percent_fpr": round(hits / of, 4),
            "interval": [round(low, 3), round(high, 3)],
        }
    return rows


def _family_weights(data: Recorded) -> Floats:
    """Bootstrap weights of pairs when whole families are drawn, shape (rounds, pairs)."""
    names, family = np.unique(data.families, return_inverse=True)
    drawn = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), size=_ROUNDS)
    first, second = np.array(data.pairs).T
    left, right = family[first], family[second]
    # A pair inside a family is drawn with the family, a pair across two with both.
    return np.where(left == right, drawn[:, left], drawn[:, left] * drawn[:, right]).astype(np.float64)


def _auc_interval(
    values: Floats, related: NDArray[np.bool_], unrelated: NDArray[np.bool_], weights: Floats
) -> list[float] | None:
    order = np.argsort(values, kind="stable")
    found = []
    for row in weights:
        plus, minus = (row * related)[order], (row * unrelated)[order]
        if plus.sum() and minus.sum():
            below = np.cumsum(minus) - minus / 2
            found.append(float((plus @ below) / (plus.sum() * minus.sum())))
    if len(found) < _ROUNDS // 2:
        return None
    low, high = np.percentile(found, [2.5, 97.5])
    return [round(float(low), 3), round(float(high), 3)]


def _attribution(data: Recorded, matrix: Floats) -> dict[str, Any]:
    """Rank of each student's documented teacher among `CANDIDATES`; the student itself is none."""
    place = {name: row for row, name in enumerate(data.models)}
    rows = [place[name] for name in CANDIDATES if name in place]
    family = data.families
    ranks, near, named = [], 0, defaultdict(str)
    for child, parent in data.students:
        values = {row: float(matrix[child, row]) for row in rows if row != child}
        best = max(values, key=lambda row: values[row])
        ranks.append(1 + sum(value > values[parent] for value in values.values()))
        near += _vendor(data.models[best]) == _vendor(data.models[parent])
        named[data.models[child]] = data.models[best]
    return {
        "students": len(ranks),
        "candidates": len(rows),
        "families_of_students": len({family[child] for child, _ in data.students}),
        "first": sum(rank == 1 for rank in ranks),
        "among_three": sum(rank <= 3 for rank in ranks),
        "first_is_of_the_teachers_vendor": near,
        "named": dict(named),
    }


def _vendor(name: str) -> str:
    return "openai" if name.startswith(("gpt", "text_davinci")) else name.split("-", maxsplit=1)[0]


def _strongest(data: Recorded, logs: Floats, count: int = 20) -> list[dict[str, Any]]:
    relations = data.relation_of_pairs
    unlisted = [row for row, relation in enumerate(relations) if not relation]
    rows = []
    for row in sorted(unlisted, key=lambda row: -logs[row])[:count]:
        first, second = (data.models[model] for model in data.pairs[row])
        verdict = judged(first, second)
        rows.append(
            {
                "a": first,
                "b": second,
                "log10_lr": round(float(logs[row]) / _LN10, 2),
                "link": verdict.link,
                "judgement": verdict.reason,
            }
        )
    return rows
