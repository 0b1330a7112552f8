"""The tier in which two methods must agree, and the asymmetry of texts: fit, level, and what the verdict makes of it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from fingerprint import api, shipped
from fingerprint.calibration import model
from fingerprint.calibration.fit import LabelledPair, fit_weakest, left_out_log_lrs
from fingerprint.calibration.metrics import cllr
from fingerprint.calibration.model import PARTS, WEAKEST, Calibration
from fingerprint.calibration.model import shipped as calibration
from fingerprint.canonical import digest
from fingerprint.evidence.asymmetry import asymmetry_features, text_asymmetry
from fingerprint.evidence.base import Evidence, Skipped
from fingerprint.evidence.case import Case
from fingerprint.evidence.crossscores import CrossScores
from fingerprint.evidence.methods import examine
from fingerprint.evidence.overlap import overlap_margin
from fingerprint.recording import ModelInfo, Prompt, Recording, Sample, Score
from fingerprint.report.build import build_result, make_report
from fingerprint.report.schema import Run
from fingerprint.report.verify import verify
from fingerprint.stats.permutation import sign_flip
from fingerprint.verdict import decide

#: Of the calibration that shipped before one said which tiers decide.
OLD_DIGEST = "sha256:25aa514985e5fba3ed70b4195a168412028576b11acf8a5edc4ed996b0d2c52b"
FEATURES = tuple(PARTS["agreed"].values())
MODELS = {recording.model.name: recording for recording in shipped.recordings()}


def simulated(rng, related: int = 12, unrelated: int = 30, families: int = 5) -> list[LabelledPair]:
    """Two methods that look at the same answers: their errors are correlated."""
    pairs = []
    for family in range(families):
        for true in [True] * related + [False] * unrelated:
            common, own = rng.normal(), rng.normal(size=2)
            values = 2.0 * true + 0.8 * common + 0.6 * own
            features = dict(zip(FEATURES, map(float, values), strict=True))
            pairs.append(LabelledPair(features=features, related=true, pedigree=str(family)))
    return pairs


def fitted(pairs: list[LabelledPair]) -> Calibration:
    tiers = fit_weakest(pairs, PARTS["agreed"], "agreed", families=30, related_families=12)
    return Calibration(id="x", date="", population="", parameters=(1, 2), tiers=tiers)


def test_the_smallest_ratio_is_quoted_and_no_method_can_outvote_the_other():
    known = fitted(simulated(np.random.default_rng(0)))
    assert known.tiers["agreed"].features == (WEAKEST,)
    assert known.needs("agreed") == set(FEATURES)
    strong, weak = 5.0, 0.0
    both = known.log10_lr("agreed", dict.fromkeys(FEATURES, strong))
    for name in FEATURES:
        torn = known.log10_lr("agreed", dict.fromkeys(FEATURES, strong) | {name: weak})
        least = {FEATURES[0]: weak, FEATURES[1]: weak}
        assert known.log10_lr("agreed", least) <= torn < both
        # More of either never lowers the ratio.
        steps = [known.log10_lr("agreed", dict.fromkeys(FEATURES, 1.0) | {name: x}) for x in np.linspace(-3, 6, 20)]
        assert np.all(np.diff(steps) >= 0)


def test_ratios_of_correlated_methods_are_not_added():
    """Counting both in full is overconfident, the agreed ratio is calibrated: on families that it has not seen."""
    rng = np.random.default_rng(1)
    pairs = simulated(rng, related=60, unrelated=150)
    truth = np.array([pair.related for pair in pairs])
    agreed = left_out_log_lrs(pairs, FEATURES, weakest=True)
    added = sum(left_out_log_lrs(pairs, (name,)) for name in FEATURES)
    assert cllr(agreed[truth], agreed[~truth]) < cllr(added[truth], added[~truth])
    # P(LR > 10) of unrelated pairs is at most a tenth of the sensitivity there, as an honest ratio's is.
    limit = np.log(10)
    assert np.mean(agreed[~truth] > limit) <= 0.1 * np.mean(agreed[truth] > limit) + 0.01


def test_a_family_is_left_out_of_its_own_parts_too():
    """In family 0 both features point the wrong way: it must not learn that from itself."""
    pairs = simulated(np.random.default_rng(2))
    turned = [
        replace(pair, features={name: -value for name, value in pair.features.items()}) if pair.pedigree == "0" else pair
        for pair in pairs
    ]
    logs = left_out_log_lrs(turned, FEATURES, weakest=True)
    own = np.array([pair.pedigree == "0" for pair in turned])
    truth = np.array([pair.related for pair in turned])
    assert logs[own & truth].mean() < logs[own & ~truth].mean()


def test_a_calibration_of_before_is_still_applied():
    """A tier with features of its own needs no parts."""
    tiers = fit_weakest(simulated(np.random.default_rng(3)), PARTS["agreed"], "agreed", families=30, related_families=12)
    plain = tiers["contrast"]
    old = Calibration(id="x", date="", population="", parameters=(1, 2), tiers={"topk": plain})
    assert old.needs("topk") == {"contrast"}
    assert old.log10_lr("topk", {"contrast": 1.0}) == plain.log10_lr({"contrast": 1.0})
    assert old.needs("text") == frozenset()


def test_a_calibration_says_which_tiers_decide_and_only_its_strongest_shows_learning():
    """With the same evidence: by the tiers of before, by the agreement, and where the agreement cannot be had."""
    recordings = [MODELS[name] for name in ("student", "teacher", "twin", "twin-gpt2")]
    case = api.make_case(recordings, shipped.recordings())
    evidence = [item for item in examine(case)[0] if isinstance(item, Evidence)]
    now = model.shipped()
    assert now.decides[0] == "agreed"
    before = now.model_copy(update={"decides": model.DECIDES})
    verdicts = [decide(case, evidence, each) for each in (now, before)]
    assert [found.log_lr.tier for found in verdicts] == ["agreed", "topk"]
    assert [found.kind for found in verdicts] == ["distilled", "distilled"]
    without = [item for item in evidence if item.method != "shared_deviations"]
    weaker = decide(case, without, now)
    assert (weaker.log_lr.tier, weaker.kind) == ("topk", "related")


def test_calibrations_from_before_there_was_a_choice_keep_their_digest():
    """Reports name their calibration by it."""
    held = {each.id: each for each in model.known().values()}
    assert held["zoo-2026-11-25"].digest == OLD_DIGEST
    assert held["zoo-2026-11-25"].decides == model.DECIDES
    changed = held["zoo-2026-11-25"].model_copy(update={"decides": ("agreed", "topk", "text")})
    assert changed.digest != OLD_DIGEST


def test_the_lead_is_that_of_the_nearest_pair_and_has_an_interval():
    recordings = [MODELS[name] for name in ("student", "teacher", "twin", "twin-gpt2")]
    found = overlap_margin(api.make_case(recordings, shipped.recordings()))
    assert isinstance(found, Evidence)
    assert found.interval[0] <= found.effect <= found.interval[1]
    assert found.effect > 0 > max(found.controls.values())
    alone = Case(suspect=recordings[0], reference=recordings[1], controls=(recordings[2],))
    assert "two controls" in overlap_margin(alone).reason


def bits(rng, prompts: int = 30, student: float = 0.0) -> CrossScores:
    """Scores of two models of each other's texts; the student's are less likely to the other than to itself."""
    table = 2 + rng.standard_t(4, (2, 2, prompts)) * 0.3
    table[1, 0] += student
    return CrossScores(bits=table)


def test_the_asymmetry_of_texts_keeps_its_level_and_turns_with_the_sides():
    rng, runs, hits = np.random.default_rng(4), 2000, {0.05: 0, 0.01: 0}
    for run in range(runs):
        scores = bits(rng, 24)
        values = scores.bits[1, 0] - scores.bits[0, 0] - scores.bits[0, 1] + scores.bits[1, 1]
        two_sided = 2 * min(sign_flip(sign * values, seed=run, rounds=399) for sign in (1, -1))
        for alpha in hits:
            hits[alpha] += two_sided <= alpha
    for alpha, count in hits.items():
        assert count / runs <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / runs), (alpha, count)
        assert count > 0
    scores = bits(rng, student=1.0)
    forward, backward = (asymmetry_features(scores.choose(order))["text_asymmetry"] for order in ([0, 1], [1, 0]))
    assert forward == pytest.approx(-backward)
    assert forward > 3


def scored(name: str, own: float, other: float, prompts: int = 30) -> Recording:
    """A model with its answers, and its scores of its own texts and of the other's, in nats."""
    rng = np.random.default_rng(len(name))
    asked = tuple(Prompt(id=f"p{i}", text=f"Question {i}?") for i in range(prompts))
    texts = {who: [f"the answer of {who} to question {i}" for i in range(prompts)] for who in ("suspect", "reference")}
    rows = [
        Score(
            prompt=f"p{i}",
            text=digest(text)[7:31],
            logprob=-(own if who == name else other) - rng.random(),
            tokens=9,
            bytes=36,
        )
        for who, said in texts.items()
        for i, text in enumerate(said)
    ]
    return Recording(
        model=ModelInfo(name=name, kind="rows", digest=f"sha256:{name:0>64}"),
        prompts=asked,
        samples=tuple(Sample(prompt=f"p{i}", draw=0, text=text) for i, text in enumerate(texts[name])),
        scores=tuple(rows),
    )


def test_scores_of_both_sides_give_the_asymmetry():
    case = Case(suspect=scored("suspect", 30, 40), reference=scored("reference", 30, 60))
    found = text_asymmetry(case)
    assert isinstance(found, Evidence)
    assert found.features["text_asymmetry"] > 3
    assert found.effect == pytest.approx(20 / (np.log(2) * 36), rel=0.2)
    assert found.pvalue < 0.01
    alone = replace(case, reference=replace(case.reference, scores=()))
    assert isinstance(text_asymmetry(alone), Skipped)


@cache
def examined(*names: str) -> tuple[Case, tuple[Evidence, ...]]:
    case = api.make_case([MODELS[name] for name in names], shipped.recordings())
    return case, examine(case)[0]


def with_asymmetry(z: float) -> tuple[Case, list[Evidence]]:
    """The shipped student against its teacher, as if their texts had been scored."""
    case, found = examined("student", "teacher", "twin", "twin-gpt2")
    asymmetry = Evidence(
        method="text_asymmetry",
        title="Asymmetry of texts",
        access="topk",
        statistic=z,
        pvalue=0.001,
        effect=0.1,
        interval=(0.05, 0.15),
        n=100,
        features={"text_asymmetry": z},
    )
    return case, [*found, asymmetry]


@pytest.mark.parametrize("z", [50.0, -50.0])
def test_no_asymmetry_names_a_direction_or_moves_the_ratio(z):
    case, evidence = with_asymmetry(z)
    found, plain = decide(case, evidence, calibration()), decide(case, evidence[:-1], calibration())
    assert (found.kind, found.direction) == ("distilled", "undetermined")
    assert found == plain
    result = build_result(case, tuple(evidence), (), found, calibration())
    report = make_report(result, Run(tool_version="0", started="", seconds=0, settings={}))
    assert verify(report, {calibration().digest: calibration()}).same
