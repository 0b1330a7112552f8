"""Error rates of scores on pairs of known truth: discrimination, calibration, and misleading evidence by stratum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fingerprint.bench.baselines import BASELINES
from fingerprint.bench.zoo import LINEAGE, TIERS, Floats, Scored, eligible, left_out
from fingerprint.calibration import metrics
from fingerprint.stats.intervals import clopper_pearson
from fingerprint.zoo.pairs import SAME_DATA

#: Log10 likelihood ratios above which evidence for descent between unrelated models is counted as misleading.
MISLEADING = (0.0, 1.0)


def error_rates(scored: Sequence[Scored]) -> dict[str, Any]:
    """Every tier (whole pedigrees left out) and every baseline on the same pairs."""
    table: dict[str, Any] = {}
    for name, features in TIERS.items():
        pairs = eligible(scored, features)
        if len({item.pair.truth in LINEAGE for item in pairs}) == 2:
            logs = left_out(scored, features)
            table[name] = discrimination(pairs, logs) | {"calibration": calibration(pairs, logs)}
    for name in BASELINES:
        pairs = eligible(scored, (name,))
        if pairs:
            table[f"baseline {name}"] = discrimination(pairs, np.array([item.features[name] for item in pairs]))
    for name in single_features(scored):
        pairs = eligible(scored, (name,))
        table[f"feature {name}"] = discrimination(pairs, np.array([item.features[name] for item in pairs]))
    pairs = [item for item in eligible(scored, ("weight_r",)) if item.pair.truth in {"derived", "unrelated"}]
    if pairs:
        table["weights"] = discrimination(pairs, np.array([item.features["weight_r"] for item in pairs]))
    return table


def single_features(scored: Sequence[Scored]) -> list[str]:
    """Behavioural features that are no baseline: each is also shown alone, as it is."""
    found = dict.fromkeys(name for item in scored for name in item.features)
    return [name for name in found if name not in BASELINES and not name.startswith("weight_")]


def discrimination(pairs: Sequence[Scored], values: Floats) -> dict[str, Any]:
    """AUC and TPR at 1 % FPR of derived and distilled pairs, against all unrelated ones and those on the same data."""
    truth = np.array([item.pair.truth for item in pairs])
    same_data = np.array([item.pair.stratum in SAME_DATA for item in pairs])
    mechanism = np.array([_mechanism(item) for item in pairs])
    unrelated = truth == "unrelated"
    nulls = {"": values[unrelated], " against same data": values[unrelated & same_data]}
    classes = {
        "derived": truth == "derived",
        "distilled": truth == "distilled",
        "by logits": mechanism == "distill_logits",
        "by text": mechanism == "distill_text",
    }
    row: dict[str, Any] = {"unrelated_pairs": int(unrelated.sum())}
    for name, chosen in classes.items():
        if chosen.any():
            row |= {f"{name}{suffix}": _discriminated(values[chosen], null) for suffix, null in nulls.items() if null.size}
    strata = {}
    for stratum in sorted({item.pair.stratum for item in pairs if item.pair.truth in LINEAGE}):
        chosen = np.array([item.pair.stratum == stratum for item in pairs]) & ~unrelated
        strata[stratum] = _discriminated(values[chosen], nulls[" against same data"])
    return row | {"by stratum, against same data": strata}


def _mechanism(item: Scored) -> str:
    """How a student learned, where one step of learning is all that lies between it and its teacher."""
    return item.pair.stratum if item.pair.truth == "distilled" and " of " not in item.pair.stratum else ""


def _discriminated(related: Floats, unrelated: Floats) -> dict[str, Any]:
    found, of = metrics.tpr_at(related, unrelated)
    low, high = clopper_pearson(found, of)
    return {
        "auc": round(metrics.auc(related, unrelated), 4),
        "tpr_at_1_percent_fpr": round(found / max(of, 1), 4),
        "interval": [round(low, 3), round(high, 3)],
        "pairs": of,
        "against": int(unrelated.size),
    }


def calibration(pairs: Sequence[Scored], logs: Floats) -> dict[str, Any]:
    """Cllr and its parts, calibration errors, and misleading evidence in every stratum of unrelated pairs."""
    truth = np.array([item.pair.truth for item in pairs])
    related, unrelated = logs[np.isin(truth, list(LINEAGE))], logs[truth == "unrelated"]
    odds = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    cost, least = metrics.cllr(related, unrelated), metrics.cllr_min(related, unrelated)
    entropy = metrics.empirical_cross_entropy(related, unrelated, odds)
    return {
        "cllr": round(cost, 4),
        "cllr_min": round(least, 4),
        "cllr_cal": round(cost - least, 4),
        "expected_calibration_error": round(metrics.expected_calibration_error(related, unrelated), 4),
        "empirical_cross_entropy": {f"{o:+.0f}": round(float(e), 4) for o, e in zip(odds, entropy, strict=True)},
        "misleading": misleading(pairs, logs),
    }


def misleading(pairs: Sequence[Scored], logs: Floats) -> dict[str, Any]:
    """Unrelated pairs whose likelihood ratio speaks for descent, by stratum; and descents whose ratio speaks against."""
    strata: dict[str, Any] = {}
    for stratum in sorted({item.pair.stratum for item in pairs if item.pair.truth == "unrelated"}):
        chosen = np.array([item.pair.truth == "unrelated" and item.pair.stratum == stratum for item in pairs])
        models = {item.pair.suspect for item, yes in zip(pairs, chosen, strict=True) if yes}
        strata[stratum] = {"models": len(models), **_above(logs[chosen])}
    return strata


def _above(logs: Floats) -> dict[str, Any]:
    row: dict[str, Any] = {"pairs": int(logs.size)}
    for limit in MISLEADING:
        count = int(np.sum(logs > limit * np.log(10)))
        low, high = clopper_pearson(count, logs.size)
        row[f"lr_above_{10**limit:.0f}"] = count
        row[f"lr_above_{10**limit:.0f}_interval"] = [round(low, 4), round(high, 4)]
    return row


def tippett(scored: Sequence[Scored]) -> dict[str, dict[str, list[float]]]:
    """Log10 likelihood ratios of each tier, sorted, for related and unrelated pairs: what Tippett plots draw."""
    found = {}
    for name, features in TIERS.items():
        pairs = eligible(scored, features)
        if len({item.pair.truth in LINEAGE for item in pairs}) < 2:
            continue
        logs = left_out(scored, features) / np.log(10)
        related = np.array([item.pair.truth in LINEAGE for item in pairs])
        parts: Mapping[str, Floats] = {"related": logs[related], "unrelated": logs[~related]}
        found[name] = {kind: [round(float(v), 3) for v in np.sort(values)] for kind, values in parts.items()}
    return found
