"""Who finds whose texts unlikely: the statistic for the direction of distillation.

Needs the scores that both sides give to their own and to each other's answers (`fingerprint collect --score`). A
student was made to find its teacher's texts likely, and spreads its own over more than the teacher knows; so the
student's texts are the more unlikely ones to the other side. Null: the two sides are exchangeable, on each prompt. It
follows the quality of the models too (`fingerprint bench direction`): a direction from it holds for students that are
no better than their teachers, and between two students of one teacher it means nothing.
"""

from __future__ import annotations

import numpy as np

from fingerprint.evidence.base import MIN_PROMPTS, Evidence, Skipped
from fingerprint.evidence.case import Case
from fingerprint.evidence.crossscores import CrossScores, Floats
from fingerprint.stats.intervals import bootstrap_interval
from fingerprint.stats.permutation import sign_flip


def asymmetries(scores: CrossScores) -> Floats:
    """Bits per byte by prompt: the suspect's text under the reference beyond itself, minus the reverse; no NaN."""
    bits = scores.bits
    values = (bits[1, 0] - bits[0, 0]) - (bits[0, 1] - bits[1, 1])
    return np.asarray(values[np.isfinite(values)], dtype=np.float64)


def asymmetry_features(scores: CrossScores) -> dict[str, float]:
    """The mean over its standard error, positive if the suspect looks like the student; absent on few prompts."""
    values = asymmetries(scores)
    spread = float(values.std(ddof=1)) if values.size >= MIN_PROMPTS else 0.0
    return {"text_asymmetry": float(values.mean() / spread * np.sqrt(values.size))} if spread > 0 else {}


def text_asymmetry(case: Case) -> Evidence | Skipped:
    """The asymmetry with its interval, and a two-sided p-value by changes of sign."""
    values, features = asymmetries(case.scores), asymmetry_features(case.scores)
    if not features:
        reason = f"needs {MIN_PROMPTS} prompts on which both sides scored their own and each other's answers"
        return Skipped(method="text_asymmetry", reason=reason)
    one_sided = min(sign_flip(sign * values, seed=case.seed) for sign in (1, -1))
    return Evidence(
        method="text_asymmetry",
        title="Asymmetry of texts",
        access="topk",
        statistic=features["text_asymmetry"],
        effect=float(values.mean()),
        interval=bootstrap_interval(lambda w: float(w @ values / w.sum()), values.size, seed=case.seed),
        pvalue=min(1.0, 2 * one_sided),
        n=int(values.size),
        note="bits per byte; above zero the suspect looks like the student, if it is one; it follows quality as well",
        features=features,
    )
