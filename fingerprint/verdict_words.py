"""What a verdict says in words: its sentence, its limits, and what would decide an open case.

No threshold stands here: `fingerprint.verdict` decides, and hands in what it decided by.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fingerprint.calibration.model import Calibration, LogLR
from fingerprint.evidence.case import Case
from fingerprint.evidence.protocol import BEHAVIOUR, mismatches, voided


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A decision and its grounds. ``accuse`` is the ratio and the lower end of its interval that an accusation takes."""

    kind: str
    weights: str
    log_lr: LogLR
    covered: bool
    drifted: tuple[bool, ...]
    drifted_controls: tuple[str, ...] = ()
    missing_controls: int
    fewest_controls: int
    derived_likeness: float
    accuse: tuple[float, float]
    clear: float


_OWN_WEIGHTS = (
    "{s} and {r} began from random weights of their own: neither is the other changed. Whether one learned from the other, "
    "the evidence does not decide."
)
_ONE_START = (
    "The weights of {s} and {r} descend from one initialisation, but neither is shown to be made from the other: they may "
    "have a common parent, or little of a common start is left."
)
_SENTENCES = {
    "same": "{s} has the same weights as {r}, apart from the number format they are stored in.",
    "derived": "The weights of {s} and {r} descend from one training run: one was made from the other, or both from a "
    "model that is not among the controls.",
    "distilled": "{s} and {r} behave as if one had learned from the other, or both from a model that is not among the "
    "controls, with weights of their own: the evidence is {x} times more probable if so than if they were unrelated models "
    "of the same kind. It does not show who learned from whom.",
    "related": "{s} and {r} have a common origin, but the evidence does not show who came from whom.",
    "unrelated": "The evidence speaks against {s} deriving from {r}: it is {x} times more probable if they are "
    "unrelated models of the same kind.",
    "inconclusive": "The evidence does not decide whether {s} derives from {r}.",
}
_SAME_SEED = (
    "Two training runs that began from the same random numbers (the same code, shapes and seed) and were kept apart since "
    "have weights that descend from one initialisation too; below a likeness of {least} the two are not told apart."
)


def sentence(case: Case, facts: Facts) -> str:
    """The verdict in a sentence."""
    factor = 10 ** abs(facts.log_lr.value)
    words = _SENTENCES[facts.kind]
    if facts.kind == "inconclusive" and facts.weights == "independent":
        words = _OWN_WEIGHTS
    elif facts.kind == "related" and facts.weights == "descent":
        words = _ONE_START
    shown = f"{factor:.2g}" if factor < 100 else f"{factor:,.0f}"
    return words.format(s=case.suspect.model.name, r=case.reference.model.name, x=shown)


def limits(case: Case, facts: Facts, calibration: Calibration) -> list[str]:
    """What limits the verdict; last, if it is open, what would decide it."""
    found = [
        *_weights(facts),
        *_ratio(facts, calibration),
        *_population(facts),
        *(mismatch.sentence for mismatch in mismatches(case.suspect, case.reference)),
        *_collection(case, facts),
    ]
    if facts.kind == "inconclusive":
        found.append(f"What would decide: {outlook(case, facts, calibration)}")
    return found


def outlook(case: Case, facts: Facts, calibration: Calibration) -> str:
    """How many probes or controls would bring a decision, or why none would."""
    log_lr = facts.log_lr
    if log_lr.tier not in BEHAVIOUR:
        return "no ratio was computed at all; what each method lacks stands among the methods not applied."
    if any(facts.drifted) or voided(case.suspect, case.reference, log_lr.tier):
        return "no number of probes or controls would; record both sides again, unchanged and asked alike."
    if not facts.covered:
        return (
            "no number of probes or controls would; it takes open weights, or a calibration on models of this size "
            "(`fingerprint bench zoo --calibration`)."
        )
    cap, wanted = calibration.tiers[log_lr.tier].bounds, facts.accuse[0]
    end = cap[1] if log_lr.uncapped > facts.clear else cap[0]
    if facts.clear < end < wanted:
        access = "" if log_lr.tier != "text" else " It takes log-probabilities of both, or open weights."
        return (
            f"no number of probes or controls would: a ratio of {10**wanted:.0f} accuses and one of {10**facts.clear:.2g} "
            f"clears, and the calibration of this access supports none beyond {10**end:.2g}.{access}"
        )
    if facts.missing_controls and log_lr.uncapped > facts.clear:
        count = facts.missing_controls
        return (
            f"{count} more control{'s' * (count > 1)} (--control) of the same kind, data and tokenizer as the reference; "
            "more probes alone would not."
        )
    return _more_probes(facts)


def _more_probes(facts: Facts) -> str:
    """By the interval, which shrinks with the square root of the number of probes, about the present estimate."""
    log_lr, (wanted, low) = facts.log_lr, facts.accuse
    value, spread = log_lr.uncapped, log_lr.spread
    room = value - low if value >= wanted else facts.clear - value
    half = value - spread[0] if value >= wanted else spread[1] - value
    if log_lr.prompts and room > 0 and half > room:
        needed = math.ceil(log_lr.prompts * (half / room) ** 2)
        return (
            f"about {_two_digits(needed):,} probes in place of {log_lr.prompts:,}, if the ratio stays where it is: its "
            "interval shrinks with the square root of their number."
        )
    may = "Controls closer to the reference" + ("" if facts.weights == "independent" else " or open weights")
    return (
        f"no number of probes is expected to: the ratio itself, {10**value:.2g}, lies between {10**facts.clear:.2g} (which "
        f"clears) and {10**wanted:.0f} (which accuses). {may} may."
    )


def _two_digits(count: int) -> int:
    """Rounded up to two digits: an extrapolation knows no more."""
    step = int(10 ** max(0, len(str(count)) - 2))
    return math.ceil(count / step) * step


def _weights(facts: Facts) -> list[str]:
    if facts.weights == "independent":
        return ["Independent initialisation found: this does not exclude distillation."]
    if facts.weights == "descent":
        return [_SAME_SEED.format(least=facts.derived_likeness)]
    if facts.weights == "unclear":
        return ["The weights neither show a common descent nor exclude it."]
    return []


def _ratio(facts: Facts, calibration: Calibration) -> list[str]:
    log_lr = facts.log_lr
    tier = calibration.tiers.get(log_lr.tier)
    found = []
    if tier:
        found.append(
            f"The likelihood ratio is capped at 10^{log_lr.bounds[0]:+.2f} and 10^{log_lr.bounds[1]:+.2f}, because the "
            f"calibration has seen {tier.families} independent lineages only."
        )
    else:
        found.append("No calibrated likelihood ratio exists for the access that both sides give.")
    if log_lr.tier in BEHAVIOUR and not facts.covered:
        low, high = calibration.parameters
        found.append(
            f"The calibration was fitted on models of {low:,} to {high:,} parameters; these models are not of that kind or "
            "of unknown size, so no likelihood ratio is claimed from behaviour."
        )
    return found


def _population(facts: Facts) -> list[str]:
    found = []
    if facts.missing_controls:
        found.append(
            f"Fewer than {facts.fewest_controls} controls were named. The population that stands in for them may "
            "share neither data nor purpose with these models, and then common training data looks like descent: nothing "
            "is claimed for derivation from behaviour: name models with --control."
        )
    else:
        found.append(
            "The likelihood ratio holds if the named controls are alike to the reference: same data, same purpose."
        )
    if facts.kind in {"unrelated", "inconclusive"}:
        found.append(
            "Independent weights or different answers do not exclude distillation from a small share of outputs, "
            "nor a common ancestor."
        )
    if facts.kind in {"distilled", "derived", "related"}:
        found.append("The direction is not determined: the statistics are symmetric in suspect and reference.")
    return found


def _collection(case: Case, facts: Facts) -> list[str]:
    """What went differently than asked while the two sides were recorded."""
    found = []
    for side, drifted in zip((case.suspect, case.reference), facts.drifted, strict=True):
        name, drift = side.model.name, side.drift
        if drift is not None and drifted:
            found.append(
                f"{name} changed while it was recorded: its answers to the same {drift.prompts} questions moved by "
                f"{drift.across:.2g} between beginning and end, by {drift.within:.2g} within the beginning "
                f"(p = {drift.pvalue:.2g}). Nothing is claimed from such a recording: collect it again."
            )
        if side.model.kind == "server" and drift is None:
            found.append(f"Whether {name} stayed the same model while it was recorded was not checked: too few questions.")
        if side.model.kind == "server":
            found.append(f"Who {name} is was told by its server and could not be checked.")
        found.extend(f"{name}: {note.text}." for note in side.notes)
    found.extend(
        f"The control {name} changed while it was recorded, and does not count as a control: collect it again."
        for name in facts.drifted_controls
    )
    return found
