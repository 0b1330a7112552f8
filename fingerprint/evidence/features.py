"""The numbers that a calibration sees, of one pair: the same code for a report and for the benchmark."""

from __future__ import annotations

from fingerprint.evidence.align import Aligned
from fingerprint.evidence.contrast import FEWEST_OTHERS, contrast_features
from fingerprint.evidence.overlap import overlap_features
from fingerprint.evidence.residuals import residual_features


def distribution_features(aligned: Aligned) -> dict[str, float]:
    """Features of suspect and reference (rows 0 and 1) among the others; none where there are fewer than two others."""
    if len(aligned.other_rows) < FEWEST_OTHERS:
        return {}
    return residual_features(aligned) | contrast_features(aligned) | overlap_features(aligned)
