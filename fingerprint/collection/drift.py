"""Is it still the same model? The same questions at the beginning, twice, and at the end of a collection.

A server may change its model at any time without a word. If the answers at the end are further from those at the
beginning than those are from each other, something changed. Whether it matters is for the verdict to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any

import numpy as np

from fingerprint.canonical import digest
from fingerprint.collection.plan import Plan
from fingerprint.models.base import Capabilities, DistributionRequest, SampleRequest
from fingerprint.recording import Distribution, Drift, Sample
from fingerprint.stats.divergence import jensen_shannon

Sentinel = SampleRequest | DistributionRequest
#: How many prompts stand guard, the fewest from which anything is said, and the length of their lists and texts.
COUNT, FEWEST, TOPK, TOKENS = 12, 8, 20, 16
#: Draws that no probe uses: the two rounds at the beginning; the round at the end has its own for every plan.
_FIRST, _AGAIN, _LAST = 1_000_001, 1_000_002, 2_000_000
_ROUNDS = 4095


def sentinels(plan: Plan, can: Capabilities) -> tuple[list[Sentinel], list[Sentinel]]:
    """Requests for the beginning and for the end; empty where there are too few probes or no answers."""
    probes = plan.repeated()[:COUNT]
    if len(probes) < FEWEST or not (can.topk or can.samples):
        return [], []
    last = _LAST + int(digest([probe.id for probe in plan.probes])[7:13], 16)
    asked = [request for probe in probes if (request := _sentinel(plan, probe, can))]
    first, again, final = ([_ask(request, draw) for request in asked] for draw in (_FIRST, _AGAIN, last))
    return [*first, *again], final


def _sentinel(plan: Plan, probe: Any, can: Capabilities) -> Sentinel | None:
    request = plan.distribution(probe, can)
    if request is not None:
        return replace(request, positions=request.positions[-1:], topk=min(TOPK, request.topk))
    if not can.samples:
        return None
    return SampleRequest(prompt=probe.prompt, draw=0, max_tokens=TOKENS, temperature=0.0, seed=0)


def _ask(request: Sentinel, draw: int) -> Sentinel:
    return replace(request, draw=draw)


def measure(start: Sequence[Sequence[Any]], end: Sequence[Sequence[Any]]) -> Drift | None:
    """Distances between the rounds: ``start`` holds the rows of the first and second round, ``end`` those of the last.

    The p-value is that of a paired sign-flip test over prompts, with (1+b)/(1+B) (Phipson and Smyth 2010).
    """
    half = len(start) // 2
    within, across = [], []
    for first, again, last in zip(start[:half], start[half:], end, strict=True):
        if first and again and last:
            within.append(_distance(first[0], again[0]))
            across.append((_distance(first[0], last[0]) + _distance(again[0], last[0])) / 2)
    if len(within) < FEWEST:
        return None
    gaps = np.array(across) - np.array(within)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(_ROUNDS, len(gaps)))
    beyond = int((signs @ gaps >= gaps.sum() - 1e-12).sum())
    return Drift(
        prompts=len(gaps),
        within=round(float(np.mean(within)), 6),
        across=round(float(np.mean(across)), 6),
        pvalue=round((1 + beyond) / (1 + _ROUNDS), 6),
    )


def _distance(first: Any, second: Any) -> float:
    if isinstance(first, Distribution) and isinstance(second, Distribution):
        return _divergence(first, second)
    if isinstance(first, Sample) and isinstance(second, Sample):
        return _parting(first.text, second.text)
    return 0.0


def _divergence(first: Distribution, second: Distribution) -> float:
    """Jensen–Shannon divergence in bits over the listed tokens and one place for all others."""
    tables = [_table(row) for row in (first, second)]
    names = sorted(set(tables[0]) | set(tables[1]))
    rows = np.array([[table.get(name, 0.0) for name in names] for table in tables])
    rows = np.column_stack([rows, np.clip(1 - rows.sum(axis=1), 0, 1)])
    return float(jensen_shannon(rows[:1], rows[1:])[0])


def _table(row: Distribution) -> dict[str, float]:
    found: dict[str, float] = {}
    for token, value in zip(row.tokens, row.logprobs, strict=True):
        found[token] = found.get(token, 0.0) + float(np.exp(value))
    return found


def _parting(first: str, second: str) -> float:
    """How early two greedy texts part: 0 for equal ones, 1 where the first characters differ."""
    if first == second:
        return 0.0
    alike = list(takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))
    return 1 - len(alike) / max(len(first), len(second))
