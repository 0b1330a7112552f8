"""Two models' open weights to evidence, the cheap questions first.

the same places → (if that does not settle it) the same vectors in another order → another basis → hints
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fingerprint.evidence.base import Evidence, Skipped
from fingerprint.evidence.tensors.aligned import Aligned, aligned
from fingerprint.evidence.tensors.hints import between, direction, merge
from fingerprint.evidence.tensors.pairing import pair_up, shared_tokens
from fingerprint.evidence.tensors.places import Places, same_places
from fingerprint.evidence.tensors.vectors import Basis, Vectors, same_vectors
from fingerprint.tensors.model import Weights

PLACES, VECTORS, ORDER, ALIGNED = "tensor_places", "tensor_vectors", "tensor_order", "tensor_aligned"
DIRECTION, MERGE, DESCRIPTION = "tensor_direction", "tensor_merge", "tensor_description"
#: Beyond this nobody asks for more: the later questions are for pairs that it does not settle.
_SETTLED_LOG10_P, _SETTLED_R = -30.0, 0.5
_WORTH_A_HINT_LOG10_P = -6.0
_SMALLEST = -300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Suspect and reference, and other open models that may be parents too."""

    suspect: Weights
    reference: Weights
    others: tuple[Weights, ...] = ()
    seed: int = 0


def tensor_evidence(sides: Sides) -> tuple[list[Evidence], list[Skipped]]:
    """Everything that whole tensors say about two models.

    Raises:
        ModelBroken: a tensor holds NaN or infinite values.

    """
    first, second, seed = sides.suspect, sides.reference, sides.seed
    pairs = pair_up(first, second) if first.shape.hidden == second.shape.hidden else []
    places = same_places(pairs, (first.parameters, second.parameters), seed=seed)
    found: list[Evidence | Skipped] = [_places(places, sides)]
    if _settled(places, first, second):
        reason = "the weights agree in their places already"
        found += [Skipped(method=name, reason=reason) for name in (VECTORS, ORDER, ALIGNED)]
    else:
        found += _further(sides)
    found += [*_hints(sides, places, found), _description(first, second)]
    return [item for item in found if isinstance(item, Evidence)], [item for item in found if isinstance(item, Skipped)]


def _settled(places: Places, first: Weights, second: Weights) -> bool:
    alike = first.layers == second.layers and min(places.covered) > 0.5
    layers = [matrix.correlation for matrix in places.matrices if matrix.key[0] >= 0 and not matrix.vector]
    return alike and bool(layers) and places.log10_p <= _SETTLED_LOG10_P and float(np.min(layers)) >= _SETTLED_R


def _further(sides: Sides) -> list[Evidence | Skipped]:
    first, second, seed = sides.suspect, sides.reference, sides.seed
    found: list[Evidence | Skipped] = []
    vectors: Vectors | None = None
    if first.shape.hidden == second.shape.hidden:
        vectors = same_vectors(first, second, Basis.halves(first.shape.hidden, seed), seed=seed)
        missing = "no layer of both models has a role in common"
    else:
        missing = f"the residual streams have different widths, {first.shape.hidden} and {second.shape.hidden}"
    if vectors is None:
        found.append(Skipped(method=VECTORS, reason=missing))
    else:
        found.append(_vectors(vectors, first, second))
    kept = vectors is not None and vectors.held_out.log10_p <= _SETTLED_LOG10_P
    turned = "the residual stream is the same in both" if kept else aligned(first, second, seed=seed)
    if isinstance(turned, str):
        found.append(Skipped(method=ALIGNED, reason=turned))
        order = vectors
    else:
        found.append(_aligned(turned))
        order = turned.vectors if vectors is None or turned.vectors.order_log10_p < vectors.order_log10_p else vectors
    looks = 2 if vectors is not None and not isinstance(turned, str) else 1
    found.append(Skipped(method=ORDER, reason=missing) if order is None else _order(order, looks))
    return found


def _power(log10_p: float) -> float:
    return float(10 ** max(log10_p, _SMALLEST))


def _whole(share: float) -> float:
    """1 for all of it and nothing else: reports keep six digits, and nearly all must not be read as all."""
    return share if share == 1.0 else min(share, 0.9999)


def _places(places: Places, sides: Sides) -> Evidence:
    matrices = [matrix for matrix in places.matrices if not matrix.vector]
    exact = [matrix.rounding.share for matrix in places.matrices if not matrix.grid]
    grid = [matrix.rounding.share for matrix in places.matrices if matrix.grid]
    layers, words = places.correlation(vocabulary=False), places.correlation(vocabulary=True)
    renamed = sum(matrix.renamed for matrix in places.matrices)
    note = (
        f"{len(matrices)} pairs of matrices cover {100 * places.covered[0]:.0f} % of the suspect's and "
        f"{100 * places.covered[1]:.0f} % of the reference's weights; mean correlation {layers:.3f} in the layers, "
        f"{words:.3f} in embedding and head; stored as {sides.suspect.formats} and {sides.reference.formats}"
    )
    spread = [m.correlation for m in matrices]
    half = float(1.96 * np.std(spread) / np.sqrt(len(spread))) if spread else 0.0
    value = float(np.mean(spread)) if spread else 0.0
    return Evidence(
        method=PLACES,
        title="Weights: the same places",
        access="weights",
        statistic=places.blocks.statistic,
        pvalue=_power(places.log10_p),
        effect=value,
        interval=(max(-1.0, value - half), min(1.0, value + half)),
        n=len(matrices),
        note=note + (f"; {renamed} of them were found by their values, not by name" if renamed else ""),
        features={
            "log10_p": places.log10_p,
            "layers_log10_p": places.blocks.log10_p,
            "vocabulary_log10_p": places.vocabulary.log10_p,
            "coverage": min(places.covered),
            "exact": _whole(min(exact, default=1.0)) if places.matrices else 0.0,
            "grid": min(grid, default=1.0) if places.matrices else 0.0,
            "spread": places.spread,
            "kept": _whole(min((m.kept for m in matrices), default=0.0)),
            "distance": float(np.mean([m.distance for m in matrices])) if matrices else 2.0,
            "between": between(sides.suspect, sides.reference, sides.others),
        },
    )


def _vectors(vectors: Vectors, first: Weights, second: Weights) -> Evidence:
    kept = float(np.mean([match.in_place for match in vectors.layers]))
    moved = sum(match.first != match.second for match in vectors.layers)
    good = sum(match.cosine >= vectors.cosine / 2 and match.cosine > 0.1 for match in vectors.layers)
    return Evidence(
        method=VECTORS,
        title="Weights: the same vectors in any order",
        access="weights",
        statistic=vectors.held_out.statistic,
        pvalue=_power(vectors.held_out.log10_p),
        effect=vectors.cosine,
        interval=None,
        n=len(vectors.layers),
        note=f"{good} of {len(first.layers)} and {len(second.layers)} layers have a partner, {moved} of the partners under "
        f"another number; {100 * kept:.0f} % of the matched neurons are in their old place",
        features={"log10_p": vectors.held_out.log10_p, "cosine": vectors.cosine},
    )


def _order(vectors: Vectors, looks: int) -> Evidence:
    log10_p = min(0.0, vectors.order_log10_p + float(np.log10(looks)))
    return Evidence(
        method=ORDER,
        title="Weights: the order of neurons",
        access="weights",
        statistic=vectors.order,
        pvalue=_power(log10_p),
        effect=vectors.order,
        interval=None,
        n=sum(match.order.n for match in vectors.layers),
        note="Spearman's ρ of the places of matched neurons, by linear assignment; combined over layers after Fisher",
        features={"log10_p": log10_p, "rho": vectors.order},
    )


def _aligned(found: Aligned) -> Evidence:
    return Evidence(
        method=ALIGNED,
        title="Weights: after turning the residual stream",
        access="weights",
        statistic=found.cka,
        pvalue=None,
        effect=found.vectors.matched,
        interval=None,
        n=found.tokens,
        note=f"turned by {found.tokens} shared tokens (trace {found.trace:.2f}, 1 where nothing is turned); unbiased CKA "
        f"of query and key matrices {found.cka:.2f}. Models that read the same data are alike here too: no p-value",
        features={"cka": found.cka, "matched": found.vectors.matched, "trace": found.trace},
    )


def _hints(sides: Sides, places: Places, tests: Sequence[Evidence | Skipped]) -> list[Evidence | Skipped]:
    powers = [item.features["log10_p"] for item in tests if isinstance(item, Evidence) and "log10_p" in item.features]
    if min(powers, default=0.0) > _WORTH_A_HINT_LOG10_P:
        reason = "no descent is shown that could have a direction or shares"
        return [Skipped(method=name, reason=reason) for name in (DIRECTION, MERGE)]
    return [_direction(sides, places), _merge(sides)]


def _direction(sides: Sides, places: Places) -> Evidence:
    found = direction(sides.suspect, sides.reference, places)
    who = {1: sides.suspect.name, -1: sides.reference.name, 0: ""}[found.lean]
    said = f"{who} looks like the later one: {found.reason}" if found.lean else f"No hint of who came first: {found.reason}"
    return Evidence(
        method=DIRECTION,
        title="Weights: who came first (exploratory)",
        access="weights",
        statistic=found.kurtosis,
        pvalue=None,
        effect=float(found.lean),
        interval=None,
        n=2,
        note=f"{said} (difference in kurtosis {found.kurtosis:+.3f}, not used). Exploratory, and no part of the verdict",
        features={"lean": float(found.lean)},
    )


def _merge(sides: Sides) -> Evidence | Skipped:
    parents: Sequence[Weights] = (sides.reference, *sides.others)
    found = merge(sides.suspect, parents)
    if isinstance(found, str):
        return Skipped(method=MERGE, reason=found)
    named = ", ".join(f"{parent.name} {share:.2f}" for parent, share in zip(parents, found.shares, strict=True))
    return Evidence(
        method=MERGE,
        title="Weights: shares of parents (exploratory)",
        access="weights",
        statistic=found.shares[0],
        pvalue=None,
        effect=found.shares[0],
        interval=None,
        n=len(parents),
        note=f"Non-negative least squares: {named}; {100 * found.unexplained:.0f} % of the way from the nearest parent "
        "stays unexplained. Exploratory, and no part of the verdict",
        features={"unexplained": found.unexplained},
    )


def _description(first: Weights, second: Weights) -> Evidence:
    tokens = shared_tokens(first, second)
    mine, theirs = first.checkpoint.vocabulary or {}, second.checkpoint.vocabulary or {}
    share = len(tokens[0]) / max(len(mine), len(theirs), 1) if tokens else 0.0
    said = (
        f"{len(tokens[0]):,} tokens are in both vocabularies, of {len(mine):,} and {len(theirs):,}"
        if tokens
        else "the tokens of one model are unknown"
    )
    keys = set(first.checkpoint.config) & set(second.checkpoint.config)
    equal = sum(first.checkpoint.config[key] == second.checkpoint.config[key] for key in keys)
    heads = {True: "the embedding", False: "a matrix of its own"}
    return Evidence(
        method=DESCRIPTION,
        title="Tokenizer and configuration (described)",
        access="weights",
        statistic=share,
        pvalue=None,
        effect=share,
        interval=None,
        n=len(tokens[0]) if tokens else 0,
        note=f"{said}; {equal} of {len(keys)} common settings are equal; the output head is {heads[first.tied]} in the "
        f"suspect and {heads[second.tied]} in the reference. Anybody may use the same: this decides nothing",
    )
