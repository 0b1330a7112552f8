"""Speed as ratios inside one run: collecting against the bare forward pass, statistics against collecting."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from fingerprint import api
from fingerprint.collection.collect import Budget, Collector
from fingerprint.collection.plan import Plan, Settings, make_plan
from fingerprint.collection.store import Store
from fingerprint.evidence.methods import examine
from fingerprint.models.base import DistributionRequest
from fingerprint.models.registry import open_model
from fingerprint.models.spec import parse_spec
from fingerprint.probes import load
from fingerprint.recording import Distribution, Recording

_ROUNDS = 3
_FORWARD_PROBES = "style,prefixes"
_HELP = "import typer, rich.console"


def run(spec: str) -> dict[str, Any]:
    """All ratios for one model; medians over alternating rounds."""
    return {"model": spec, "forward": forward_ratio(spec), "help": help_ratio(), "statistics": statistics_ratio(spec)}


@dataclass(kw_only=True)
class _Watched:
    """A backend that remembers the batches of distributions that it was asked for."""

    inner: Any
    batches: list[Sequence[DistributionRequest]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def distributions(self, batch: Sequence[DistributionRequest]) -> list[list[Distribution]]:
        self.batches.append(batch)
        answers: list[list[Distribution]] = self.inner.distributions(batch)
        return answers


def forward_ratio(spec: str) -> dict[str, float]:
    """Speed of collecting log-probabilities, storing included, over that of the bare forward pass of the same batches.

    The bare pass gives logits where they are asked for, as the collector's does: its batches, its positions.
    """
    watched = _Watched(inner=open_model(parse_spec(spec)))
    plan = make_plan(load(_FORWARD_PROBES), Settings())
    plan = replace(plan, probes=tuple(replace(probe, draws=0) for probe in plan.probes))
    pairs = []
    for _ in range(_ROUNDS + 1):
        watched.batches.clear()
        ours = _seconds(lambda: _collect(watched, plan))
        pairs.append((sum(_seconds(partial(_bare, watched.inner, batch)) for batch in watched.batches), ours))
    return {"throughput_over_bare_forward": round(median(bare / ours for bare, ours in pairs[1:]), 3)}


def _collect(backend: Any, plan: Plan) -> Recording:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder), backend.info.digest)
        return Collector(backend=backend, store=store, budget=Budget()).recording(plan)


def _bare(backend: Any, batch: Sequence[DistributionRequest]) -> None:
    """Tokenise, run the model, give logits at the places that are asked for, and throw everything away."""
    import torch

    sequences, places = zip(*(backend.token_places(request) for request in batch), strict=True)
    width = max(map(len, sequences))
    kept = sorted({place for found in places for _, place in found})
    ids = torch.tensor([[*ids, *[0] * (width - len(ids))] for ids in sequences])
    mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids in sequences])
    with torch.inference_mode():
        backend.model(input_ids=ids, attention_mask=mask, logits_to_keep=torch.tensor(kept))


def help_ratio() -> dict[str, float]:
    """Time of ``fingerprint --help`` over that of importing typer and rich."""

    def timed(*arguments: str) -> float:
        command = [sys.executable, *arguments]
        return _seconds(lambda: subprocess.run(command, check=True, capture_output=True))  # noqa: S603  # our own words

    pairs = [(timed("-m", "fingerprint.cli.app", "--help"), timed("-c", _HELP)) for _ in range(2 * _ROUNDS + 1)]
    return {"help_over_import_of_typer_and_rich": round(median(a / b for a, b in pairs[1:]), 3)}


def statistics_ratio(spec: str) -> dict[str, float]:
    """Time of all statistics of one comparison over the time of collecting one recording."""
    backend = open_model(parse_spec(spec))
    plan = make_plan(load("all"), Settings())
    started = time.perf_counter()
    recording = _collect(backend, plan)
    collecting = time.perf_counter() - started
    from fingerprint import shipped

    case = api.make_case([recording, shipped.recordings()[0]], shipped.recordings())
    spent = _seconds(lambda: examine(case))
    return {
        "collecting_seconds": round(collecting, 1),
        "statistics_seconds": round(spent, 2),
        "statistics_over_collecting": round(spent / collecting, 4),
    }


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
