"""An open verdict says what would decide it: how many probes or controls, or that none would."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fingerprint import api, shipped
from fingerprint.calibration.model import LogLR
from fingerprint.calibration.model import shipped as calibration
from fingerprint.evidence.case import Case
from fingerprint.evidence.methods import examine
from fingerprint.recording import Drift, ModelInfo, Protocol, Recording
from fingerprint.verdict import ACCUSE_LOW, BEHAVIOUR_ACCUSE, CLEAR, FEWEST_CONTROLS, decide
from fingerprint.verdict_words import Facts, limits, outlook

MODELS = {recording.model.name: recording for recording in shipped.recordings()}
SIDES = Case(suspect=MODELS["student"], reference=MODELS["teacher"])


def facts(log_lr: LogLR, **known) -> Facts:
    grounds = {"covered": True, "drifted": (False, False), "missing_controls": 0, "weights": "closed"} | known
    return Facts(
        kind="inconclusive",
        log_lr=log_lr,
        fewest_controls=FEWEST_CONTROLS,
        derived_likeness=0.75,
        accuse=(BEHAVIOUR_ACCUSE, ACCUSE_LOW),
        clear=CLEAR,
        **grounds,
    )


def ratio(value: float, low: float, high: float, *, tier: str = "topk", prompts: int = 100) -> LogLR:
    return LogLR.bounded(tier, value, (low, high), calibration().tiers[tier].bounds, prompts=prompts)


def said(log_lr: LogLR, case: Case = SIDES, **known) -> str:
    return outlook(case, facts(log_lr, **known), calibration())


@pytest.mark.parametrize(
    ("log_lr", "number"),
    [
        # Half the interval, 2.0, must shrink to the room between 1.5 and 0.5: four times as many probes.
        (ratio(1.5, -0.5, 3.0), "about 400 probes in place of 100"),
        # And to the room between −1.0 and −0.5, from 1.0.
        (ratio(-1.0, -1.5, 0.0), "about 400 probes in place of 100"),
    ],
)
def test_the_number_of_probes_follows_the_square_root(log_lr, number):
    assert number in said(log_lr)
    value, low, high = log_lr.uncapped, *log_lr.spread
    # With so many probes, all else equal, the rule of the verdict is met.
    assert value - (value - low) / 2 >= ACCUSE_LOW or value + (high - value) / 2 <= CLEAR


def test_a_ratio_between_the_thresholds_is_not_decided_by_probes():
    text = said(ratio(0.4, 0.2, 0.6))
    assert "no number of probes is expected to" in text
    assert "open weights" in text
    assert "open weights" not in said(ratio(0.4, 0.2, 0.6), weights="independent")
    assert "no number" in said(ratio(BEHAVIOUR_ACCUSE - 0.01, -3.0, 4.0))


def test_missing_controls_are_counted():
    assert said(ratio(2.0, 1.0, 3.0), missing_controls=2).startswith("2 more controls (--control)")
    assert said(ratio(2.0, 1.0, 3.0), missing_controls=1).startswith("1 more control (--control)")


def test_a_cap_that_no_evidence_can_pass_is_said():
    tiers = calibration().tiers
    poor = calibration().model_copy(
        update={"tiers": {**tiers, "topk": tiers["topk"].model_copy(update={"bounds": (-1.0, 1.2)})}}
    )
    assert "no number of probes or controls" in outlook(SIDES, facts(ratio(2.0, 1.0, 3.0)), poor)


def test_what_no_question_can_mend_is_said():
    assert "models of this size" in said(ratio(2.0, 1.0, 3.0), covered=False)
    assert "unchanged and asked alike" in said(ratio(2.0, 1.0, 3.0), drifted=(True, False))
    other = replace(SIDES, suspect=replace(SIDES.suspect, protocol=Protocol(system="Arr.")))
    assert "asked alike" in said(ratio(2.0, 1.0, 3.0), other)
    assert "methods not applied" in said(LogLR.bounded("none", 0.0, (0.0, 0.0), (0.0, 0.0)))


def test_only_open_verdicts_say_it():
    recordings = [MODELS[name] for name in ("student", "teacher", "twin", "twin-gpt2")]
    case = api.make_case(recordings, shipped.recordings())
    found = decide(case, examine(case)[0], calibration())
    assert found.kind == "distilled"
    assert not any("What would decide" in limit for limit in found.limits)


def test_a_real_open_case_says_it_once_and_last():
    case = api.make_case([MODELS["student"], MODELS["teacher"]], shipped.recordings())
    found = decide(case, examine(case)[0], calibration())
    assert found.kind == "inconclusive"
    assert found.limits[-1].startswith("What would decide: 2 more controls (--control)")
    assert sum("What would decide" in limit for limit in found.limits) == 1


def test_drift_is_said_before_all_else():
    drift = Drift(prompts=16, within=0.0, across=1.0, pvalue=0.001)
    moved = Recording(model=ModelInfo(name="m", kind="server", digest="sha256:1"), drift=drift)
    known = facts(ratio(2.0, 1.0, 3.0), drifted=(True, False))
    found = limits(replace(SIDES, suspect=moved), known, calibration())
    assert any("changed while it was recorded" in limit for limit in found)
    assert "record both sides again" in found[-1]
