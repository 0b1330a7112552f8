"""Text only, real assistants: how well the panel score finds documented relations among recorded models.

Reads a folder with ``assistants.jsonl.zst`` (rows model, prompt_id, prompt, output) and ``lineage.csv`` (child, parent,
relation, confidence). Pairs that nobody documented count as unrelated, so the error rates are upper bounds.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from fingerprint.calibration.fit import LabelledPair, fit_tier, left_out_log_lrs
from fingerprint.calibration.metrics import auc, cllr, tpr_at
from fingerprint.calibration.model import Tier
from fingerprint.errors import UsageError
from fingerprint.stats.intervals import clopper_pearson
from fingerprint.stats.textsim import PairScores, pair_scores

Floats = NDArray[np.float64]
_FEATURES = ("panel_z",)
_STUDENTS = "distilled_from_outputs_of"
_FOLDS = 5
_WINDOW = 2**31


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """Answers (models × prompts, None missing) and the documented relation of every pair, as (row, row)."""

    models: tuple[str, ...]
    answers: list[list[str | None]]
    relations: dict[tuple[int, int], str]
    students: list[tuple[int, int]]


def read_recorded(folder: Path) -> Recorded:
    """Read answers and lineage; models that lineage.csv does not name are kept, as unrelated to all."""
    try:
        rows = _rows(folder / "assistants.jsonl.zst")
        with (folder / "lineage.csv").open(encoding="utf-8", newline="") as file:
            lineage = list(csv.DictReader(file))
    except OSError as error:
        raise UsageError(f"The recorded answers in {folder} cannot be read: {error}.") from error
    models = tuple(dict.fromkeys(row["model"] for row in rows))
    prompts = {key: place for place, key in enumerate(dict.fromkeys(row["prompt_id"] for row in rows))}
    place = {name: row for row, name in enumerate(models)}
    answers: list[list[str | None]] = [[None] * len(prompts) for _ in models]
    for row in rows:
        answers[place[row["model"]]][prompts[row["prompt_id"]]] = row["output"]
    relations, students = {}, []
    for edge in lineage:
        if edge["child"] in place and edge["parent"] in place:
            child, parent = place[edge["child"]], place[edge["parent"]]
            relations[min(child, parent), max(child, parent)] = edge["relation"]
            if edge["relation"] == _STUDENTS:
                students.append((child, parent))
    return Recorded(models=models, answers=answers, relations=relations, students=students)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open("rb") as file:
        reader = zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(file)
        return [json.loads(line) for line in io.TextIOWrapper(reader, "utf-8") if line.strip()]


def run(folder: Path) -> tuple[dict[str, Any], Tier]:
    """The table, and the panel tier of the calibration fitted on all of it."""
    data = read_recorded(folder)
    started = time.monotonic()
    scores = pair_scores(data.answers)
    seconds = time.monotonic() - started
    pairs, relations, folds = _pairs(data)
    labelled = [
        LabelledPair(features={"panel_z": float(scores.score[i, j])}, related=bool(relation), pedigree=fold)
        for (i, j), relation, fold in zip(pairs, relations, folds, strict=True)
    ]
    families = len(set(_families(data)))
    tier = fit_tier(labelled, _FEATURES, families=families, related_families=_related_families(data))
    logs = left_out_log_lrs(labelled, _FEATURES)
    truth = np.array([bool(relation) for relation in relations])
    table = {
        "models": len(data.models),
        "families": families,
        "seconds": round(seconds, 1),
        "growth_seconds": {str(size): _timed(data, size) for size in (28, 56)},
        "ours": _table(pairs, relations, scores.score),
        "imitation score": _table(pairs, relations, scores.imitation),
        "baseline rare n-gram cosine": _table(pairs, relations, scores.components["phrases"]),
        "calibration": {
            "cllr": round(cllr(logs[truth], logs[~truth]), 4),
            "unlisted_pairs": int((~truth).sum()),
            "unlisted_with_lr_above_1": int((logs[~truth] > 0).sum()),
            "unlisted_with_lr_above_10": int((logs[~truth] > np.log(10)).sum()),
        },
        "teacher_attribution": _attribution(data, scores),
        "strongest_unlisted": _strongest(data, pairs, relations, scores.score),
    }
    return table, tier


def _pairs(data: Recorded) -> tuple[list[tuple[int, int]], list[str], list[str]]:
    """All pairs, their relation ("" if none is documented), and a fold that keeps whole families together."""
    family = _families(data)
    pairs = [(i, j) for i in range(len(data.models)) for j in range(i + 1, len(data.models))]
    relations = [data.relations.get(pair, "") for pair in pairs]
    # A pair across two families belongs to the fold of the smaller number: it is held out with that family.
    folds = [str(min(family[i], family[j]) % _FOLDS) for i, j in pairs]
    return pairs, relations, folds


def _families(data: Recorded) -> list[int]:
    """Connected components of the documented relations, numbered by their first model."""
    component = list(range(len(data.models)))

    def root(model: int) -> int:
        while component[model] != model:
            model = component[model]
        return model

    for (i, j), relation in data.relations.items():
        # "indirect" only repeats what the other edges imply.
        if relation != "indirect":
            first, second = sorted((root(i), root(j)))
            component[second] = first
    return [root(model) for model in range(len(data.models))]


def _related_families(data: Recorded) -> int:
    family = _families(data)
    return len({name for name in family if family.count(name) > 1})


def _table(pairs: list[tuple[int, int]], relations: list[str], matrix: Floats) -> dict[str, Any]:
    values: dict[str, list[float]] = defaultdict(list)
    for (i, j), relation in zip(pairs, relations, strict=True):
        values[relation].append(float(matrix[i, j]))
    unrelated = np.array(values.pop(""))
    values["all listed"] = [value for found in values.values() for value in found]
    rows = {}
    for relation, found in sorted(values.items()):
        hits, of = tpr_at(np.array(found), unrelated)
        low, high = clopper_pearson(hits, of)
        rows[relation] = {
            "pairs": of,
            "auc": round(auc(np.array(found), unrelated), 4),
            "tpr_at_1_percent_fpr": round(hits / of, 4),
            "interval": [round(low, 3), round(high, 3)],
        }
    return rows


def _attribution(data: Recorded, scores: PairScores) -> dict[str, Any]:
    """Rank of each student's teacher among all teachers of anybody."""
    teachers = sorted({parent for _, parent in data.students})
    ranks = []
    for child, parent in data.students:
        row = [scores.imitation[child, teacher] for teacher in teachers if teacher != child]
        ranks.append(1 + sum(bool(value > scores.imitation[child, parent]) for value in row))
    return {
        "students": len(ranks),
        "candidates": len(teachers),
        "first": sum(rank == 1 for rank in ranks),
        "among_three": sum(rank <= 3 for rank in ranks),
    }


def _strongest(
    data: Recorded, pairs: list[tuple[int, int]], relations: list[str], matrix: Floats, count: int = 20
) -> list[dict[str, Any]]:
    unlisted = [pair for pair, relation in zip(pairs, relations, strict=True) if not relation]
    ranked = sorted(unlisted, key=lambda pair: -matrix[pair])[:count]
    return [{"a": data.models[i], "b": data.models[j], "score": round(float(matrix[i, j]), 2)} for i, j in ranked]


def _timed(data: Recorded, size: int) -> float:
    started = time.monotonic()
    pair_scores(data.answers[:size])
    return round(time.monotonic() - started, 1)
