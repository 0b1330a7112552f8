"""Top-k × top-k: how far apart the distributions are.

Needs next-token log-probabilities of both sides. The null of the p-value is that the suspect is no closer to the
reference than to each control, prompt by prompt; sampling noise is what it rules out, not common data. Sources: Lin 1991
for the divergence, Berger 1982 for the largest of the p-values (`fingerprint.stats.permutation`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fingerprint.evidence.align import by_prompt, tail_share
from fingerprint.evidence.base import Evidence, Skipped
from fingerprint.evidence.case import Case
from fingerprint.stats.divergence import jensen_shannon
from fingerprint.stats.intervals import bootstrap_interval
from fingerprint.stats.permutation import beats_all

Floats = NDArray[np.float64]


def divergence(case: Case) -> Evidence | Skipped:
    """Mean Jensen–Shannon divergence per context (Lin 1991), in bits; small means alike, and so means little alone."""
    aligned = case.aligned
    if isinstance(aligned, Skipped):
        return Skipped(method="divergence", reason=aligned.reason)
    suspect = aligned.probabilities[0].astype(np.float64)
    rows = [by_prompt(jensen_shannon(suspect, other.astype(np.float64)), aligned) for other in aligned.probabilities[1:]]
    reference, rivals = rows[0], np.array(rows[1:]).reshape(len(rows) - 1, aligned.prompt_count)
    value = float(reference.mean())
    count = len(reference)
    return Evidence(
        method="divergence",
        title="Jensen–Shannon divergence",
        access="topk",
        statistic=value,
        effect=value,
        interval=bootstrap_interval(lambda w: float(w @ reference / count), count, seed=case.seed),
        pvalue=beats_all(-reference, -rivals, seed=case.seed) if len(rivals) else None,
        n=count,
        note=f"bits per context; {tail_share(aligned):.1%} of the probability lies outside the recorded lists",
        controls={case.labels[place]: float(row.mean()) for place, row in zip(aligned.used, rivals, strict=True)},
        features={"jsd": value},
    )
