"""Who learned from whom? Two statistics for the direction of distillation, tried on a zoo, and what confounds them.

Each is antisymmetric in the sides and positive if the suspect looks like the student. ``tails``: the suspect's
probability on next bytes that the reference finds rare, minus the reverse; ``texts``: how unlikely each side's texts
are to the other, against to itself. Both come as they are, and ``corrected``: minus what the two sides' asymmetries with
the controls predict, so that what one model does to all others (its quality) is gone. The threshold of each pedigree
is taken from the others. Named where no direction is right, or by quality alone, a direction is a false accusation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerprint.bench.zoo import Zoo, read_zoo
from fingerprint.evidence.align import by_prompt
from fingerprint.stats.intervals import clopper_pearson
from fingerprint.zoo.card import Card
from fingerprint.zoo.pairs import SAME_DATA, Pair, all_pairs, controls_for

Floats = NDArray[np.float64]
Asymmetry = Callable[[int, int], Floats]
#: Below this probability a next byte counts as rare.
RARE = 1e-3
#: Share of the other pedigrees' pairs that the threshold leaves open.
_OPEN = 0.2
_FEWEST = 20
_ALIKE = 0.02  # bits per byte within which two models count as equally good


def run(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Per statistic: accuracy and abstention on students, and what it does on pairs without a direction."""
    zoo = read_zoo(folder)
    inside = [pair for pair in all_pairs(zoo.cards) if pair.pedigree == pair.reference_pedigree]
    forward = [pair for pair in inside if pair.truth == "distilled"]
    once = [pair for pair in inside if pair.suspect < pair.reference]
    fellows = [pair for pair in once if pair.stratum == "common teacher"]
    strangers = [pair for pair in once if pair.stratum in SAME_DATA and _same_test(zoo, pair)]
    table: dict[str, Any] = {"students_no_better_than_their_teachers": _share([_worse(zoo.cards, p) for p in forward])}
    for name, asymmetry in (("tails", _tails(zoo)), ("texts", _texts(zoo))):
        for corrected in (False, True):
            scores = [_scores(zoo, part, asymmetry, corrected=corrected) for part in (forward, fellows, strangers)]
            table[f"{name}, corrected" if corrected else name] = _row(zoo, (forward, fellows, strangers), scores)
        say(f"{name}: {len(forward)} students, {len(fellows)} pairs of fellows, {len(strangers)} of strangers")
    return table


def _same_test(zoo: Zoo, pair: Pair) -> bool:
    return zoo.cards[pair.suspect].held_out_corpus == zoo.cards[pair.reference].held_out_corpus


def _worse(cards: dict[str, Card], pair: Pair) -> bool:
    card = cards[pair.suspect]
    return card.held_out_bits_per_byte >= card.parents_held_out_bits_per_byte.get(
        pair.reference, cards[pair.reference].held_out_bits_per_byte
    )


def _tails(zoo: Zoo) -> Asymmetry:
    aligned = zoo.table.aligned
    tables = aligned.probabilities[:, :, aligned.probabilities.max(axis=(0, 1)) > 0]

    @cache
    def asymmetry(first: int, second: int) -> Floats:
        mine, theirs = tables[first].astype(np.float64), tables[second].astype(np.float64)
        return by_prompt((mine * (theirs < RARE)).sum(axis=1) - (theirs * (mine < RARE)).sum(axis=1), aligned)

    return asymmetry


def _texts(zoo: Zoo) -> Asymmetry:
    bits = zoo.table.scores.bits

    def asymmetry(first: int, second: int) -> Floats:
        mine, theirs = bits[second, first] - bits[first, first], bits[first, second] - bits[second, second]
        return np.asarray(mine - theirs, dtype=np.float64)

    return asymmetry


def _scores(zoo: Zoo, pairs: Sequence[Pair], asymmetry: Asymmetry, *, corrected: bool) -> Floats:
    """Mean over its standard error of each pair, NaN where too little was recorded."""
    place = {name: row for row, name in enumerate(zoo.recordings)}
    found = []
    for pair in pairs:
        values = asymmetry(place[pair.suspect], place[pair.reference])
        if corrected:
            near = [
                place[name]
                for name in controls_for(zoo.cards, pair.suspect, pair.reference)
                if zoo.cards[name].pedigree == pair.pedigree
            ]
            told = [asymmetry(place[pair.suspect], c) + asymmetry(c, place[pair.reference]) for c in near]
            told = [each for each in told if np.isfinite(values + each).sum() >= _FEWEST]
            values = values - np.mean(told, axis=0) if told else np.full_like(values, np.nan)
        values = values[np.isfinite(values)]
        error = values.std(ddof=1) / np.sqrt(values.size) if values.size >= _FEWEST else 0.0
        found.append(float(values.mean() / error) if error > 0 else np.nan)
    return np.array(found)


def _row(zoo: Zoo, groups: Sequence[Sequence[Pair]], scores: Sequence[Floats]) -> dict[str, Any]:
    (forward, fellows, strangers), (found, of_fellows, of_strangers) = groups, scores
    limits = {}
    for pedigree in {pair.pedigree for pair in forward}:
        others = np.abs([z for pair, z in zip(forward, found, strict=True) if pair.pedigree != pedigree])
        limits[pedigree] = float(np.nanquantile(others, _OPEN))

    def named(pairs: Sequence[Pair], values: Floats) -> list[bool]:
        return [bool(abs(z) >= limits[pair.pedigree]) for pair, z in zip(pairs, values, strict=True)]

    decided = named(forward, found)
    better = [
        zoo.cards[pair.suspect].held_out_bits_per_byte - zoo.cards[pair.reference].held_out_bits_per_byte
        for pair in strangers
    ]
    # Between strangers nobody learned: what the sign follows there, it follows everywhere.
    telling = [
        (z > 0) == (gap > 0) for z, gap in zip(of_strangers, better, strict=True) if abs(gap) >= _ALIKE and np.isfinite(z)
    ]
    return {
        "right_of_decided": _share([z > 0 for z, yes in zip(found, decided, strict=True) if yes]),
        "right_of_all": _share([z > 0 for z in found if np.isfinite(z)]),
        "abstained": round(1 - float(np.mean(decided)), 4),
        "named_between_fellow_students": _share(named(fellows, of_fellows)),
        "named_between_strangers": _share(named(strangers, of_strangers)),
        "sign_follows_quality_between_strangers": _share(telling),
    }


def _share(hits: Sequence[bool]) -> dict[str, Any]:
    low, high = clopper_pearson(sum(hits), len(hits))
    share = round(float(np.mean(hits)), 4) if hits else None
    return {"share": share, "of": len(hits), "interval": [round(low, 3), round(high, 3)]}
