"""Top-k × top-k: how far apart are the distributions once the suspect's temperature is put right?

Needs next-token log-probabilities of both sides. A student that learned at another temperature, or a server that
sharpens, differs in confidence and not in what it prefers. Null: the suspect, at its best temperature for each, is no
closer to the reference than to each control. Lists are cut off and added up by next byte before the temperature is
changed, so the profile is an approximation (`fingerprint.stats.temperature`).
"""

from __future__ import annotations

import numpy as np

from fingerprint.evidence.align import by_prompt
from fingerprint.evidence.base import Evidence, Skipped
from fingerprint.evidence.case import Case
from fingerprint.stats.intervals import bootstrap_interval
from fingerprint.stats.permutation import beats_all
from fingerprint.stats.temperature import profiled


def tempered_divergence(case: Case) -> Evidence | Skipped:
    """Least over τ of the mean JSD(softmax(z_S/τ), p_R), in bits per context (Lin 1991 for the divergence)."""
    aligned = case.aligned
    if isinstance(aligned, Skipped):
        return Skipped(method="tempered_divergence", reason=aligned.reason)
    seen = aligned.probabilities.max(axis=(0, 1)) > 0
    suspect, *others = aligned.probabilities[:, :, seen].astype(np.float64)
    found = [profiled(suspect, other) for other in others]
    rows = np.array([by_prompt(bits, aligned) for _, bits in found])
    value, count = float(rows[0].mean()), rows.shape[1]
    return Evidence(
        method="tempered_divergence",
        title="Divergence at the best temperature",
        access="topk",
        statistic=value,
        effect=value,
        interval=bootstrap_interval(lambda w: float(w @ rows[0] / count), count, seed=case.seed),
        pvalue=beats_all(-rows[0], -rows[1:], seed=case.seed) if len(rows) > 1 else None,
        n=count,
        note=f"bits per context, the suspect's temperature multiplied by {found[0][0]:.2f}; approximate: lists are cut off",
        controls={case.labels[place]: float(row.mean()) for place, row in zip(aligned.used, rows[1:], strict=True)},
    )
