"""How many probes the sequential comparison needs on a zoo: derived and distilled pairs, and pairs without a link."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerprint.bench.zoo import read_zoo
from fingerprint.evidence.closeness import Side, distance
from fingerprint.evidence.information import rank_probes
from fingerprint.sequential import Outcome, evaluate
from fingerprint.zoo.pairs import all_pairs, controls_for

ALPHA = 0.01
Floats = NDArray[np.float64]


def run(folder: Path, say: Callable[[str], None], *, alpha: float = ALPHA) -> dict[str, Any]:
    """Per truth: pairs, how each was decided, and the median number of probes until then (undecided ones count as all).

    The order of the probes is measured on the models of the other pedigrees alone.
    """
    zoo = read_zoo(folder)
    sides = {name: Side(recording=recording) for name, recording in zoo.recordings.items()}

    @cache
    def profile(one: str, two: str, pedigree: str) -> Floats:
        """Distances of two models on all probes of a pedigree's order; NaN where there is none."""
        found = [distance(sides[one], sides[two], key) for key in orders[pedigree]]
        return np.array([np.nan if value is None else value for value in found])

    def between(one: str, two: str, pedigree: str) -> Floats:
        first, second = sorted((one, two))
        return profile(first, second, pedigree)

    orders: dict[str, list[str]] = {}
    for pedigree in dict.fromkeys(card.pedigree for card in zoo.cards.values()):
        others = [zoo.recordings[name] for name, card in zoo.cards.items() if card.pedigree != pedigree]
        orders[pedigree] = [item.prompt.key for item in rank_probes(others)]
    found: dict[str, list[Outcome]] = defaultdict(list)
    inside = [pair for pair in all_pairs(zoo.cards) if zoo.cards[pair.reference].pedigree == pair.pedigree]
    for count, pair in enumerate(inside, start=1):
        controls = controls_for(zoo.cards, pair.suspect, pair.reference)
        near = between(pair.suspect, pair.reference, pair.pedigree)
        far = np.array([between(pair.suspect, name, pair.pedigree) for name in controls])
        table = np.nan_to_num(np.sign(far - near)).reshape(len(controls), len(near))
        found[pair.truth].append(evaluate(table, tuple(controls), alpha=alpha, available=len(near)))
        if count % 50 == 0:
            say(f"{count} of {len(inside)} pairs")
    return {"alpha": alpha, **{truth: _row(outcomes) for truth, outcomes in sorted(found.items())}}


def _row(outcomes: list[Outcome]) -> dict[str, Any]:
    decided = [outcome for outcome in outcomes if outcome.decided != "undecided"]
    return {
        "pairs": len(outcomes),
        "closer_to_the_reference": sum(outcome.decided == "reference" for outcome in outcomes),
        "closer_to_a_control": sum(outcome.decided == "control" for outcome in outcomes),
        "undecided": len(outcomes) - len(decided),
        "median_queries": float(np.median([outcome.queries for outcome in outcomes])),
        "median_queries_of_decided": float(np.median([outcome.queries for outcome in decided])) if decided else None,
        "available": outcomes[0].available,
    }
