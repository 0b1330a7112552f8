"""Fit the calibration of panels: two tiers of one feature, their mixture, its bounds, and the tail of the null."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fingerprint.calibration.fit import LabelledPair, fit_tier, population_bounds
from fingerprint.calibration.metrics import cllr, elub
from fingerprint.calibration.model import Tier
from fingerprint.calibration.panel import PanelCalibration, mixture

Floats = NDArray[np.float64]
DESCENT, IMITATION = ("panel_z",), ("imitation_z",)
_TAIL = 60  # stored points of the exceedance function


def left_out(pairs: Sequence[LabelledPair], students: Sequence[bool]) -> Floats:
    """Natural-log LR of the mixture for every pair, fitted without the pair's fold, shape (pairs,).

    ``students`` marks the related pairs in which one learned from the other's outputs: they fit the imitation tier.
    """
    scores = np.array([[pair.features[name] for name in (*DESCENT, *IMITATION)] for pair in pairs])
    truth, fold = np.array([pair.related for pair in pairs]), np.array([pair.pedigree for pair in pairs])
    learned = np.array(students) | ~truth
    found = np.zeros(len(pairs))
    for left in dict.fromkeys(fold.tolist()):
        rest, tested = fold != left, fold == left
        first = _line(scores[rest, 0], truth[rest])
        second = _line(scores[rest & learned, 1], truth[rest & learned])
        logs = [slope * scores[tested, place] + base for place, (slope, base) in enumerate((first, second))]
        found[tested] = mixture(logs[0], logs[1])
    return found


def _line(scores: Floats, truth: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and intercept of the log LR in one score, classes balanced as in `fit_tier`."""
    from sklearn.linear_model import LogisticRegression

    mean, scale = float(scores.mean()), max(float(scores.std()), 1e-9)
    model = LogisticRegression(C=1.0, class_weight="balanced").fit(((scores - mean) / scale)[:, None], truth)
    slope = float(model.coef_[0, 0]) / scale
    return slope, float(model.intercept_[0]) - slope * mean


def fit_panel(
    pairs: Sequence[LabelledPair],
    students: Sequence[bool],
    *,
    families: int,
    related_families: int,
    name: str,
    date: str,
    population: str,
) -> PanelCalibration:
    """The calibration fitted on all pairs; its bounds, Cllr and tail come from left-out likelihood ratios."""
    truth = np.array([pair.related for pair in pairs])
    tested = left_out(pairs, students)
    descent, imitation = _tiers(pairs, students, families, related_families)
    bounds = population_bounds(families, related_families, elub(tested[truth], tested[~truth]))
    return PanelCalibration(
        id=name,
        date=date,
        population=population,
        descent=descent,
        imitation=imitation,
        bounds=bounds,
        cllr=round(cllr(tested[truth], tested[~truth]), 4),
        exceedance=_exceedance(tested[~truth] / np.log(10)),
    )


def _tiers(
    pairs: Sequence[LabelledPair], students: Sequence[bool], families: int, related_families: int
) -> tuple[Tier, Tier]:
    counts = {"families": families, "related_families": related_families}
    imitated = [pair for pair, student in zip(pairs, students, strict=True) if student or not pair.related]
    return fit_tier(pairs, DESCENT, **counts), fit_tier(imitated, IMITATION, **counts)


def _exceedance(unlisted: Floats) -> tuple[tuple[float, float], ...]:
    """log10 LR → share (1 + b)/(1 + B) of unlisted pairs at or above it, denser towards the tail."""
    ordered = np.sort(unlisted)[::-1]
    ranks = np.unique(np.geomspace(1, len(ordered), _TAIL).astype(int))
    rows = [(round(float(ordered[rank - 1]), 4), float((1 + rank) / (1 + len(ordered)))) for rank in ranks]
    # Above all that was seen only the one error that might have come counts.
    top = (round(float(ordered[0]) + 1e-4, 4), float(1 / (1 + len(ordered))))
    return tuple((value, round(share, 7)) for value, share in sorted([top, *rows]))
