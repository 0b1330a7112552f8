"""Text × log-probabilities: does one model find the other's text unusually likely?

For the commonest real case, in which one side gives text only. Needs the text of one side, the log-probabilities of
the other, and two controls, one of which scores the same texts (`fingerprint collect --score` adds scores to a
recording; `compare` does so for models that it can ask). Scores are bits per byte, so tokenizers do not matter. Null:
the scorer is no better on the author's texts than its rival is, once it is also compared on a control's texts
(`fingerprint.stats.interaction`, after the four-model contrast of Patterson et al. 2012).
"""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from fingerprint.evidence.base import MIN_PROMPTS, Evidence, Skipped
from fingerprint.evidence.case import Case
from fingerprint.evidence.crossscores import CrossScores
from fingerprint.stats.interaction import Interaction, interactions
from fingerprint.stats.intervals import bootstrap_interval

_SMALLEST_P = 1e-300


def likelihood_features(scores: CrossScores) -> dict[str, float]:
    """The least share of a copy's interaction, by whose texts were scored; absent where too little was scored.

    ``cross_suspect``: the suspect's texts under the reference; ``cross_reference``: the other way round.
    ``cross_text`` is whichever there is, their mean where there are both.
    """
    found = {}
    for name, author, scorer in (("cross_suspect", 0, 1), ("cross_reference", 1, 0)):
        ways = _ways(scores, author, scorer)
        if ways:
            found[name] = min(way.share() for way in ways)
    return found | ({"cross_text": float(np.mean(list(found.values())))} if found else {})


def cross_likelihood(case: Case) -> list[Evidence | Skipped]:
    """Both directions: the suspect's text under the reference, and the reference's text under the suspect."""
    return [
        _one_way(case, 0, "suspect_text_likelihood", "Suspect's text under the reference"),
        _one_way(case, 1, "reference_text_likelihood", "Reference's text under the suspect"),
    ]


def _one_way(case: Case, author: int, method: str, title: str) -> Evidence | Skipped:
    sides = (case.suspect, case.reference)
    if not sides[1 - author].scores:
        why = sides[1 - author].why_not("scores")
        reason = f"{sides[1 - author].model.name} has not scored the answers of {sides[author].model.name}{why}"
        return Skipped(method=method, reason=reason)
    ways = _ways(case.scores, author, 1 - author)
    if not ways:
        return Skipped(method=method, reason=f"too few texts were scored by both sides' rivals, {MIN_PROMPTS} needed")
    way = min(ways, key=lambda each: each.share())
    spread = float(way.found.std(ddof=1) / np.sqrt(way.found.size))
    z = way.mean() / spread if spread > 0 else 0.0
    features = likelihood_features(case.scores)
    name = "cross_suspect" if author == 0 else "cross_reference"
    alone = {key: features[key] for key in (name, "cross_text")}
    return Evidence(
        method=method,
        title=title,
        access="topk",
        statistic=z,
        effect=way.share(),
        interval=bootstrap_interval(way.share, way.found.size, seed=case.seed),
        pvalue=max(float(norm.sf(z)), _SMALLEST_P),
        n=int(way.found.size),
        note=f"share of what the scorer's own texts show ({way.mean():.3f} bits per byte); the scorer is compared with "
        f"{case.labels[way.rival_scorer - 2]}, the author with {case.labels[way.rival_author - 2]}",
        features=alone,
    )


def _ways(scores: CrossScores, author: int, scorer: int) -> list[Interaction]:
    others = range(2, len(scores.bits))
    return interactions(scores.bits, author, scorer, list(others), fewest=MIN_PROMPTS)
