"""The benchmark: its statistics by simulation, its tables on pairs of known truth, its pages without a zoo."""

from __future__ import annotations

import json
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerprint import shipped
from fingerprint.bench import page, plots, validation
from fingerprint.bench.baselines import Baselines, mmd_squared, overused
from fingerprint.bench.features import FeatureTable
from fingerprint.bench.null import innocent_pairs
from fingerprint.bench.queries import common_keys, draws, limited
from fingerprint.bench.rates import calibration, discrimination, error_rates
from fingerprint.bench.realscale import Passage, passages, training_texts
from fingerprint.bench.verdicts import Court, accusations, confusion, direction
from fingerprint.bench.zoo import Scored, Zoo, chosen_pairs, left_out, read_zoo, score_pairs
from fingerprint.calibration import model
from fingerprint.calibration.metrics import cllr, empirical_cross_entropy, expected_calibration_error
from fingerprint.calibration.model import LogLR
from fingerprint.errors import UsageError
from fingerprint.verdict import Verdict
from fingerprint.zoo.card import Card
from fingerprint.zoo.pairs import Pair


@pytest.fixture(scope="module")
def zoo():
    """The eight models of the package as a zoo: their recordings and cards are at hand."""
    cards = {name: Card.model_validate(card) for name, card in shipped.cards().items()}
    recordings = {recording.model.name: recording for recording in shipped.recordings()}
    whole = Zoo(recordings={name: recordings[name] for name in cards}, cards=cards)
    return limited(whole, common_keys(whole)[:120])


def _pair(truth, stratum="same data", pedigree="p", other="p"):
    return Pair(suspect="s", reference="r", truth=truth, stratum=stratum, pedigree=pedigree, reference_pedigree=other)


def _simulated(count, seed, shift=2.0):
    """Scores of two Gaussians whose true natural-log LR is known: log N(x; shift, 1) − log N(x; 0, 1)."""
    generator = np.random.default_rng(seed)
    scores = [generator.normal(shift, 1, count), generator.normal(0, 1, count)]
    return [shift * x - shift**2 / 2 for x in scores]


def test_true_likelihood_ratios_are_calibrated_and_inflated_ones_are_not():
    related, unrelated = _simulated(20_000, 0)
    assert expected_calibration_error(related, unrelated) < 0.01
    assert expected_calibration_error(3 * related, 3 * unrelated) > 0.03
    entropy = empirical_cross_entropy(related, unrelated, np.array([0.0]))
    assert entropy[0] == pytest.approx(cllr(related, unrelated))
    assert empirical_cross_entropy(3 * related, 3 * unrelated, np.array([0.0]))[0] > entropy[0]
    # Turing's bound: P(LR > 10 | unrelated) is at most a tenth.
    assert np.mean(unrelated > np.log(10)) < 0.1


def test_rates_of_misleading_evidence_are_counted_by_stratum():
    related, unrelated = _simulated(400, 1)
    pairs = [Scored(pair=_pair("distilled", "distill_text"), features={}) for _ in related]
    strata = ["same data" if n % 2 else "other data" for n in range(len(unrelated))]
    pairs += [Scored(pair=_pair("unrelated", stratum), features={}) for stratum in strata]
    values = np.concatenate([related, unrelated])
    found = calibration(pairs, values)
    odd = unrelated[1::2]
    assert found["misleading"]["same data"]["lr_above_1"] == int(np.sum(odd > 0))
    assert found["misleading"]["other data"]["pairs"] == 200
    assert found["cllr_min"] <= found["cllr"] + 1e-9
    row = discrimination(pairs, values)
    assert row["by text"]["auc"] == pytest.approx(0.92, abs=0.04)
    assert row["by text against same data"]["against"] == 200
    low, high = row["by text"]["interval"]
    assert low < row["by text"]["tpr_at_1_percent_fpr"] < high


def test_a_pedigree_is_left_out_whichever_side_belongs_to_it():
    # In every pair that touches pedigree p the feature points the wrong way: p must not learn that from itself.
    scored = []
    for place in range(40):
        for mine, theirs in (("p", "p"), ("q", "p"), ("q", "q"), ("r", "r")):
            sign = -1.0 if "p" in (mine, theirs) else 1.0
            truth = "distilled" if place % 2 else "unrelated"
            value = sign * (1.0 if truth == "distilled" else -1.0) + 0.1 * (place % 7)
            scored.append(Scored(pair=_pair(truth, pedigree=mine, other=theirs), features={"x": value}))
    logs = left_out(scored, ("x",))
    own = [(item, value) for item, value in zip(scored, logs, strict=True) if item.pair.pedigree == "p"]
    assert all((value > 0) == (item.pair.truth == "unrelated") for item, value in own)


def test_hamming_mmd_is_centred_under_the_null_and_positive_for_another_model():
    generator = np.random.default_rng(3)

    def model(letters, prompts=40, answers=4):
        return {str(n): generator.choice(letters, (answers, 12)).astype(float) for n in range(prompts)}

    null = [mmd_squared(model([1, 2]), model([1, 2])) for _ in range(200)]
    assert abs(np.mean(null)) < 3 * np.std(null) / np.sqrt(len(null))
    assert mmd_squared(model([1, 2]), model([1, 3])) > max(null)
    assert mmd_squared({"a": np.zeros((2, 4))}, {}) is None


@given(st.permutations(["a", "b", "c"]))
def test_overused_phrases_do_not_depend_on_the_order_of_models(order):
    counts = {"a": Counter(tide=9, the=30), "b": Counter(the=30, sea=9), "c": Counter(the=40)}
    found = overused({name: counts[name] for name in order})
    assert "tide" in found["a"]
    assert "tide" not in found["b"]


def test_baselines_rank_a_fine_tune_above_a_stranger(zoo):
    found = Baselines(table=FeatureTable(recordings=zoo.recordings))
    near = found.of("student", "teacher", ["twin", "unrelated"])
    far = found.of("unrelated", "teacher", ["twin", "student"])
    for name in ("provenance_z", "nei"):
        assert near[name] > far[name]
    assert found.of("teacher", "student", ["twin"])["nei"] == pytest.approx(found.of("student", "teacher", ["twin"])["nei"])
    assert 0 <= near["slop_jaccard"] <= 1


def test_real_verdicts_of_the_shipped_zoo_accuse_nobody_wrongly(zoo):
    pairs = [pair for pair in chosen_pairs(zoo.cards) if pair.pedigree == "speeches"]
    scored = score_pairs(zoo, lambda _: None, pairs)
    court = Court(zoo=zoo, scored=scored)
    verdicts = [court.verdict(item, "weights") for item in scored]
    table = confusion(scored, verdicts)
    assert table["derived"]["derived"] >= 1
    assert sum(table["unrelated"].values()) == sum(item.pair.truth == "unrelated" for item in scored)
    assert all(row["accused"] == 0 for row in accusations(scored, verdicts).values())
    rates = error_rates(scored)
    assert rates["baseline jsd"]["distilled"]["auc"] > 0.5
    assert rates["weights"]["derived"]["auc"] == 1.0


def test_a_calibration_is_validated_as_it_is_and_never_on_its_own_recipe(zoo):
    """Every ratio and verdict comes from the calibration given, whatever the pairs look like."""
    scored = score_pairs(zoo, lambda _: None)
    used = model.shipped()
    table = validation.run(zoo, used, lambda _: None)
    assert table["calibration_digest"] == used.digest
    pairs = [item for item in scored if item.pair.truth != "related" and used.needs("agreed") <= set(item.features)]
    logs = [used.log10_lr("agreed", item.features) for item in pairs]
    wrong = sum(value >= 1 for item, value in zip(pairs, logs, strict=True) if item.pair.truth == "unrelated")
    right = sum(value >= 1 for item, value in zip(pairs, logs, strict=True) if item.pair.truth == "distilled")
    reached = table["tiers"]["agreed"]["reached"]["10"]
    assert (reached["unrelated"]["reached"], reached["distilled"]["reached"]) == (wrong, right)
    assert right > 0
    assert sum(reached["unrelated by stratum"].values()) == wrong
    own = used.model_copy(update={"population": "eight models, trained by the recipe shipped"})
    with pytest.raises(UsageError, match="cannot be validated on it"):
        validation.run(zoo, own, lambda _: None)


def test_direction_counts_decided_pairs_only():
    def verdict(kind, towards):
        log_lr = LogLR.bounded("topk", 1.0, (1.0, 1.0), (-1.0, 1.0))
        return Verdict(kind=kind, direction=towards, sentence="", log_lr=log_lr, limits=())

    forward = Scored(pair=_pair("distilled", "distill_text"), features={})
    backward = Scored(pair=_pair("related", "descendant"), features={})
    stranger = Scored(pair=_pair("unrelated"), features={})
    found = direction(
        [forward, forward, backward, backward, stranger],
        [
            verdict("distilled", "suspect_from_reference"),
            verdict("distilled", "undetermined"),
            verdict("related", "reference_from_suspect"),
            verdict("distilled", "suspect_from_reference"),
            verdict("distilled", "suspect_from_reference"),
        ],
    )
    assert (found["pairs"], found["decided"], found["right"]) == (4, 3, 2)
    assert found["abstained"] == 0.25


def test_fewer_queries_are_the_same_for_all_models(zoo):
    part = next(draws(zoo, 30, 1, seed=4))
    keys = {tuple(sorted(prompt.key for prompt in r.prompts)) for r in part.recordings.values()}
    assert len(keys) == 1
    assert len(next(iter(keys))) == 30
    again = next(draws(zoo, 30, 1, seed=4))
    assert {n: r.digest for n, r in again.recordings.items()} == {n: r.digest for n, r in part.recordings.items()}


def test_a_folder_without_three_pedigrees_is_refused(tmp_path):
    with pytest.raises(UsageError, match="at least 3 pedigrees"):
        read_zoo(tmp_path)


def test_a_broken_card_is_named(tmp_path):
    (tmp_path / "a.card.json").write_bytes(b"")
    with pytest.raises(UsageError, match=r"a\.card\.json is not a card"):
        read_zoo(tmp_path, fewest=1)


def test_innocent_pairs_hold_no_descent_and_hard_ones_come_first(zoo):
    pairs = innocent_pairs(chosen_pairs(zoo.cards))
    assert not any(pair.truth in {"derived", "distilled"} or pair.stratum == "descendant" for pair in pairs)
    assert pairs[0].stratum in {"same data", "same data, other architecture", "student of a same-data twin"}


def test_the_page_shows_goals_that_were_missed_and_loads_nothing(zoo):
    from fingerprint.bench.suite import measure

    pairs = [pair for pair in chosen_pairs(zoo.cards) if pair.pedigree == "speeches"]
    result = measure(zoo, score_pairs(zoo, lambda _: None, pairs), lambda _: None, with_power=False)
    json.dumps(result, allow_nan=False)
    text, html = page.markdown(result), page.html(result)
    assert "| weights, derived: AUC / TPR at 1 % FPR | 1.000 / 1.000 |" in text
    assert "not measured" in text or "never decided" in text
    assert not re.search(r"<script|src=|href=|https?://", html)
    assert page.html(result) == html


def test_plots_draw_finite_points_for_any_ratios():
    drawn = plots.tippett([3.0, 300.0, 2.0], [-300.0, -1.0, 0.5], "t") + plots.reliability(
        [400.0, -400.0], [-400.0, 1.0], "r"
    )
    numbers = [float(n) for n in re.findall(r'(?:cx|cy|x|y)="(-?[\d.]+)"', drawn)]
    assert numbers
    assert all(-50 <= n <= 500 for n in numbers)
    assert "nan" not in drawn


def test_the_control_reads_the_same_openings_and_as_many_bytes():
    text = "\n\n".join(" ".join(f"word{n}x{m}" for m in range(120)) for n in range(8))
    found = passages(text, 5)
    assert len(found) == 5
    samples = [" the tide " * 3, " é" * 7, "", " a", " b" * 40]
    student, control = training_texts(found, samples)
    for own, other, each, sample in zip(student, control, found, samples, strict=True):
        assert own == each.opening + sample
        assert other.startswith(each.opening)
        assert 0 <= len(own.encode()) - len(other.encode()) < 4
    assert all(isinstance(each, Passage) for each in found)
    with pytest.raises(UsageError, match="paragraphs"):
        passages("too short", 3)
