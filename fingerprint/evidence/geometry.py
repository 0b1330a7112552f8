"""Logits × logits: do the same probes lie near each other for both models?

Needs next-token log-probabilities of both sides, cut off or whole. Null of the p-value: nothing that one model makes
of a probe tells what the other makes of it. Any two models of one language refute that, so the number to look at is
how far the reference stands above the controls.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fingerprint.evidence.align import Aligned
from fingerprint.evidence.base import MIN_PROMPTS, Evidence, Skipped
from fingerprint.evidence.case import Case
from fingerprint.stats import cka
from fingerprint.stats.residual import FLOOR

Floats = NDArray[np.float64]
_ROUNDS, _GROUPS = 99, 10  # a matrix of all probes is made anew for each


def probe_geometry(case: Case) -> Evidence | Skipped:
    """Unbiased linear CKA of log-probabilities over next bytes (sources in `fingerprint.stats.cka`)."""
    aligned = case.aligned
    if isinstance(aligned, Skipped):
        return Skipped(method="probe_geometry", reason=aligned.reason)
    if aligned.prompt_count < MIN_PROMPTS:
        return Skipped(method="probe_geometry", reason=f"{aligned.prompt_count} prompts of all, {MIN_PROMPTS} needed")
    grams = [rows @ rows.T for rows in features(aligned)]
    centred = [cka.u_centred(gram) for gram in grams]
    values = [cka.alignment(centred[0], other) for other in centred[1:]]
    spread = 1.96 * cka.jackknife(grams[0], grams[1], groups=_GROUPS)
    return Evidence(
        method="probe_geometry",
        title="Geometry of probes (CKA)",
        access="topk",
        statistic=values[0],
        effect=values[0],
        interval=(max(-1.0, values[0] - spread), min(1.0, values[0] + spread)),
        pvalue=cka.permutation_pvalue(centred[0], centred[1], seed=case.seed, rounds=_ROUNDS),
        n=aligned.prompt_count,
        note="p: probes of one side permuted, which any two models of a language refute; look at the controls",
        controls={case.labels[place]: value for place, value in zip(aligned.used, values[1:], strict=True)},
    )


def features(aligned: Aligned) -> Floats:
    """Mean centred log-probabilities of each prompt, (models, prompts, symbols), weighted as in `stats.residual`."""
    seen = aligned.probabilities.max(axis=(0, 1)) > FLOOR
    tables = aligned.probabilities[:, :, seen].astype(np.float64)
    weights = np.sqrt(tables.mean(axis=0))
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
    logs = np.log(tables + FLOOR)
    logs = (logs - (logs * weights).sum(axis=2, keepdims=True)) * np.sqrt(weights)
    found = np.zeros((len(tables), aligned.prompt_count, tables.shape[2]))
    for context, prompt in enumerate(aligned.prompts):
        found[:, prompt] += logs[:, context]
    # A sum would be large where a prompt was looked at in many places, for all models alike.
    return np.asarray(found / np.bincount(aligned.prompts)[:, None], dtype=np.float64)
