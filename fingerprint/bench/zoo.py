"""A zoo for benchmarks: recordings with cards, pairs of known truth with their features, calibrations fitted on them.

A zoo is a folder of recordings (``NAME.jsonl.zst``) with their cards (``NAME.card.json``), so that every table can be
computed again in minutes, without the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.stats import norm

from fingerprint import recording_file
from fingerprint.bench.baselines import Baselines
from fingerprint.bench.features import FeatureTable
from fingerprint.calibration.fit import (
    LabelledPair,
    curves,
    fit_tier,
    fit_weakest,
    left_out_log_lrs,
    population_bounds,
    strata,
)
from fingerprint.calibration.model import PARTS, Calibration, Tier
from fingerprint.errors import UsageError
from fingerprint.recording import Recording
from fingerprint.text import safe_text
from fingerprint.zoo.card import Card
from fingerprint.zoo.pairs import DESCENDANT, Pair, all_pairs, controls_for, next_pedigree

Floats = NDArray[np.float64]
Say = Callable[[str], None]
#: The features of each behavioural tier: what the calibration of that tier is fitted on.
TIERS: dict[str, tuple[str, ...]] = {
    "topk": ("partial_z", "partial_margin"),
    "agreed": tuple(PARTS["agreed"].values()),
    "likelihood": ("cross_text",),
    "fused": ("partial_z", "partial_margin", "contrast", "cross_text"),
    "text": ("text_z",),
}
#: Tiers by which a verdict on behaviour is decided. That two methods must agree was said before the recordings that
#: decided on it were made (`docs/log.md`). The tier `topk` is no substitute: with few controls it accuses every seventh
#: unrelated pair (`bench/validation.json`).
DECIDES = ("agreed", "text")
#: How a calibration's population names the recipe of its models.
TRAINED = "trained by the recipe {}"
#: A pair can touch two, and something must be left to fit on.
FEWEST_PEDIGREES = 3
#: Natural log of the greatest ratio that a p-value of weights is worth.
_GREATEST = 300 * float(np.log(10))
LINEAGE = frozenset({"derived", "distilled"})


@dataclass(frozen=True, kw_only=True)
class Zoo:
    """Recordings and cards, by name, in order."""

    recordings: dict[str, Recording]
    cards: dict[str, Card]

    @cached_property
    def table(self) -> FeatureTable:
        """Features of any pair; what pairs share is computed once."""
        return FeatureTable(recordings=self.recordings)


def read_zoo(folder: Path, *, fewest: int = FEWEST_PEDIGREES) -> Zoo:
    """Read the recordings of a zoo that have a card, and whose parents have too.

    Raises:
        UsageError: a card is broken, or there are fewer than ``fewest`` pedigrees.

    """
    cards = {path.name.removesuffix(".card.json"): _card(path) for path in sorted(folder.glob("*.card.json"))}
    present = {name for name in cards if (folder / f"{name}.jsonl.zst").is_file()}
    whole = {name: card for name, card in cards.items() if name in present and set(card.parents) <= present}
    if len({card.pedigree for card in whole.values()}) < fewest:
        raise UsageError(
            f"{folder} does not hold recordings with cards of at least {fewest} pedigrees.",
            hint="A pair's error rates are fitted without the pedigrees of both its sides, so a third must be left."
            if fewest > 1
            else "Make some with `fingerprint zoo record`.",
        )
    return Zoo(recordings={name: recording_file.read(folder / f"{name}.jsonl.zst") for name in whole}, cards=whole)


def _card(path: Path) -> Card:
    try:
        return Card.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise UsageError(f"{path} is not a card: {safe_text(error.errors()[0]['msg'])}.") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A pair with its truth and its features."""

    pair: Pair
    features: dict[str, float]


def chosen_pairs(cards: Mapping[str, Card]) -> list[Pair]:
    """Every ordered pair inside a pedigree, and of each model with the models of the next pedigree."""
    following = next_pedigree(card.pedigree for card in cards.values())
    return [pair for pair in all_pairs(cards) if pair.reference_pedigree in {pair.pedigree, following[pair.pedigree]}]


def score_pairs(zoo: Zoo, say: Say, pairs: Sequence[Pair] | None = None) -> list[Scored]:
    """Features and baselines of the pairs (all chosen ones unless named), against the controls that the zoo has."""
    baselines = Baselines(table=zoo.table)
    wanted = chosen_pairs(zoo.cards) if pairs is None else pairs
    scored = []
    for count, pair in enumerate(wanted, start=1):
        others = controls_for(zoo.cards, pair.suspect, pair.reference)
        sides = (pair.suspect, pair.reference, others)
        scored.append(Scored(pair=pair, features=zoo.table.of(*sides) | baselines.of(*sides)))
        if count % 200 == 0:
            say(f"{count} of {len(wanted)} pairs")
    return scored


def lineages(cards: Mapping[str, Card]) -> list[str]:
    """The models that began from nothing: each is one independent lineage."""
    return [name for name, card in cards.items() if not card.parents]


def described(zoo: Zoo, scored: Sequence[Scored]) -> dict[str, Any]:
    """What every table of a zoo begins with: how much there is, and how well its models speak."""
    return {
        "models": len(zoo.cards),
        "pedigrees": len({card.pedigree for card in zoo.cards.values()}),
        "lineages": len(lineages(zoo.cards)),
        "pairs": len(scored),
        "held_out_bits_per_byte": {
            name: {"own": card.held_out_bits_per_byte, "parents": card.parents_held_out_bits_per_byte}
            for name, card in zoo.cards.items()
        },
    }


def labelled(scored: Sequence[Scored], names: Sequence[str]) -> list[LabelledPair]:
    """The pairs that a tier is fitted on: descent or none, with all of its features."""
    # A chain or a sibling is neither hypothesis; the weights decide on derived pairs long before behaviour does.
    return [_labelled(item) for item in eligible(scored, names)]


def kin(scored: Sequence[Scored], names: Sequence[str]) -> list[LabelledPair]:
    """Siblings, fellow students and kin of a teacher: no descent, yet not unrelated; counted, never fitted on."""
    return [_labelled(item) for item in scored if item.pair.akin and set(names) <= set(item.features)]


def _labelled(item: Scored) -> LabelledPair:
    pair = item.pair
    return LabelledPair(
        features=item.features,
        related=pair.truth in LINEAGE,
        pedigree=pair.pedigree,
        other=pair.reference_pedigree,
        stratum=pair.stratum,
        kin=pair.akin,
    )


def eligible(scored: Sequence[Scored], names: Sequence[str]) -> list[Scored]:
    """The pairs of `labelled`, in the same order."""
    return [item for item in scored if item.pair.truth != "related" and set(names) <= set(item.features)]


def left_out(scored: Sequence[Scored], names: tuple[str, ...]) -> Floats:
    """Natural-log LR of every eligible pair, from pairs that touch neither of its pedigrees."""
    return left_out_log_lrs(labelled(scored, names), names, weakest=names == TIERS["agreed"])


def calibrate(
    zoo: Zoo, scored: Sequence[Scored], *, name: str, date: str, without: frozenset[str] = frozenset()
) -> Calibration:
    """The calibration of all tiers, fitted on all pairs but those that touch the pedigrees `without`."""
    kept = [item for item in scored if not {item.pair.pedigree, item.pair.reference_pedigree} & without]
    cards = {model: card for model, card in zoo.cards.items() if card.pedigree not in without}
    independent = lineages(cards)
    parents = {parent for card in cards.values() for parent in card.parents}
    counts = {"families": len(independent), "related_families": len(parents & set(independent))}
    sizes = [card.parameters for card in cards.values()]
    tiers: dict[str, Tier] = {}
    for tier, names in TIERS.items():
        pairs = labelled(kept, names)
        if len({pair.related for pair in pairs}) == 2:
            pairs += kin(kept, names)
            in_parts = tier in PARTS
            tiers |= (
                fit_weakest(pairs, PARTS[tier], tier, **counts) if in_parts else {tier: fit_tier(pairs, names, **counts)}
            )
    return Calibration(
        id=name,
        date=date,
        population=f"{len(cards)} small models in {len({c.pedigree for c in cards.values()})} pedigrees, "
        f"{len(independent)} independent lineages, {TRAINED.format(next(iter(cards.values())).recipe)}",
        parameters=(min(sizes), max(sizes)),
        tiers={**tiers, "weights": _weights_tier(kept, **counts)},
        decides=DECIDES,
    )


def _weights_tier(scored: Sequence[Scored], *, families: int, related_families: int) -> Tier:
    """Bounds of what weights may claim, and the ratios that pairs of known lineage reach before them.

    These are one over the p-value of independent starts, as in a verdict on weights; learning leaves none in weights.
    """
    seen = [item for item in scored if "weight_z" in item.features and item.pair.stratum != DESCENDANT]
    pairs = [_labelled(item) for item in seen if item.pair.truth != "distilled"]
    ratios = np.array([min(-float(norm.logsf(pair.features["weight_z"])), _GREATEST) for pair in pairs])
    return Tier(
        features=(),
        mean=(),
        scale=(),
        coefficients=(),
        intercept=0.0,
        bounds=population_bounds(families, related_families),
        related_pairs=sum(pair.related for pair in pairs),
        unrelated_pairs=sum(not (pair.related or pair.kin) for pair in pairs),
        families=families,
        tippett=curves(pairs, ratios),
        strata=strata(pairs, ratios),
    )
