"""Top-k × top-k: what the suspect shares with the reference and not with their nearest relatives.

Needs next-token log-probabilities of both sides and of two others, one of them alike to the suspect or the reference
(same data, same tokenizer). Null: what each model has for itself alone is unrelated; then the contrast is zero
whatever data, tokenizer and quality the models have (see `fingerprint.stats.contrast`, after Patterson et al. 2012).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from fingerprint.evidence.align import Aligned
from fingerprint.evidence.base import Evidence, Skipped
from fingerprint.evidence.case import Case
from fingerprint.stats.contrast import Quartet, least, quartets
from fingerprint.stats.intervals import cluster_weights

Floats = NDArray[np.float64]
_BOOTSTRAP = 400
_SMALLEST_P = 1e-300
#: Fewest other models: one for each side.
FEWEST_OTHERS = 2


def chosen_quartets(aligned: Aligned) -> list[Quartet]:
    """The controls to contrast with: the nearest by tokens, the nearest by bytes, and the nearest of the same tokenizer.

    The nearest models by tokens share the tokenizer and may not share the data, the nearest by bytes the other way
    round; a relation has to show against both.
    """
    others = aligned.other_rows
    groups = [others]
    tokenizer = aligned.tokenizers[0]
    if tokenizer and tokenizer == aligned.tokenizers[1]:
        groups.append([row for row in others if aligned.tokenizers[row] == tokenizer])
    by_tokens = quartets(aligned.tokens.sum(axis=0), 0, 1, [others])
    by_bytes = quartets(aligned.bytes_.sum(axis=0), 0, 1, groups)
    return list(dict.fromkeys([*by_tokens, *by_bytes]))


def contrast_features(aligned: Aligned) -> dict[str, float]:
    """The least contrast over tokens and over bytes; needs two models besides the pair."""
    chosen = chosen_quartets(aligned)
    return {
        "contrast": least(aligned.tokens.sum(axis=0), 0, 1, chosen),
        "contrast_bytes": least(aligned.bytes_.sum(axis=0), 0, 1, chosen),
    }


def shared_deviations(case: Case) -> Evidence | Skipped:
    """The least contrast over tokens, with its interval and p-value clustered by prompt."""
    aligned = case.aligned
    if isinstance(aligned, Skipped):
        return Skipped(method="shared_deviations", reason=aligned.reason)
    if len(aligned.used) < FEWEST_OTHERS:
        reason = "needs at least two controls or panel models that answered the same prompts"
        return Skipped(method="shared_deviations", reason=reason)
    features = contrast_features(aligned)
    value = features["contrast"]
    chosen = chosen_quartets(aligned)
    drawn = _drawn(aligned.tokens, chosen, case.seed)
    low, high = np.percentile(drawn, [2.5, 97.5])
    spread = float(drawn.std(ddof=1))
    z = value / spread if spread > 0 else 0.0
    return Evidence(
        method="shared_deviations",
        title="Shared deviations",
        access="topk",
        statistic=z,
        effect=value,
        interval=(float(low), float(high)),
        pvalue=max(float(norm.sf(z)), _SMALLEST_P),
        n=aligned.prompt_count,
        note=f"against {_names(case, aligned, chosen)}; p: bootstrap over prompts",
        controls=_rivals(case, aligned),
        features=features,
    )


def _drawn(by_prompt: Floats, chosen: list[Quartet], seed: int) -> Floats:
    """Bootstrap values of the least contrast, the controls held fixed, shape (rounds,)."""
    rows = sorted({0, 1, *(model for quartet in chosen for model in quartet)})
    place = {row: index for index, row in enumerate(rows)}
    part = by_prompt[np.ix_(range(len(by_prompt)), rows, rows)]
    fixed = [(place[first], place[second]) for first, second in chosen]
    weights = cluster_weights(len(part), _BOOTSTRAP, seed)
    totals = np.tensordot(weights, part, axes=1)
    return np.array([least(total, 0, 1, fixed) for total in totals])


def _rivals(case: Case, aligned: Aligned) -> dict[str, float]:
    """The same contrast of the suspect with each control, the reference left out."""
    found = {}
    named = set(range(len(case.controls)))
    for row, place in enumerate(aligned.used, start=2):
        rest = [other for other in aligned.other_rows if other != row]
        if place in named and len(rest) >= FEWEST_OTHERS:
            found[case.labels[place]] = contrast_features(aligned.choose([0, row, *rest]))["contrast"]
    return found


def _names(case: Case, aligned: Aligned, chosen: list[Quartet]) -> str:
    rows = sorted({row for quartet in chosen for row in quartet})
    return ", ".join(case.labels[aligned.used[row - 2]] for row in rows)
