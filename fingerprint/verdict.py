"""From evidence and likelihood ratio to a verdict. Every threshold of the program stands in this file.

The worst failure of this tool is a false accusation, so whatever is not supported falls back: to ``related``
where a common origin is shown but not who learned from whom, to ``inconclusive`` where even that is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fingerprint import verdict_words
from fingerprint.calibration.model import Calibration, LogLR, Tier
from fingerprint.evidence.base import MIN_PROMPTS, Evidence
from fingerprint.evidence.case import Case
from fingerprint.evidence.protocol import voided
from fingerprint.recording import Recording

Kind = Literal["same", "derived", "distilled", "related", "unrelated", "inconclusive"]
#: What the weights alone show; closed: there is nothing to see.
Weights = Literal["copy", "descent", "independent", "unclear", "closed"]
_EXACT_TESTS = ("tensor_places", "tensor_vectors")
#: Methods whose interval is that of a calibrated feature.
_INTERVAL_OF = {"overlap_margin": "overlap_margin", "shared_deviations": "contrast"}
_LIKENESS = (*_EXACT_TESTS, "tensor_aligned", "weight_descent")
Answer = Literal["yes", "no", "undecided"]
Direction = Literal["suspect_from_reference", "reference_from_suspect", "undetermined"]

#: An accusation needs a capped likelihood ratio of ten, and its interval must stay above three.
ACCUSE, ACCUSE_LOW = 1.0, 0.5
#: From behaviour it needs twenty. On the standard zoo 8 of 2,653 unrelated pairs reach ten out of sample and 2 reach
#: twenty, all of them students of a same-data twin held against the teacher (of 482).
BEHAVIOUR_ACCUSE = 1.3
#: "Unrelated" needs a likelihood ratio of one third or less, interval included.
CLEAR = -0.5
#: Weights descend from one initialisation: correlation of sketched values, and its z score. Independent
#: initialisations gave at most 0.05 on the zoo; a thousand steps of fine-tuning leave above 0.9.
DESCENT_R, DESCENT_Z = 0.2, 8.0
INDEPENDENT_R = 0.1
#: Whole tensors: log10 p of exact tests under independent initialisation. Twins of the zoo stay above −5 in hundreds of
#: pairs, continued pretraining with ten times the steps goes below −80; between the two nothing is concluded.
TENSOR_DESCENT, TENSOR_INDEPENDENT = -9.0, -4.0
#: Below this likeness a shared start is all that is shown. Three pairs of runs from the same random numbers came to 0.47,
#: 0.58 and 0.70; as much training again leaves 0.79 to 0.85, ten times as much 0.49. Barely trained runs could be above.
DERIVED_LIKENESS = 0.75
#: The order of neurons alone accuses only where most of them are in order: sorted neurons would be in order by chance.
ORDER_RHO = 0.5
#: After turning the residual stream there is no exact null. Same-data twins of the zoo reach a cosine of 0.47 and a CKA of
#: 0.56; turned and narrowed copies stay above 0.87 in both.
ALIGNED_COSINE, ALIGNED_CKA = 0.7, 0.8
#: Log-probabilities that the reference's head cannot make, in nearly all contexts: copies of the zoo leave 2e-5, students
#: of the reference 0.1 and its fine-tunes with a trained head 0.4. A small value is descent; a large one excludes nothing.
SAME_IMAGE = 0.03
#: A copy: all values are equal, or where rounding to an integer grid puts them; in this share of the weights.
SAME_EXACT, SAME_GRID = 1.0, 0.95
#: A copy in another number format: this share of values lies exactly where rounding puts them.
SAME_ROUNDED, SAME_COVERAGE = 0.97, 0.9
#: Without this many named controls no behaviour speaks for derivation: against strangers alone every model that read
#: the same data looks like a student (on the shipped zoo the teacher's twin would be accused at 10^1.9).
FEWEST_CONTROLS = 2
#: Fewest different models from which a folder of recordings is its own population.
SMALLEST_PANEL = 20
#: A pair of a panel needs a likelihood ratio of twenty to be called related: panels differ in character, and on recorded
#: numbers and on fine-tuning grids ratios of ten are reached by more than one unlisted pair in a hundred.
PANEL_ACCUSE = 1.3
#: Accusing one of many candidates also needs this p-value after Holm's correction.
PANEL_ALPHA = 0.05
#: A recording that was made of two models proves nothing: the answers at its end differ from those at its beginning, by
#: a paired test and by more than a runtime's noise (bits of divergence, or share of a greedy text).
DRIFT_P, DRIFT_MORE = 0.01, 0.02
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
    weights = weights_say(case, found)
    if weights == "copy":
        return _verdict(case, "same", _weights_lr(calibration, found), calibration, weights)
    if weights == "descent":
        only_start = _likeness(found) < DERIVED_LIKENESS
        kind: Kind = "related" if only_start or _sibling(found) else "derived"
        return _verdict(case, kind, _weights_lr(calibration, found), calibration, weights)
    # Weights decide descent, behaviour decides learning: what the weights said is not counted again here.
    log_lr = _behaviour_lr(case, found, calibration)
    strongest = log_lr.tier == calibration.decides[0]
    return _verdict(case, _behaviour_kind(weights, log_lr, strongest=strongest), log_lr, calibration, weights)


def weights_say(case: Case, found: Mapping[str, Evidence]) -> Weights:
    """What the weights alone show: whole tensors where both sides are open, else the sketches of the recordings."""
    if _identical(case):
        return "copy"
    places, sketch = found.get("tensor_places"), found.get("weight_descent")
    if places is not None:
        return _tensors_say(found, places)
    if sketch is not None:
        return _sketch_says(sketch)
    image = found.get("output_image")
    if image is not None and image.interval is not None and image.interval[1] <= SAME_IMAGE:
        return "descent"
    # Without one matrix of the same name and shape neither can be the other with its weights changed a little.
    return "independent" if case.suspect.sketch and case.reference.sketch else "closed"


def _sketch_says(sketch: Evidence) -> Weights:
    if _is_copy(sketch):
        return "copy"
    if _descends(sketch):
        return "descent"
    return "independent" if sketch.effect < INDEPENDENT_R else "unclear"


def _tensors_say(found: Mapping[str, Evidence], places: Evidence) -> Weights:
    features = places.features
    # Added or reordered tokens are a change, though every old value is still there.
    whole = features["coverage"] >= SAME_COVERAGE and features["kept"] == 1.0
    spread = features.get("spread", ROUNDING_SPREAD[0])  # reports of earlier versions do not say
    if whole and features["exact"] >= SAME_EXACT and features["grid"] >= SAME_GRID and spread >= ROUNDING_SPREAD[0]:
        return "copy"
    order, turned = found.get("tensor_order"), found.get("tensor_aligned")
    if order is not None and order.effect >= ORDER_RHO and order.features["log10_p"] <= TENSOR_DESCENT:
        return "descent"
    if turned is not None and turned.effect >= ALIGNED_COSINE and turned.features["cka"] >= ALIGNED_CKA:
        return "descent"
    exact = [item.features["log10_p"] for name in _EXACT_TESTS if (item := found.get(name)) is not None]
    if min(exact) <= TENSOR_DESCENT:
        return "descent"
    asked = len(exact) > 1 or turned is not None
    return "independent" if asked and min(exact) > TENSOR_INDEPENDENT else "unclear"


def _likeness(found: Mapping[str, Evidence]) -> float:
    """How much of the weights is still alike where the best of the comparisons looked; 1 where only an image was seen."""
    seen = [item.effect for name in _LIKENESS if (item := found.get(name)) is not None]
    return max(seen, default=1.0)


def panel_bounds(
    bounds: tuple[float, float], *, models: int, shared_prompts: int, alike: bool = True
) -> tuple[float, float]:
    """What may be claimed of a pair in a panel of this many different models: no more than one in as many.

    Nothing in a small panel, on few prompts, or if the two were not asked ``alike``.
    """
    from math import log10

    if models < SMALLEST_PANEL or shared_prompts < MIN_PROMPTS or not alike:
        return 0.0, 0.0
    return max(bounds[0], -log10(models)), min(bounds[1], log10(models))


def panel_kind(log_lr: LogLR, shared_prompts: int) -> Kind:
    """The verdict on a pair of a panel, from answers alone: text shows a common origin, never who learned."""
    if shared_prompts < MIN_PROMPTS:
        return "inconclusive"
    if log_lr.value >= PANEL_ACCUSE:
        return "related"
    return "unrelated" if log_lr.value <= CLEAR else "inconclusive"


def panel_accused(kind: Kind, pvalue_holm: float) -> bool:
    """Whether a candidate of a panel is named as sharing an origin with the suspect."""
    return kind == "related" and pvalue_holm <= PANEL_ALPHA


def none_of_these(accused: Sequence[bool], log10_lr_none: float) -> Answer:
    """Whether the suspect comes from nobody in a panel; the ratio weighs "none" against "one of them"."""
    if any(accused):
        return "no"
    return "yes" if log10_lr_none >= -CLEAR else "undecided"


def _behaviour_kind(weights: Weights, log_lr: LogLR, *, strongest: bool) -> Kind:
    if log_lr.value >= BEHAVIOUR_ACCUSE and log_lr.interval[0] >= ACCUSE_LOW:
        # Without a look at the weights, learning and descent look alike, and text alone shows neither.
        return "distilled" if weights == "independent" and strongest else "related"
    if log_lr.interval[1] <= CLEAR:
        return "unrelated"
    return "inconclusive"


def _behaviour_lr(case: Case, found: Mapping[str, Evidence], calibration: Calibration) -> LogLR:
    """The likelihood ratio of the strongest tier whose features are all there; tiers are never added up."""
    for name in calibration.decides:
        needed = calibration.needs(name)
        sources = [item for item in found.values() if set(item.features) & needed]
        features = {key: value for item in sources for key, value in item.features.items()}
        if not needed or not needed <= set(features):
            continue
        tier, uncapped = calibration.tiers[name], calibration.log10_lr(name, features)
        ends = [calibration.log10_lr(name, features | _moved(sources, end)) for end in (0, 1)]
        asked = max((item.n for item in sources if item.interval), default=0)
        bounds = (0.0, 0.0) if voided(case.suspect, case.reference, name) else _bounds(case, tier, calibration)
        return LogLR.bounded(name, uncapped, (ends[0], ends[1]), bounds, prompts=asked)
    return LogLR.bounded("none", 0.0, (0.0, 0.0), (0.0, 0.0))


def _moved(sources: Sequence[Evidence], end: int) -> dict[str, float]:
    """The features at one end of their methods' intervals, all at the same end: the widest that the ratio can be."""
    from math import atanh

    moved: dict[str, float] = {}
    for item in sources:
        if item.interval is None:
            continue
        if item.method in _INTERVAL_OF:
            moved[_INTERVAL_OF[item.method]] = item.interval[end]
        if item.method == "partial_correlation":
            # The best control is held fixed.
            shift = atanh(max(-0.999999, min(0.999999, item.interval[end]))) - item.features["partial_z"]
            moved |= {name: value + shift for name, value in item.features.items() if name.startswith("partial_")}
    return moved


def _bounds(case: Case, tier: Tier, calibration: Calibration) -> tuple[float, float]:
    """What the calibration supports for this case: nothing for models of another kind, no accusation without controls."""
    if not _covered(case, calibration) or any(drifted(side) for side in (case.suspect, case.reference)):
        return 0.0, 0.0
    return (tier.bounds[0], 0.0) if _missing_controls(case) else tier.bounds


def _missing_controls(case: Case) -> int:
    """How many controls there are too few: different ones, unchanged while recorded, one of a tokenizer that both share."""
    sides = (case.suspect.model, case.reference.model)
    named = {each.model.digest: each.model for each in case.controls if not drifted(each)}
    others = [model for model in named.values() if model.digest not in {side.digest for side in sides}]
    alike = [model for model in others if model.tokenizer == sides[1].tokenizer]
    return max(FEWEST_CONTROLS - len(others), int(sides[0].tokenizer == sides[1].tokenizer and not alike))


def _covered(case: Case, calibration: Calibration) -> bool:
    return all(calibration.covers(side.model.parameters) for side in (case.suspect, case.reference))


def _weights_lr(calibration: Calibration, found: Mapping[str, Evidence]) -> LogLR:
    from math import log10

    tier = calibration.tiers["weights"]
    powers = [item.features["log10_p"] for item in found.values() if "log10_p" in item.features]
    sketch = found.get("weight_descent")
    if sketch is not None and sketch.pvalue and not powers:
        powers = [log10(sketch.pvalue)]
    # Equal digests and an equal output image have no p-value: they are worth what the calibration supports.
    uncapped = min(300.0, -min(powers)) if powers else tier.bounds[1]
    return LogLR.bounded("weights", uncapped, (uncapped, uncapped), tier.bounds)


def _identical(case: Case) -> bool:
    first, second = case.suspect.model, case.reference.model
    if first.weights or second.weights:
        return first.weights == second.weights or first.digest == second.digest
    # What two servers say of their models may be equal for any two models, and rows are known by their answers alone:
    # two models that always say the same have the same.
    return first.digest == second.digest and not {"server", "rows"} & {first.kind, second.kind}


def drifted(recording: Recording) -> bool:
    """Whether a recording was made of more than one model, by its own answers at the beginning and at the end."""
    drift = recording.drift
    return drift is not None and drift.pvalue <= DRIFT_P and drift.across - drift.within >= DRIFT_MORE


def _is_copy(weights: Evidence) -> bool:
    features = weights.features
    spread = features.get("rounded_spread", ROUNDING_SPREAD[0])  # reports of earlier versions do not say
    alike = features["rounded_share"] >= SAME_ROUNDED and spread >= ROUNDING_SPREAD[0]
    return alike and features["coverage"] >= SAME_COVERAGE


def _descends(weights: Evidence) -> bool:
    return weights.effect >= DESCENT_R and weights.features["weight_z"] >= DESCENT_Z


def _sibling(found: Mapping[str, Evidence]) -> bool:
    """Whether some other model's weights lie between both sides: a common parent."""
    between = [found[name].features.get("between", 1.0) for name in ("tensor_places", "weight_descent") if name in found]
    return min(between, default=1.0) < CLOSER


def _verdict(
    case: Case, kind: Kind, log_lr: LogLR, calibration: Calibration, weights: Weights
) -> Verdict:
    facts = verdict_words.Facts(
        kind=kind,
        weights=weights,
        log_lr=log_lr,
        covered=_covered(case, calibration),
        drifted=tuple(drifted(side) for side in (case.suspect, case.reference)),
        drifted_controls=tuple(control.model.name for control in case.controls if drifted(control)),
        missing_controls=_missing_controls(case),
        fewest_controls=FEWEST_CONTROLS,
        derived_likeness=DERIVED_LIKENESS,
        accuse=(BEHAVIOUR_ACCUSE, ACCUSE_LOW),
        clear=CLEAR,
    )
    return Verdict(
        kind=kind,
        # The ratio is symmetric, and what is not follows the quality of models too (`fingerprint bench direction`).
        direction="undetermined",
        sentence=verdict_words.sentence(case, facts),
        log_lr=log_lr,
        limits=tuple(verdict_words.limits(case, facts, calibration)),
    )


# Family trees

#: Differences between a rounded copy and its original are spread evenly over a step (0.29 steps); changes of this size by
#: training would take at least 4 % of the values to another step, so share and spread together show who was rounded.
ROUNDING_SPREAD = (0.25, 0.33)
#: An edge of a family tree is shown from this bootstrap support on (Hillis and Bull 1993: 70 % is right 95 % of the time).
SUPPORT = 0.7
#: Text ties two models of a panel from a likelihood ratio of twenty on: panels differ in character.
TEXT_TIE = 1.3
#: Next-token distributions from this many on: no more than `ACCUSE` itself.
TOPK_TIE = 1.0


def is_rounding(*, share: float, spread: float) -> bool:
    """Whether values are another model's, rounded: the share that rounding explains, the spread in steps."""
    return share >= SAME_ROUNDED and ROUNDING_SPREAD[0] <= spread <= ROUNDING_SPREAD[1]
