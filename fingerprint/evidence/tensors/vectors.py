"""The same vectors in another order: layers, neurons and heads are matched on one half of the residual dimensions
and tested on the other.

What a half of the dimensions matched, relabelling the other half cannot undo, so the test keeps its exact null however
hard the matching looked: over all layers, all neurons, all heads. Dropped layers, removed neurons, permuted and
scaled neurons and permuted heads are found this way; a turned residual stream is not (see `aligned`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerprint.stats.weights_match import assign, standardised, unit_rows
from fingerprint.stats.weights_null import ROUNDS, LogTest, fisher, order_test, trace_test
from fingerprint.tensors.base import Values
from fingerprint.tensors.model import Weights
from fingerprint.tensors.roles import ATTENTION, NEURON

Rows = NDArray[np.intp]
#: Residual dimensions in each half; neurons of a layer that choose its partner; neurons and rows that are matched.
_HALF, _SCOUTS, _MATCHED, _HEAD_ROWS = 1024, 32, 256, 64


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerMatch:
    """A layer and its partner: cosines of matched neurons, how many kept their place, and the test of their order."""

    first: int
    second: int
    cosine: float
    matched: float
    in_place: float
    order: LogTest


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosines:
    """A sum of held-out cosines, and of how many."""

    total: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """Matched layers, the test on held-out dimensions, and the combined test of the neurons' order.

    ``matched`` is the mean cosine on the dimensions that did the matching, ``cosine`` that on the held-out ones.
    """

    layers: tuple[LayerMatch, ...]
    held_out: LogTest
    cosine: float
    matched: float
    order_log10_p: float
    order: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """Which dimensions match and which test, if any; ``turn`` (d₁, d₂) brings the first's vectors into the second's."""

    match: Rows
    test: Rows
    turn: Values | None = None

    @staticmethod
    def halves(width: int, seed: int) -> Basis:
        order = np.random.default_rng(seed).permutation(width)
        half = width // 2
        return Basis(match=np.sort(order[:half][:_HALF]), test=np.sort(order[half:][:_HALF]))

    def first(self, vectors: Values, chosen: Rows) -> Values:
        return standardised(vectors)[chosen] if self.turn is None else unit_rows(vectors[chosen] @ self.turn)

    def second(self, vectors: Values) -> Values:
        return standardised(vectors) if self.turn is None else unit_rows(vectors)


def same_vectors(first: Weights, second: Weights, basis: Basis, *, seed: int, rounds: int = ROUNDS) -> Vectors | None:
    """Match layers, then their vectors, and test. None where no layer of both has a role in common."""
    roles = [role for role in NEURON if _has(first, role) and _has(second, role)]
    if not roles or not first.layers or not second.layers:
        return None
    pairs = _match_layers(first, second, roles, basis)
    table = np.zeros((len(basis.test), len(basis.test)))
    found: list[LayerMatch] = []
    total, count = 0.0, 0
    for mine, theirs in pairs:
        match, neurons = _match_neurons(first, second, (mine, theirs), roles, basis, table)
        heads = _match_heads(first, second, (mine, theirs), basis, table)
        found.append(match)
        total, count = total + neurons.total + heads.total, count + neurons.count + heads.count
    orders = [match.order for match in found]
    return Vectors(
        layers=tuple(found),
        held_out=trace_test(table, seed=seed, rounds=rounds),
        cosine=total / max(count, 1),
        matched=float(np.mean([match.matched for match in found])),
        order_log10_p=fisher([test.log10_p for test in orders]),
        order=float(np.mean([test.effect for test in orders])),
    )


def _has(model: Weights, role: str) -> bool:
    return any(key[1] == role for key in model.parts)


def _spread(count: int, most: int) -> Rows:
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.intp))


def _match_layers(first: Weights, second: Weights, roles: list[str], basis: Basis) -> list[tuple[int, int]]:
    """One-to-one partners of layers, by how well some of their neurons find a neuron like them."""
    scouts = {
        layer: {role: found for role in roles[:1] if (found := _scouts(first, layer, role, basis)) is not None}
        for layer in first.layers
    }
    mine, theirs = list(scouts), second.layers
    score = np.full((len(mine), len(theirs)), -1.0)
    for column, layer in enumerate(theirs):
        parts = {role: part for role in roles[:1] if (part := second.parts.get((layer, role))) is not None}
        for role, part in parts.items():
            known = [row for row, name in enumerate(mine) if role in scouts[name]]
            if not known:
                continue
            vectors = basis.second(part.vectors())[:, basis.match]
            for row in known:
                # The sign is free: up and down may both be turned round without changing what the network computes.
                likeness = np.abs(scouts[mine[row]][role] @ vectors.T)
                score[row, column] = max(score[row, column], 0.0) + float(likeness.max(axis=1).mean())
    rows, columns = assign(score)
    return [(mine[row], theirs[column]) for row, column in zip(rows, columns, strict=True) if score[row, column] >= 0]


def _scouts(model: Weights, layer: int, role: str, basis: Basis) -> Values | None:
    part = model.parts.get((layer, role))
    if part is None:
        return None
    return basis.first(part.vectors(), _spread(part.count, _SCOUTS))[:, basis.match]


def _match_neurons(
    first: Weights, second: Weights, layers: tuple[int, int], roles: list[str], basis: Basis, table: NDArray[np.float64]
) -> tuple[LayerMatch, Cosines]:
    parts = [(first.parts.get((layers[0], role)), second.parts.get((layers[1], role))) for role in roles]
    known = [(mine, theirs) for mine, theirs in parts if mine is not None and theirs is not None]
    places = _spread(min(mine.count for mine, _ in known), _MATCHED) if known else np.arange(0)
    kept: list[Values] = []
    similarity: Values | None = None
    for mine, theirs in known:
        vectors = basis.first(mine.vectors(), places)
        kept.append(vectors)
        likeness = vectors[:, basis.match] @ basis.second(theirs.vectors())[:, basis.match].T
        similarity = _added(similarity, likeness)
    if similarity is None:
        nothing = LogTest(statistic=0.0, effect=0.0, log10_p=0.0, n=0)
        alone = LayerMatch(first=layers[0], second=layers[1], cosine=0.0, matched=0.0, in_place=0.0, order=nothing)
        return alone, Cosines(total=0.0, count=0)
    rows, partners = assign(similarity)
    total = 0.0
    for (_, theirs), vectors in zip(known, kept, strict=True) if basis.test.size else ():
        total += _tested(vectors[rows], basis.second(theirs.vectors())[partners], basis, table)
    count = len(rows) * len(known)
    match = LayerMatch(
        first=layers[0],
        second=layers[1],
        cosine=total / max(count, 1),
        matched=float(similarity[rows, partners].mean()) / len(known),
        in_place=float(np.mean(places[rows] == partners)),
        order=order_test(places[rows], partners),
    )
    return match, Cosines(total=total, count=count)


def _added(similarity: Values | None, likeness: Values) -> Values:
    return likeness if similarity is None or similarity.shape != likeness.shape else similarity + likeness


def _match_heads(
    first: Weights, second: Weights, layers: tuple[int, int], basis: Basis, table: NDArray[np.float64]
) -> Cosines:
    total, count = 0.0, 0
    for role in ATTENTION if basis.test.size else ():
        mine, theirs = first.parts.get((layers[0], role)), second.parts.get((layers[1], role))
        if mine is None or theirs is None or mine.axis is None:
            continue
        vectors = basis.first(mine.vectors(), _spread(mine.count, _HEAD_ROWS))
        others = basis.second(theirs.vectors())
        rows, partners = assign(vectors[:, basis.match] @ others[:, basis.match].T)
        total += _tested(vectors[rows], others[partners], basis, table)
        count += len(rows)
    return Cosines(total=total, count=count)


def _tested(first: Values, second: Values, basis: Basis, table: NDArray[np.float64]) -> float:
    """Adds the held-out dimensions of matched vectors to the table; the sum of their cosines there.

    A negative cosine on the matched dimensions turns the pair round, which the held-out ones do not know of.
    """
    signs = np.sign(np.einsum("ij,ij->i", first[:, basis.match], second[:, basis.match]))[:, None]
    a, b = first[:, basis.test] * signs, second[:, basis.test]
    table += a.T @ b
    return float(np.einsum("ij,ij->", unit_rows(a), unit_rows(b)))
