"""The calibration of ties in large panels: two tiers, kept apart from the calibration of comparisons.

``panel_topk`` turns partial ties (`tree.ties`) into likelihood ratios, ``panel_sketch`` sketched panel scores. They are
fitted by ``bench tree`` and ``bench growth``, each on its own population.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

from pydantic import TypeAdapter

from fingerprint.calibration.model import Calibration, Tier
from fingerprint.calibration.model import shipped as shipped_comparisons

SHIPPED = "ties.json"
TOPK, TEXT = "panel_topk", "panel_sketch"
TIERS = TypeAdapter(dict[str, Tier])


@cache
def shipped() -> Calibration:
    """The calibration that comes with the package, with the tiers of ties beside its own."""
    path = resources.files("fingerprint.calibration") / "data" / SHIPPED
    known = shipped_comparisons()
    return known.model_copy(update={"tiers": {**known.tiers, **TIERS.validate_json(path.read_bytes())}})


def with_tier(text: str, name: str, tier: Tier) -> str:
    """The text of the file with one tier put in."""
    known = {**TIERS.validate_json(text), name: tier}
    return json.dumps({key: known[key].model_dump(mode="json") for key in sorted(known)}, indent=2) + "\n"
