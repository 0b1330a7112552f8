"""Does a calibration hold on models that took no part in it? Its ratios and the verdicts, as they are, on another zoo.

Nothing is fitted here: neither the formula nor a threshold can have been chosen to suit these pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from fingerprint.bench.rates import calibration as calibrated
from fingerprint.bench.rates import discrimination
from fingerprint.bench.verdicts import Court, judge
from fingerprint.bench.zoo import TRAINED, Floats, Say, Scored, Zoo, described, eligible, score_pairs
from fingerprint.calibration.model import Calibration
from fingerprint.errors import UsageError
from fingerprint.stats.intervals import clopper_pearson
from fingerprint.verdict import ACCUSE, BEHAVIOUR_ACCUSE


def run(zoo: Zoo, calibration: Calibration, say: Say) -> dict[str, Any]:
    """Error rates of every tier of behaviour and of the verdicts, under this calibration alone.

    Raises:
        UsageError: the calibration was fitted on models of this zoo's recipe.

    """
    recipes = {card.recipe for card in zoo.cards.values()}
    seen = sorted(recipe for recipe in recipes if calibration.population.endswith(TRAINED.format(recipe)))
    if seen:
        raise UsageError(
            f"The calibration {calibration.id} was fitted on the recipe {seen[0]}, so it cannot be validated on it.",
            hint="`fingerprint bench zoo` measures a zoo with whole pedigrees left out.",
        )
    scored = score_pairs(zoo, say)
    tiers = {name: found for name in calibration.tiers if (found := _tier(name, calibration, scored))}
    return {
        "calibration": calibration.id,
        "calibration_digest": calibration.digest,
        "recipes": sorted(recipes),
        **described(zoo, scored),
        "tiers": tiers,
        "verdicts": judge(Court(zoo=zoo, scored=scored, fixed=calibration), say),
    }


def _tier(name: str, calibration: Calibration, scored: Sequence[Scored]) -> dict[str, Any]:
    """Discrimination, calibration and accusations of a tier; nothing where no pair has its features."""
    needed = calibration.needs(name)
    pairs = eligible(scored, tuple(needed)) if needed else []
    if not pairs or len({item.pair.truth == "unrelated" for item in pairs}) < 2:
        return {}
    logs = np.array([calibration.log10_lr(name, item.features) for item in pairs])
    return {
        "discrimination": discrimination(pairs, logs),
        "calibration": calibrated(pairs, logs * np.log(10)),
        "reached": {f"{10**limit:.0f}": _reached(pairs, logs, limit) for limit in (ACCUSE, BEHAVIOUR_ACCUSE)},
    }


def _reached(pairs: Sequence[Scored], logs: Floats, limit: float) -> dict[str, Any]:
    """How many pairs of each truth have a log10 LR of at least the limit, those of no descent by stratum too."""
    truths = Counter(item.pair.truth for item in pairs)
    hits = [item.pair for item, value in zip(pairs, logs, strict=True) if value >= limit]
    found = Counter(pair.truth for pair in hits)
    row: dict[str, Any] = {}
    for truth, of in sorted(truths.items()):
        low, high = clopper_pearson(found[truth], of)
        row[truth] = {"pairs": of, "reached": found[truth], "interval": [round(low, 4), round(high, 4)]}
    return row | {"unrelated by stratum": dict(sorted(Counter(p.stratum for p in hits if p.truth == "unrelated").items()))}
