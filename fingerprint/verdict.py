"""From evidence and likelihood ratio to a verdict. Every threshold of the program stands in this file.

The worst failure of this tool is a false accusation, so whatever is not supported falls back: to ``related``
where a common origin is shown but not who learned from whom, to ``inconclusive`` where even that is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fingerprint.calibration.model import Calibration, LogLR, Tier
from fingerprint.evidence.base import MIN_PROMPTS, Evidence
from fingerprint.evidence.case import Case
from fingerprint.evidence.weights import sketch_distance

Kind = Literal["same", "derived", "distilled", "related", "unrelated", "inconclusive"]
Direction = Literal["suspect_from_reference", "reference_from_suspect", "undetermined"]

#: An accusation needs a capped likelihood ratio of ten, and its interval must stay above three.
ACCUSE, ACCUSE_LOW = 1.0, 0.5
#: "Unrelated" needs a likelihood ratio of one third or less, interval included.
CLEAR = -0.5
#: Weights descend from one initialisation: correlation of sketched values, and its z score. Independent
#: initialisations gave at most 0.05 on the zoo; a thousand steps of fine-tuning leave above 0.9.
DESCENT_R, DESCENT_Z = 0.2, 8.0
INDEPENDENT_R = 0.1
#: A copy in another number format: this share of values lies exactly where rounding puts them.
SAME_ROUNDED, SAME_COVERAGE = 0.97, 0.9
#: Without this many named controls no behaviour speaks for derivation: against strangers alone every model that read
#: the same data looks like a student (on the shipped zoo the teacher's twin would be accused at 10^1.9).
FEWEST_CONTROLS = 2
#: Control margin below which two distances of weights are not told apart.
CLOSER = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Kind, direction, the sentence in words, the likelihood ratio to quote, and what limits it."""

    kind: Kind
    direction: Direction
    sentence: str
    log_lr: LogLR
    limits: tuple[str, ...]


def decide(case: Case, evidence: Sequence[Evidence], calibration: Calibration) -> Verdict:
    """The verdict on a case."""
    found = {item.method: item for item in evidence}
    weights, identical = found.get("weight_descent"), _identical(case)
    if identical or (weights and _is_copy(weights)):
        return _verdict(case, "same", _weights_lr(calibration, weights), calibration)
    if weights and _descends(weights):
        kind: Kind = "related" if _sibling(case) else "derived"
        return _verdict(case, kind, _weights_lr(calibration, weights), calibration)
    log_lr = _behaviour_lr(case, found, calibration)
    return _verdict(case, _behaviour_kind(case, found, log_lr), log_lr, calibration)


def panel_kind(log_lr: LogLR, shared_prompts: int) -> Kind:
    """The verdict on a pair of a panel, from answers alone: text shows a common origin, never who learned."""
    if shared_prompts < MIN_PROMPTS:
        return "inconclusive"
    if log_lr.value >= ACCUSE:
        return "related"
    return "unrelated" if log_lr.value <= CLEAR else "inconclusive"


def _behaviour_kind(case: Case, found: Mapping[str, Evidence], log_lr: LogLR) -> Kind:
    if log_lr.value >= ACCUSE and log_lr.interval[0] >= ACCUSE_LOW:
        # Without a look at the weights, learning and descent look alike, and text alone shows neither.
        independent = _independent(case, found.get("weight_descent"))
        return "distilled" if independent and log_lr.tier == "topk" else "related"
    if log_lr.interval[1] <= CLEAR:
        return "unrelated"
    return "inconclusive"


def _behaviour_lr(case: Case, found: Mapping[str, Evidence], calibration: Calibration) -> LogLR:
    """The likelihood ratio of the strongest tier whose features are all there; tiers are never added up."""
    for name in ("topk", "text"):
        tier = calibration.tiers.get(name)
        sources = [item for item in found.values() if tier and set(item.features) & set(tier.features)]
        features = {key: value for item in sources for key, value in item.features.items()}
        if tier is None or not set(tier.features) <= set(features):
            continue
        uncapped = tier.log10_lr(features)
        ends = [uncapped, uncapped]
        main = found.get("partial_correlation") if name == "topk" else None
        if main and main.interval and tier.features[0] in main.features:
            ends = [tier.log10_lr(_shifted(features, main, end)) for end in main.interval]
        bounds = _bounds(case, tier, calibration)
        return LogLR.bounded(name, uncapped, (ends[0], ends[1]), bounds)
    return LogLR.bounded("none", 0.0, (0.0, 0.0), (0.0, 0.0))


def _shifted(features: Mapping[str, float], main: Evidence, end: float) -> dict[str, float]:
    """The features with the partial correlation at one end of its interval, the best control held fixed."""
    from math import atanh

    moved = atanh(max(-0.999999, min(0.999999, end))) - main.features["partial_z"]
    return {name: value + (moved if name.startswith("partial_") else 0.0) for name, value in features.items()}


def _bounds(case: Case, tier: Tier, calibration: Calibration) -> tuple[float, float]:
    """What the calibration supports for this case: nothing for models of another kind, no accusation without controls."""
    if not _covered(case, calibration):
        return 0.0, 0.0
    return tier.bounds if _controlled(case) else (tier.bounds[0], 0.0)


def _controlled(case: Case) -> bool:
    """Whether enough controls were named, one of them with the reference's tokenizer if the suspect has it too."""
    shared = case.suspect.model.tokenizer == case.reference.model.tokenizer
    alike = [control for control in case.controls if control.model.tokenizer == case.reference.model.tokenizer]
    return len(case.controls) >= FEWEST_CONTROLS and (bool(alike) or not shared)


def _covered(case: Case, calibration: Calibration) -> bool:
    return all(calibration.covers(side.model.parameters) for side in (case.suspect, case.reference))


def _weights_lr(calibration: Calibration, weights: Evidence | None) -> LogLR:
    from math import log10

    tier = calibration.tiers["weights"]
    uncapped = 300.0 if weights is None or not weights.pvalue else -log10(weights.pvalue)
    return LogLR.bounded("weights", uncapped, (uncapped, uncapped), tier.bounds)


def _identical(case: Case) -> bool:
    first, second = case.suspect.model, case.reference.model
    return (bool(first.weights) and first.weights == second.weights) or first.digest == second.digest


def _is_copy(weights: Evidence) -> bool:
    return weights.features["rounded_share"] >= SAME_ROUNDED and weights.features["coverage"] >= SAME_COVERAGE


def _descends(weights: Evidence) -> bool:
    return weights.effect >= DESCENT_R and weights.features["weight_z"] >= DESCENT_Z


def _sibling(case: Case) -> bool:
    """Whether some other model's weights lie between both sides: a common parent."""
    direct = sketch_distance(case.suspect, case.reference)
    if direct is None:
        return False
    for other in case.others:
        ways = [sketch_distance(other, side) for side in (case.suspect, case.reference)]
        # An exact copy of one side is no third model.
        if all(way is not None and 1e-3 < way < CLOSER * direct for way in ways):
            return True
    return False


def _independent(case: Case, weights: Evidence | None) -> bool:
    """Whether both sides' weights are open and share no initialisation, or have no matrix in common at all."""
    if weights is not None:
        return weights.effect < INDEPENDENT_R
    return bool(case.suspect.sketch) and bool(case.reference.sketch)


_SENTENCES: dict[Kind, str] = {
    "same": "{s} has the same weights as {r}, apart from the number format they are stored in.",
    "derived": "The weights of {s} and {r} descend from one training run: one was made from the other, or both from a "
    "model that is not among the controls.",
    "distilled": "{s} and {r} behave as if one had learned from the other, with weights of their own: the evidence is "
    "{x} times more probable if so than if they were unrelated models of the same kind. It does not show who learned "
    "from whom.",
    "related": "{s} and {r} have a common origin, but the evidence does not show who came from whom.",
    "unrelated": "The evidence speaks against {s} deriving from {r}: it is {x} times more probable if they are "
    "unrelated models of the same kind.",
    "inconclusive": "The evidence does not decide whether {s} derives from {r}.",
}


def _verdict(case: Case, kind: Kind, log_lr: LogLR, calibration: Calibration) -> Verdict:
    factor = 10 ** abs(log_lr.value)
    sentence = _SENTENCES[kind].format(
        s=case.suspect.model.name, r=case.reference.model.name, x=f"{factor:.2g}" if factor < 100 else f"{factor:,.0f}"
    )
    # A likelihood ratio is symmetric in what it says of direction; nothing measured so far decides it.
    direction: Direction = "undetermined"
    return Verdict(
        kind=kind,
        direction=direction,
        sentence=sentence,
        log_lr=log_lr,
        limits=tuple(_limits(case, kind, log_lr, calibration)),
    )


def _limits(case: Case, kind: Kind, log_lr: LogLR, calibration: Calibration) -> list[str]:
    tier = calibration.tiers.get(log_lr.tier)
    limits = []
    if tier:
        limits.append(
            f"The likelihood ratio is capped at 10^{log_lr.bounds[0]:+.2f} and 10^{log_lr.bounds[1]:+.2f}, because the "
            f"calibration has seen {tier.families} independent lineages only."
        )
    else:
        limits.append("No calibrated likelihood ratio exists for the access that both sides give.")
    if log_lr.tier in {"topk", "text"} and not _covered(case, calibration):
        low, high = calibration.parameters
        limits.append(
            f"The calibration was fitted on models of {low:,} to {high:,} parameters; these models are not of that kind or "
            "of unknown size, so no likelihood ratio is claimed from behaviour."
        )
    if not _controlled(case):
        limits.append(
            f"Fewer than {FEWEST_CONTROLS} controls were named. The population that stands in for them may "
            "share neither data nor purpose with these models, and then common training data looks like descent: nothing "
            "is claimed for derivation from behaviour: name models with --control."
        )
    else:
        limits.append(
            "The likelihood ratio holds if the named controls are alike to the reference: same data, same purpose."
        )
    if kind in {"unrelated", "inconclusive"}:
        limits.append(
            "Independent weights or different answers do not exclude distillation from a small share of outputs, "
            "nor a common ancestor."
        )
    if kind in {"distilled", "derived", "related"}:
        limits.append("The direction is not determined: the statistics are symmetric in suspect and reference.")
    limits.extend(_protocol_limits(case))
    return limits


def _protocol_limits(case: Case) -> list[str]:
    first, second = case.suspect.protocol, case.reference.protocol
    limits = []
    for name, words in (("temperature", "temperature"), ("system", "system prompt"), ("runtime", "runtime")):
        mine, theirs = getattr(first, name), getattr(second, name)
        if mine != theirs:
            limits.append(f"The two sides were not asked under the same {words}, which moves answers as models do.")
    channels = [{prompt.channel for prompt in side.prompts} for side in (case.suspect, case.reference)]
    if channels[0] != channels[1]:
        limits.append("One side was asked through a chat template and the other as raw text, which moves answers.")
    return limits


# Family trees

#: Differences between a rounded copy and its original are spread evenly over a step (0.29 steps); changes of this size by
#: training would take at least 4 % of the values to another step, so share and spread together show who was rounded.
ROUNDING_SPREAD = (0.25, 0.33)
#: An edge of a family tree is shown from this bootstrap support on (Hillis and Bull 1993: 70 % is right 95 % of the time).
SUPPORT = 0.7
#: Text ties two models of a panel from a likelihood ratio of twenty on: panels differ in character.
TEXT_TIE = 1.3


def is_rounding(*, share: float, spread: float) -> bool:
    """Whether values are another model's, rounded: the share that rounding explains, the spread in steps."""
    return share >= SAME_ROUNDED and ROUNDING_SPREAD[0] <= spread <= ROUNDING_SPREAD[1]
