"""False accusations: comparisons in which nobody learned from anybody, again and again on other prompts.

A comparison is an innocent pair (unrelated, siblings, fellow students) under a random half of the prompts. The
calibration of each comes from pairs that touch neither pedigree, on all prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fingerprint.bench.queries import common_keys, draws
from fingerprint.bench.verdicts import ACCESS, ACCUSING, Court
from fingerprint.bench.zoo import Say, Scored, Zoo, chosen_pairs, score_pairs
from fingerprint.stats.intervals import clopper_pearson
from fingerprint.verdict import Verdict
from fingerprint.zoo.pairs import SAME_DATA, Pair

FEWEST = 2000


def innocent_pairs(pairs: Sequence[Pair]) -> list[Pair]:
    """Pairs without descent in either direction, the hard ones first: same data, then kin, then strangers."""
    kin = [pair for pair in pairs if pair.akin]
    unrelated = [pair for pair in pairs if pair.truth == "unrelated"]
    hard = [pair for pair in unrelated if pair.stratum in SAME_DATA]
    return [*hard, *kin, *(pair for pair in unrelated if pair.stratum not in SAME_DATA)]


def run(
    zoo: Zoo, say: Say, *, comparisons: int = FEWEST, seed: int = 0, scored: Sequence[Scored] | None = None
) -> dict[str, Any]:
    """At least so many comparisons: LR > 1, LR > 10 and accusing verdicts, per access and stratum.

    `scored` are the chosen pairs under all prompts, if they are known already; calibrations are fitted on them.
    """
    pairs = chosen_pairs(zoo.cards)
    court = Court(zoo=zoo, scored=score_pairs(zoo, say, pairs) if scored is None else scored)
    innocent = innocent_pairs(pairs)
    generator = np.random.default_rng(seed)
    rounds = max(2, -(-comparisons // len(innocent)))
    share = -(-comparisons // rounds)
    found: dict[str, list[tuple[Pair, Verdict]]] = {access: [] for access in ACCESS}
    for number, part in enumerate(draws(zoo, len(common_keys(zoo)) // 2, rounds, seed), start=1):
        chosen = [innocent[place] for place in generator.permutation(len(innocent))[:share]]
        for item in score_pairs(part, lambda _: None, chosen):
            for access in ACCESS:
                found[access].append((item.pair, court.verdict(item, access)))
        say(f"round {number} of {rounds}: {len(chosen)} comparisons")
    return {"comparisons": len(found[ACCESS[0]]), **{access: _table(rows) for access, rows in found.items()}}


def _table(rows: Sequence[tuple[Pair, Verdict]]) -> dict[str, Any]:
    strata = {"all": list(rows)}
    for pair, verdict in rows:
        strata.setdefault(pair.stratum, []).append((pair, verdict))
    return {name: _row([verdict for _, verdict in part]) for name, part in sorted(strata.items())}


def _row(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    counts = {
        "lr_above_1": sum(v.log_lr.uncapped > 0 and v.log_lr.tier != "none" for v in verdicts),
        "lr_above_10": sum(v.log_lr.uncapped > 1 for v in verdicts),
        "accused": sum(v.kind in ACCUSING for v in verdicts),
    }
    row: dict[str, Any] = {"comparisons": len(verdicts)}
    for name, count in counts.items():
        low, high = clopper_pearson(count, len(verdicts))
        row[name] = count
        row[f"{name}_share"] = round(count / len(verdicts), 4)
        row[f"{name}_interval"] = [round(low, 4), round(high, 4)]
    return row
