"""Top-k × top-k: do both models rank the next tokens alike, whatever probabilities they give them?

Needs next-token lists of both sides; tokens are the same if their bytes are, so tokenizers may differ, but models of
one tokenizer overlap more. Null: the suspect ranks no more like the reference than like each control.
"""

from __future__ import annotations

import numpy as np

from fingerprint.evidence.align import by_prompt
from fingerprint.evidence.base import Evidence, Skipped
from fingerprint.evidence.case import Case
from fingerprint.stats.intervals import bootstrap_interval
from fingerprint.stats.permutation import beats_all
from fingerprint.stats.ranks import PERSISTENCE, overlap


def rank_overlap(case: Case) -> Evidence | Skipped:
    """Mean rank-biased overlap per prompt (Webber, Moffat and Zobel 2010), 0 to 1."""
    aligned = case.aligned
    if isinstance(aligned, Skipped):
        return Skipped(method="rank_overlap", reason=aligned.reason)
    rows = np.array([by_prompt(overlap(aligned.ranks[0], other), aligned) for other in aligned.ranks[1:]])
    value, count = float(rows[0].mean()), rows.shape[1]
    return Evidence(
        method="rank_overlap",
        title="Rank-biased overlap",
        access="topk",
        statistic=value,
        effect=value,
        interval=bootstrap_interval(lambda w: float(w @ rows[0] / count), count, seed=case.seed),
        pvalue=beats_all(rows[0], rows[1:], seed=case.seed) if len(rows) > 1 else None,
        n=count,
        note=f"of the first {aligned.ranks.shape[2]} tokens, by their bytes, persistence {PERSISTENCE}; "
        "higher among models of one tokenizer",
        controls={case.labels[place]: float(row.mean()) for place, row in zip(aligned.used, rows[1:], strict=True)},
    )
