"""Error rates on a zoo: features of all pairs with their truth, calibration with whole pedigrees left out.

A zoo is a folder of recordings (``NAME.jsonl.zst``) with their cards (``NAME.card.json``), so that the table can be
computed again in minutes, without the weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerprint import recording_file
from fingerprint.calibration.fit import LabelledPair, fit_tier, left_out_log_lrs, population_bounds
from fingerprint.calibration.metrics import auc, cllr, cllr_min, tpr_at
from fingerprint.calibration.model import Calibration, Tier
from fingerprint.errors import UsageError
from fingerprint.evidence.align import Aligned, align
from fingerprint.evidence.base import Evidence, Skipped
from fingerprint.evidence.case import Case
from fingerprint.evidence.text import usable_answers
from fingerprint.evidence.weights import weight_descent
from fingerprint.recording import Recording
from fingerprint.stats import residual
from fingerprint.stats.divergence import jensen_shannon
from fingerprint.stats.intervals import clopper_pearson
from fingerprint.stats.textsim import pair_scores
from fingerprint.zoo.card import Card
from fingerprint.zoo.pairs import Pair, all_pairs, controls_for

Floats = NDArray[np.float64]
TOPK, TEXT = ("partial_z", "partial_margin"), ("text_z",)
#: Baselines of peers, computed on the same pairs in the same run.
BASELINES = ("jsd", "top1", "plain_z", "phrases")
_LINEAGE = {"derived", "distilled"}


@dataclass(frozen=True, kw_only=True)
class Zoo:
    """Recordings and cards, by name, in order."""

    recordings: dict[str, Recording]
    cards: dict[str, Card]


def read_zoo(folder: Path) -> Zoo:
    """Read the recordings of a zoo that have a card."""
    cards = {
        path.name.removesuffix(".card.json"): Card.model_validate_json(path.read_bytes())
        for path in sorted(folder.glob("*.card.json"))
    }
    files = {name: folder / f"{name}.jsonl.zst" for name in cards}
    present = {name for name, path in files.items() if path.is_file()}
    whole = {name: card for name, card in cards.items() if name in present and set(card.parents) <= present}
    if len({card.pedigree for card in whole.values()}) < 2:
        raise UsageError(f"{folder} does not hold recordings with cards of at least two pedigrees.")
    return Zoo(recordings={name: recording_file.read(files[name]) for name in whole}, cards=whole)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A pair with its truth and its features."""

    pair: Pair
    features: dict[str, float]


def score_pairs(zoo: Zoo, say: Callable[[str], None]) -> list[Scored]:
    """Features of every pair inside a pedigree, and of each model with the first models of the next pedigree."""
    names = list(zoo.cards)
    table = align(zoo.recordings[names[0]], zoo.recordings[names[1]], [zoo.recordings[name] for name in names[2:]])
    if isinstance(table, Skipped):
        raise UsageError(f"The recordings of the zoo do not fit together: {table.reason}.")
    place = {name: row for row, name in enumerate(names)}
    keys = sorted(set.intersection(*(set(usable_answers(r)) for r in zoo.recordings.values())))
    answers = {n: [found[key][0] for key in keys] for n, r in zoo.recordings.items() if (found := usable_answers(r))}
    chosen = _chosen(zoo.cards)
    scored = []
    for count, pair in enumerate(chosen, start=1):
        others = controls_for(zoo.cards, pair.suspect, pair.reference)
        rows = [place[name] for name in (pair.suspect, pair.reference, *others)]
        features = _distribution_features(table, rows) | _text_features(answers, pair, others)
        scored.append(Scored(pair=pair, features=features | _weight_features(zoo, pair)))
        if count % 100 == 0:
            say(f"{count} of {len(chosen)} pairs")
    return scored


def _chosen(cards: Mapping[str, Card]) -> list[Pair]:
    order = list(dict.fromkeys(card.pedigree for card in cards.values()))
    following = dict(zip(order, [*order[1:], order[0]], strict=True))
    return [
        pair for pair in all_pairs(cards) if cards[pair.reference].pedigree in {pair.pedigree, following[pair.pedigree]}
    ]


def _distribution_features(table: Aligned, rows: Sequence[int]) -> dict[str, float]:
    part = table.probabilities[list(rows)]
    gram = residual.gram_matrices(part, table.prompts).total()
    others = list(range(2, len(rows)))
    first, second = part[0].astype(np.float64), part[1].astype(np.float64)
    return {
        "partial_z": float(np.arctanh(residual.partial(gram, 0, 1, others))),
        "partial_margin": residual.margin(gram, 0, 1, others),
        "plain_z": float(np.arctanh(residual.plain(gram, 0, 1, others))),
        "jsd": -float(jensen_shannon(first, second).mean()),
        "top1": float((first.argmax(axis=1) == second.argmax(axis=1)).mean()),
    }


def _text_features(answers: Mapping[str, list[str]], pair: Pair, others: Sequence[str]) -> dict[str, float]:
    found = pair_scores([answers[name] for name in (pair.suspect, pair.reference, *others)])
    return {"text_z": float(found.score[0, 1]), "phrases": float(found.components["phrases"][0, 1])}


def _weight_features(zoo: Zoo, pair: Pair) -> dict[str, float]:
    case = Case(suspect=zoo.recordings[pair.suspect], reference=zoo.recordings[pair.reference])
    found = weight_descent(case)
    return {"weight_r": found.effect, "weight_z": found.statistic} if isinstance(found, Evidence) else {}


def lineages(cards: Mapping[str, Card]) -> list[str]:
    """The models that began from nothing: each is one independent lineage."""
    return [name for name, card in cards.items() if not card.parents]


def calibrate(zoo: Zoo, scored: Sequence[Scored], *, name: str, date: str) -> Calibration:
    """The calibration of all tiers from the pairs whose truth is descent or none."""
    independent = lineages(zoo.cards)
    with_children = [root for root in independent if any(root in card.parents for card in zoo.cards.values())]
    counts = {"families": len(independent), "related_families": len(with_children)}
    sizes = [card.parameters for card in zoo.cards.values()]
    derived = sum(item.pair.truth == "derived" for item in scored if "weight_r" in item.features)
    weights = Tier(
        features=(),
        mean=(),
        scale=(),
        coefficients=(),
        intercept=0.0,
        bounds=population_bounds(len(independent), len(with_children)),
        related_pairs=derived,
        unrelated_pairs=sum(item.pair.truth == "unrelated" for item in scored if "weight_r" in item.features),
        families=len(independent),
    )
    return Calibration(
        id=name,
        date=date,
        population=f"{len(zoo.cards)} small models in {len({c.pedigree for c in zoo.cards.values()})} pedigrees, "
        f"{len(independent)} independent lineages, trained by the recipe {next(iter(zoo.cards.values())).recipe}",
        parameters=(min(sizes), max(sizes)),
        tiers={
            "topk": fit_tier(_labelled(scored, TOPK), TOPK, **counts),
            "text": fit_tier(_labelled(scored, TEXT), TEXT, **counts),
            "weights": weights,
        },
    )


def _labelled(scored: Sequence[Scored], names: Sequence[str]) -> list[LabelledPair]:
    # A chain or a sibling is neither hypothesis; the weights decide on derived pairs long before behaviour does.
    return [
        LabelledPair(
            features=item.features,
            related=item.pair.truth in _LINEAGE,
            pedigree=item.pair.pedigree,
            stratum=item.pair.stratum,
        )
        for item in scored
        if item.pair.truth != "related" and set(names) <= set(item.features)
    ]


def error_rates(scored: Sequence[Scored]) -> dict[str, Any]:
    """Every tier and baseline on the same pairs: AUC, TPR at 1 % FPR, Cllr, misleading evidence per stratum."""
    table: dict[str, Any] = {}
    for name, features in (("topk", TOPK), ("text", TEXT)):
        pairs = [item for item in scored if item.pair.truth != "related"]
        logs = left_out_log_lrs(_labelled(scored, features), features)
        table[name] = _row(pairs, logs) | {"calibration": _calibration_row(pairs, logs)}
    for name in BASELINES:
        pairs = [item for item in scored if item.pair.truth != "related"]
        table[f"baseline {name}"] = _row(pairs, np.array([item.features[name] for item in pairs]))
    open_weights = [i for i in scored if i.pair.truth in {"derived", "unrelated"} and "weight_r" in i.features]
    table["weights"] = _row(open_weights, np.array([item.features["weight_r"] for item in open_weights]))
    return table


def _row(pairs: Sequence[Scored], values: Floats) -> dict[str, Any]:
    truth = np.array([item.pair.truth for item in pairs])
    same_data = np.array(["twin" in i.pair.stratum or i.pair.stratum == "same data" for i in pairs])
    unrelated = values[truth == "unrelated"]
    row: dict[str, Any] = {"unrelated_pairs": int(unrelated.size)}
    for kind in ("derived", "distilled"):
        related = values[truth == kind]
        if related.size:
            row[kind] = _discrimination(related, unrelated)
            row[f"{kind} against same data"] = _discrimination(related, values[(truth == "unrelated") & same_data])
    return row


def _discrimination(related: Floats, unrelated: Floats) -> dict[str, Any]:
    found, of = tpr_at(related, unrelated)
    low, high = clopper_pearson(found, of)
    return {
        "auc": round(auc(related, unrelated), 4),
        "tpr_at_1_percent_fpr": round(found / of, 4),
        "interval": [round(low, 3), round(high, 3)],
        "pairs": of,
    }


def _calibration_row(pairs: Sequence[Scored], logs: Floats) -> dict[str, Any]:
    truth = np.array([item.pair.truth for item in pairs])
    related, unrelated = logs[np.isin(truth, list(_LINEAGE))], logs[truth == "unrelated"]
    strata: dict[str, Any] = {}
    for stratum, count in sorted(Counter(i.pair.stratum for i in pairs if i.pair.truth == "unrelated").items()):
        chosen = np.array([i.pair.truth == "unrelated" and i.pair.stratum == stratum for i in pairs])
        hits = [int(np.sum(logs[chosen] > np.log(limit))) for limit in (1, 10)]
        strata[stratum] = {"pairs": count, "lr_above_1": hits[0], "lr_above_10": hits[1]}
    return {
        "cllr": round(cllr(related, unrelated), 4),
        "cllr_min": round(cllr_min(related, unrelated), 4),
        "misleading": strata,
    }
