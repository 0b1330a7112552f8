"""The tasks whose growth is measured, each on a folder of synthetic recordings."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerprint import recording_file, sketch_store
from fingerprint.bench.synthetic import EVERY
from fingerprint.calibration.ties import shipped
from fingerprint.collection.execution import Here, Processes
from fingerprint.evidence.text import usable_answers
from fingerprint.stats.textsim import pair_scores
from fingerprint.tree.grow import grow_from_sketches
from fingerprint.tree.panel import Settings

Floats = NDArray[np.float64]
#: Sizes above which a task is not run: the exact matrix compares every n-gram of every model.
LIMITS = {"matrix, exact": 100}
_REPLICATES = 20


@dataclass(frozen=True, kw_only=True)
class Task:
    """``count`` recordings in a folder, and how many processes may work on them."""

    folder: Path
    count: int
    workers: int

    def panel(self, less: int = 0) -> sketch_store.Names:
        files = [self.folder / f"model-{model:04d}.jsonl.zst" for model in range(self.count - less)]
        return sketch_store.name_panel(files, self.folder / "sketches")

    @cached_property
    def engine(self) -> Processes | Here:
        return Processes(workers=self.workers) if self.workers > 1 else Here()

    def close(self) -> None:
        """End the worker processes."""
        if isinstance(self.engine, Processes):
            self.engine.close()


def sketched_matrix(task: Task) -> dict[str, Any]:
    """All pairs from recordings on disk: reading, sketching, comparing."""
    shutil.rmtree(task.folder / "sketches", ignore_errors=True)
    names, started = task.panel(), time.monotonic()
    sketch_store.make(names, task.engine)
    made = time.monotonic() - started
    scores = sketch_store.load(names).scores()
    return {"of it reading and sketching": round(made, 2), **_found(names, scores)}


def _found(names: sketch_store.Names, scores: Floats) -> dict[str, Any]:
    """How many planted parents are their child's nearest, and the strongest pair that was not planted."""
    place = {path.name[6:10]: row for row, path in enumerate(names.files)}
    pairs = [(place[f"{c:04d}"], place[f"{c - 1:04d}"]) for c in range(1, len(place)) if c % EVERY == 0]
    first = sum(int(np.argmax(scores[child])) == parent for child, parent in pairs)
    planted = [float(scores[pair]) for pair in pairs]
    rest = scores.copy()
    for one, two in pairs:
        rest[one, two] = rest[two, one] = 0
    return {
        "planted": len(pairs),
        "parent first": first,
        "weakest planted": round(min(planted), 2) if planted else None,
        "strongest other": round(float(rest.max()), 2),
    }


def exact_matrix(task: Task) -> dict[str, Any]:
    """`pair_scores` on every n-gram, reading included."""
    answers = [usable_answers(recording_file.read(path)) for path in task.panel().files]
    keys = sorted(set().union(*answers))
    scores = pair_scores([[found[key][0] if key in found else None for key in keys] for found in answers])
    return {"pairs": scores.score.size}


def identify(task: Task) -> dict[str, Any]:
    """One suspect against a panel with an index, to which one model was added since: from reading to ranking.

    ``seconds`` is the first suspect, who pays for the added model (sketched, compared with the cohort); ``later suspect``
    is what every later one costs. Where the added model changes the population, all sketches are made anew.
    """
    # What an earlier run left would make the first suspect look free.
    shutil.rmtree(task.folder / "sketches", ignore_errors=True)
    started = time.monotonic()
    sketch_store.index(task.panel(less=1), task.engine)
    indexed, started = time.monotonic() - started, time.monotonic()
    suspect = task.folder / f"model-{min(task.count - 1, EVERY):04d}.jsonl.zst"
    names = task.panel()
    same = names.population == task.panel(less=1).population
    sketch_store.index(names)
    sketch_store.rank(recording_file.read(suspect), names)
    first, started = time.monotonic() - started, time.monotonic()
    sketch_store.forget()
    names = task.panel()
    sketch_store.index(names)
    scores = sketch_store.rank(recording_file.read(suspect), names).scores
    order = [names.files[place].name[:10] for place in np.argsort(-scores)[:2]]
    return {
        "seconds": round(first, 2),
        "later suspect": round(time.monotonic() - started, 2),
        "index of the others": round(indexed, 2),
        "same population": same,
        "nearest": order,
    }


def tree(task: Task) -> dict[str, Any]:
    """Groups by sketched scores, their trees, and replicates of both; sketches were made before."""
    names = task.panel()
    panel = sketch_store.load(names)
    shown = tuple(path.name[:10] for path in names.files)
    found = grow_from_sketches(panel, shown, shipped(), Settings(replicates=_REPLICATES))
    parent = {f"model-{c:04d}": f"model-{c - 1:04d}" for c in range(1, task.count) if c % EVERY == 0}
    families = [set(node.names) for node in found.families]
    whole = sum({child, above} in families for child, above in parent.items())
    wrong = sum(not any({child, above} == family for child, above in parent.items()) for family in families)
    return {"replicates": _REPLICATES, "families": len(families), "planted": len(parent), "right": whole, "wrong": wrong}


TASKS: dict[str, Callable[[Task], dict[str, Any]]] = {
    "matrix, sketched": sketched_matrix,
    "identify": identify,
    "tree": tree,
    "matrix, exact": exact_matrix,
}
