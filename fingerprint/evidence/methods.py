"""All methods, strongest access first: the list that every comparison goes through."""

from __future__ import annotations

from fingerprint.evidence.asymmetry import text_asymmetry
from fingerprint.evidence.base import Evidence, Skipped
from fingerprint.evidence.border import border_agreement
from fingerprint.evidence.case import Case
from fingerprint.evidence.contrast import shared_deviations
from fingerprint.evidence.divergence import divergence
from fingerprint.evidence.geometry import probe_geometry
from fingerprint.evidence.known_base import known_base
from fingerprint.evidence.likelihood import cross_likelihood
from fingerprint.evidence.overlap import overlap_margin
from fingerprint.evidence.ranks import rank_overlap
from fingerprint.evidence.residuals import residual_correlation
from fingerprint.evidence.temperature import tempered_divergence
from fingerprint.evidence.text import text_evidence
from fingerprint.evidence.weights import weight_descent


def examine(case: Case) -> tuple[tuple[Evidence, ...], tuple[Skipped, ...]]:
    """Run every method; each either finds something, in numbers as a report holds them, or says why it cannot."""
    found: list[Evidence | Skipped] = [
        weight_descent(case),
        shared_deviations(case),
        overlap_margin(case),
        divergence(case),
        tempered_divergence(case),
        *residual_correlation(case),
        border_agreement(case),
        rank_overlap(case),
        probe_geometry(case),
        *cross_likelihood(case),
        text_asymmetry(case),
        *text_evidence(case),
        *known_base(case),
    ]
    evidence = tuple(item.rounded() for item in found if isinstance(item, Evidence))
    skipped = tuple(item for item in found if isinstance(item, Skipped))
    return evidence, skipped
