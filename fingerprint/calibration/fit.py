"""Fit a calibration: logistic regression with few coefficients, families kept apart, bounds from what was counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fingerprint.calibration.metrics import cllr, cllr_min, elub
from fingerprint.calibration.model import STEPS, WEAKEST, Stratum, Tier, Tippett

Floats = NDArray[np.float64]
_QUANTILES = 101


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPair:
    """Features of one pair whose truth is known; a family is left out as a whole, whichever side belongs to it.

    ``pedigree`` is that of the suspect; ``other`` is that of the reference, where it is another one. ``kin``: neither
    descends from the other, but they share an origin; such pairs are measured and never fitted on.
    """

    features: dict[str, float]
    related: bool
    pedigree: str
    other: str = ""
    stratum: str = ""
    kin: bool = False


def left_out_log_lrs(pairs: Sequence[LabelledPair], names: tuple[str, ...], *, weakest: bool = False) -> Floats:
    """Natural-log LR of every pair from a calibration fitted without the families of its sides, shape (pairs,).

    ``weakest``: each feature is calibrated alone, and the smallest ratio once more, all on the same other families.
    Where nothing is left to fit on, the ratio is 1 (0 here), which says nothing.
    """
    found = np.zeros(len(pairs))
    sides = [frozenset({pair.pedigree, pair.other or pair.pedigree}) for pair in pairs]
    for left in dict.fromkeys(sides):
        rest = [pair for pair, families in zip(pairs, sides, strict=True) if not (pair.kin or families & left)]
        if len({pair.related for pair in rest}) < 2:
            continue
        score = _fitted(rest, names, weakest=weakest)
        for place, pair in enumerate(pairs):
            if sides[place] == left:
                found[place] = score(pair.features)
    return found


def _fitted(
    pairs: Sequence[LabelledPair], names: tuple[str, ...], *, weakest: bool
) -> Callable[[Mapping[str, float]], float]:
    """A natural-log LR of features, fitted on these pairs."""
    if not weakest:
        mean, scale, weights, intercept = _logistic(pairs, names)
        return lambda features: intercept + float(weights @ ((np.array([features[n] for n in names]) - mean) / scale))
    parts = [_fitted(pairs, (name,), weakest=False) for name in names]

    def least(features: Mapping[str, float]) -> dict[str, float]:
        return {WEAKEST: min(part(features) for part in parts)}

    top = _fitted([replace(pair, features=least(pair.features)) for pair in pairs], (WEAKEST,), weakest=False)
    return lambda features: top(least(features))


def fit_weakest(
    pairs: Sequence[LabelledPair], parts: Mapping[str, str], name: str, *, families: int, related_families: int
) -> dict[str, Tier]:
    """A tier in which several methods must agree, and its parts: tier name → the feature that it has for itself.

    Pairs that are ``kin`` are counted in the strata and nowhere else.
    """
    counts = {"families": families, "related_families": related_families}
    tiers = {part: fit_tier(pairs, (feature,), **counts) for part, feature in parts.items()}
    least = [
        replace(pair, features={WEAKEST: min(tier.log10_lr(pair.features) for tier in tiers.values())}) for pair in pairs
    ]
    tested = left_out_log_lrs(pairs, tuple(parts.values()), weakest=True)
    return {name: _tier(least, (WEAKEST,), tested, families, related_families), **tiers}


def fit_tier(pairs: Sequence[LabelledPair], names: tuple[str, ...], *, families: int, related_families: int) -> Tier:
    """A tier of the calibration. ``families`` counts independent lineages, which bound what an LR may claim.

    Pairs that are ``kin`` are counted in the strata and nowhere else.
    """
    return _tier(pairs, names, left_out_log_lrs(pairs, names), families, related_families)


def _tier(
    pairs: Sequence[LabelledPair], names: tuple[str, ...], tested: Floats, families: int, related_families: int
) -> Tier:
    """The tier fitted on all pairs, with what their left-out natural-log LRs say of it."""
    mean, scale, weights, intercept = _logistic([pair for pair in pairs if not pair.kin], names)
    right = tested[[pair.related and not pair.kin for pair in pairs]]
    wrong = tested[[not (pair.related or pair.kin) for pair in pairs]]
    low, high = elub(right, wrong)
    return Tier(
        features=names,
        mean=_rounded(mean),
        scale=_rounded(scale),
        coefficients=_rounded(weights),
        intercept=round(intercept, 6),
        bounds=population_bounds(families, related_families, (low, high)),
        cllr=round(cllr(right, wrong), 4),
        cllr_min=round(cllr_min(right, wrong), 4),
        related_pairs=right.size,
        unrelated_pairs=wrong.size,
        families=families,
        tippett=curves(pairs, tested),
        strata=strata(pairs, tested),
    )


def curves(pairs: Sequence[LabelledPair], tested: Floats) -> Tippett:
    """What Tippett plots draw of natural-log LRs, shape (pairs,)."""
    right, wrong = [pair.related and not pair.kin for pair in pairs], [not (pair.related or pair.kin) for pair in pairs]
    return Tippett(related=_quantiles(tested[right]), unrelated=_quantiles(tested[wrong]))


def _quantiles(natural: Floats) -> tuple[float, ...]:
    """Quantiles of natural-log LRs as log10: every value of a few, at most 101 of many."""
    points = np.linspace(0, 1, min(max(natural.size, 1), _QUANTILES))
    return tuple(float(np.round(value, 4)) for value in np.quantile(natural / np.log(10), points)) if natural.size else ()


def strata(pairs: Sequence[LabelledPair], tested: Floats) -> tuple[Stratum, ...]:
    """Strata of unrelated pairs, then those of kin, each in order of name; ``tested``: natural-log LRs, shape (pairs,)."""
    found = []
    kinds = sorted({(pair.kin, pair.stratum) for pair in pairs if pair.stratum and (pair.kin or not pair.related)})
    for kin, name in kinds:
        chosen = [pair.kin == kin and pair.stratum == name and (kin or not pair.related) for pair in pairs]
        logs = tested[chosen] / np.log(10)
        found.append(
            Stratum(
                name=name,
                pairs=logs.size,
                lr_above_1=int(np.sum(logs > 0)),
                lr_above_10=int(np.sum(logs > 1)),
                kin=kin,
                reached=_reached(logs),
            )
        )
    return tuple(found)


def _reached(logs: Floats) -> tuple[int, ...]:
    """How many log10 LRs are at least each step, without the zeros at the end."""
    # Never empty: that would mean that nobody has counted.
    counts = [int(np.sum(logs >= step)) for step in STEPS]
    return tuple(count for count in counts if count) or (0,)


def population_bounds(
    families: int, related_families: int, measured: tuple[float, float] = (-np.inf, np.inf)
) -> tuple[float, float]:
    """Log10 bounds: no claim beyond the number of independent lineages tested, rounded towards saying less."""
    low = max(measured[0], -float(np.log10(max(related_families, 1))))
    high = min(measured[1], float(np.log10(max(families, 1))))
    return float(np.ceil(low * 1e4) / 1e4) + 0.0, float(np.floor(high * 1e4) / 1e4)


def _logistic(pairs: Sequence[LabelledPair], names: tuple[str, ...]) -> tuple[Floats, Floats, Floats, float]:
    from sklearn.linear_model import LogisticRegression

    rows = np.array([_row(pair, names) for pair in pairs])
    truth = np.array([pair.related for pair in pairs])
    # Standardised first: on raw scores of small scale the penalty alone decides.
    mean, scale = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-9)
    # Balanced classes make the logit a log likelihood ratio.
    model = LogisticRegression(C=1.0, class_weight="balanced").fit((rows - mean) / scale, truth)
    return mean, scale, np.asarray(model.coef_[0], dtype=np.float64), float(model.intercept_[0])


def _row(pair: LabelledPair, names: tuple[str, ...]) -> Floats:
    return np.array([pair.features[name] for name in names], dtype=np.float64)


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(round(float(value), 6) for value in values)
