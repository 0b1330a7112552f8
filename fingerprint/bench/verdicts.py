"""The program's own verdict on pairs of known truth, each under a calibration that never saw either side's pedigree.

`decide` gets what it gets in a report: the case with its named controls, the weights' evidence and the calibrated
features. Only the intervals over prompts are left out, which can take an accusation back but never make one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, get_args

from fingerprint.bench.zoo import TIERS, Scored, Zoo, calibrate
from fingerprint.calibration.model import Calibration
from fingerprint.evidence.base import Evidence
from fingerprint.evidence.case import Case
from fingerprint.evidence.weights import weight_descent
from fingerprint.recording import Recording
from fingerprint.stats.intervals import clopper_pearson
from fingerprint.verdict import Kind, Verdict, decide
from fingerprint.zoo.pairs import DESCENDANT, controls_for

KINDS: tuple[Kind, ...] = get_args(Kind)
#: Verdicts that accuse: wrong ones are the worst fault of the program.
ACCUSING = frozenset({"same", "derived", "distilled"})
#: What is asked of both sides; "weights" has everything.
ACCESS = ("weights", "topk", "text")


@dataclass(frozen=True, kw_only=True)
class Court:
    """Decides pairs of a zoo; every calibration is fitted without the pedigrees of the pair, unless one is fixed."""

    zoo: Zoo
    scored: Sequence[Scored]
    fixed: Calibration | None = None
    _calibrations: dict[frozenset[str], Calibration] = field(default_factory=dict)

    def verdict(self, item: Scored, access: str) -> Verdict:
        recordings = self._stripped[access]
        pair = item.pair
        case = Case(
            suspect=recordings[pair.suspect],
            reference=recordings[pair.reference],
            controls=tuple(recordings[name] for name in controls_for(self.zoo.cards, pair.suspect, pair.reference)),
        )
        evidence = [_behaviour(item.features, access)]
        weights = weight_descent(case)
        if isinstance(weights, Evidence):
            evidence.append(weights)
        return decide(case, evidence, self.calibration(pair.pedigree, pair.reference_pedigree))

    def calibration(self, *pedigrees: str) -> Calibration:
        """Fitted on pairs that touch none of these pedigrees."""
        if self.fixed is not None:
            return self.fixed
        left = frozenset(pedigrees)
        if left not in self._calibrations:
            name = "without-" + "-".join(sorted(left))
            self._calibrations[left] = calibrate(self.zoo, self.scored, name=name, date="", without=left)
        return self._calibrations[left]

    @cached_property
    def _stripped(self) -> dict[str, dict[str, Recording]]:
        """The recordings as somebody with less access has them."""
        whole = self.zoo.recordings
        topk = {name: replace(recording, sketch=()) for name, recording in whole.items()}
        text = {name: replace(each, distributions=(), scores=()) for name, each in topk.items()}
        return {"weights": whole, "topk": topk, "text": text}


def _behaviour(features: Mapping[str, float], access: str) -> Evidence:
    known = set(TIERS["text"]) if access == "text" else set(features)
    return Evidence(
        method="features",
        title="Features",
        access="text" if access == "text" else "topk",
        statistic=0.0,
        pvalue=None,
        effect=0.0,
        interval=None,
        n=0,
        features={name: value for name, value in features.items() if name in known},
    )


def judge(court: Court, say: Any) -> dict[str, Any]:
    """Confusion of truth and verdict, wrong accusations by stratum, and direction, for every access."""
    table = {}
    for access in ACCESS:
        verdicts = [court.verdict(item, access) for item in court.scored]
        table[access] = {
            "confusion": confusion(court.scored, verdicts),
            "accusations": accusations(court.scored, verdicts),
            "direction": direction(court.scored, verdicts),
        }
        say(f"verdicts with {access}: {len(verdicts)}")
    return table


def confusion(scored: Sequence[Scored], verdicts: Sequence[Verdict]) -> dict[str, dict[str, int]]:
    """Truth → verdict → pairs. A copy in another number format counts as the same model."""
    counts: dict[str, Counter[str]] = {}
    for item, verdict in zip(scored, verdicts, strict=True):
        counts.setdefault(_truth(item), Counter())[verdict.kind] += 1
    return {truth: {kind: counts[truth][kind] for kind in KINDS} for truth in sorted(counts)}


def _truth(item: Scored) -> str:
    if item.pair.truth == "derived" and item.pair.stratum == "quantize":
        return "same"
    return DESCENDANT if item.pair.stratum == DESCENDANT else item.pair.truth


def accusations(scored: Sequence[Scored], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Accusing verdicts where no descent is, by stratum: unrelated pairs, siblings and fellow students."""
    found: dict[str, Any] = {}
    innocent = [(i, v) for i, v in zip(scored, verdicts, strict=True) if _innocent(i)]
    for stratum in sorted({item.pair.stratum for item, _ in innocent}):
        kinds = [verdict.kind for item, verdict in innocent if item.pair.stratum == stratum]
        count = sum(kind in ACCUSING for kind in kinds)
        low, high = clopper_pearson(count, len(kinds))
        found[stratum] = {"pairs": len(kinds), "accused": count, "interval": [round(low, 4), round(high, 4)]}
    return found


def _innocent(item: Scored) -> bool:
    return item.pair.truth == "unrelated" or item.pair.akin


def direction(scored: Sequence[Scored], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Of the pairs that were found to be kin: how often a direction was named, and how often the right one."""
    right = wrong = open_ = 0
    for item, verdict in zip(scored, verdicts, strict=True):
        forward = item.pair.truth in {"derived", "distilled"}
        if not (forward or item.pair.stratum == DESCENDANT) or verdict.kind not in {*ACCUSING, "related"}:
            continue
        wanted = "suspect_from_reference" if forward else "reference_from_suspect"
        if verdict.direction == "undetermined":
            open_ += 1
        elif verdict.direction == wanted:
            right += 1
        else:
            wrong += 1
    decided = right + wrong
    low, high = clopper_pearson(right, decided)
    return {
        "pairs": decided + open_,
        "decided": decided,
        "right": right,
        "accuracy": round(right / decided, 4) if decided else None,
        "interval": [round(low, 4), round(high, 4)],
        "abstained": round(open_ / max(decided + open_, 1), 4),
    }
