"""`fingerprint bench zoo`: everything that can be measured on a zoo's recordings, as one table."""

from __future__ import annotations

from typing import Any

from fingerprint.bench.attribution import attribute
from fingerprint.bench.queries import power
from fingerprint.bench.rates import error_rates, tippett
from fingerprint.bench.verdicts import Court, judge
from fingerprint.bench.zoo import TIERS, Say, Scored, Zoo, chosen_pairs, described


def measure(zoo: Zoo, scored: list[Scored], say: Say, *, with_power: bool = True) -> dict[str, Any]:
    """Error rates, verdicts, attribution and power; every likelihood ratio from pairs of other pedigrees."""
    court = Court(zoo=zoo, scored=scored)
    return {
        **described(zoo, scored),
        "tiers": {name: list(features) for name, features in TIERS.items()},
        "error_rates": error_rates(scored),
        "verdicts": judge(court, say),
        "attribution": attribute(court, say),
        "power": power(zoo, chosen_pairs(zoo.cards), say) if with_power else {},
        "tippett": tippett(scored),
    }
