"""Speed as ratios inside one run: collecting against the bare forward pass, statistics against collecting."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from fingerprint import api
from fingerprint.collection.collect import Budget, Collector
from fingerprint.collection.plan import Settings, make_plan
from fingerprint.collection.store import Store
from fingerprint.evidence.methods import examine
from fingerprint.models.base import Capabilities
from fingerprint.models.registry import open_model
from fingerprint.models.spec import parse_spec
from fingerprint.probes import load

_ROUNDS = 3
_HELP = "import typer, rich.console"


def run(spec: str) -> dict[str, Any]:
    """All ratios for one model; medians over alternating rounds."""
    return {"model": spec, "forward": forward_ratio(spec), "help": help_ratio(), "statistics": statistics_ratio(spec)}


def forward_ratio(spec: str) -> dict[str, float]:
    """Prompt tokens per second of collecting log-probabilities, over those of the bare forward pass of the same batches."""
    import torch

    backend: Any = open_model(parse_spec(spec))
    can = Capabilities(topk=256, inner_positions=True)
    probes = load("style,prefixes")
    plan = make_plan(probes, Settings())
    requests = sorted(
        (
            request
            for probe in plan.probes
            if (request := plan.distribution(replace(probe, channel=backend.asked(probe.prompt).channel), can))
        ),
        key=lambda request: backend.length(request.prompt),
    )
    batches = [requests[start : start + 16] for start in range(0, len(requests), 16)]
    ours, bare = [], []
    with torch.inference_mode():
        for batch in batches[:1] + batches * _ROUNDS:
            started = time.perf_counter()
            backend.distributions(batch)
            ours.append(time.perf_counter() - started)
            sequences = [backend.token_ids(request.prompt) for request in batch]
            width = max(map(len, sequences))
            ids = torch.tensor([[*ids, *[0] * (width - len(ids))] for ids in sequences])
            started = time.perf_counter()
            backend.model(input_ids=ids, attention_mask=torch.ones_like(ids))
            bare.append(time.perf_counter() - started)
    ratio = median(b / o for o, b in zip(ours[1:], bare[1:], strict=True))
    return {"throughput_over_bare_forward": round(ratio, 3)}


def help_ratio() -> dict[str, float]:
    """Time of ``fingerprint --help`` over that of importing typer and rich."""

    def timed(*arguments: str) -> float:
        command = [sys.executable, *arguments]
        return _seconds(lambda: subprocess.run(command, check=True, capture_output=True))  # noqa: S603  # our own words

    pairs = [(timed("-m", "fingerprint.cli.app", "--help"), timed("-c", _HELP)) for _ in range(2 * _ROUNDS + 1)]
    return {"help_over_import_of_typer_and_rich": round(median(a / b for a, b in pairs[1:]), 3)}


def statistics_ratio(spec: str) -> dict[str, float]:
    """Time of all statistics of one comparison over the time of collecting one recording."""
    with tempfile.TemporaryDirectory() as folder:
        backend = open_model(parse_spec(spec))
        plan = make_plan(load("all"), Settings())
        started = time.perf_counter()
        collector = Collector(backend=backend, store=Store(Path(folder), backend.info.digest), budget=Budget())
        recording = collector.recording(plan)
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
