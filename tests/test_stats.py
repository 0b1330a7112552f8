"""Statistics by simulation: level under the null, power under an alternative, invariances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fingerprint.calibration.fit import LabelledPair, fit_tier, left_out_log_lrs
from fingerprint.calibration.metrics import auc, cllr, cllr_min, elub, tpr_at
from fingerprint.stats import residual
from fingerprint.stats.divergence import jensen_shannon
from fingerprint.stats.intervals import clopper_pearson
from fingerprint.stats.permutation import add_one, beats_all, mcnemar, sign_flip


def test_a_monte_carlo_p_value_is_never_zero():
    assert add_one(0, 999) == pytest.approx(0.001)
    assert sign_flip(np.ones(50), seed=1, rounds=199) > 0


@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_sign_flip_keeps_its_level(alpha):
    rng = np.random.default_rng(7)
    runs = 2000
    # Heavy tails and a discrete part: prompts are not Gaussian.
    rejected = sum(
        sign_flip(rng.standard_t(3, 40) * rng.integers(0, 2, 40), seed=run, rounds=199) <= alpha for run in range(runs)
    )
    assert rejected / runs <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / runs)


def test_beating_all_controls_keeps_its_level_when_the_reference_is_one_of_them():
    rng = np.random.default_rng(8)
    runs = 2000
    rejected = 0
    for run in range(runs):
        shared = rng.normal(size=60)  # what all models have in common on a prompt
        rows = shared + rng.normal(size=(5, 60))
        rejected += beats_all(rows[0], rows[1:], seed=run, rounds=199) <= 0.05
    assert rejected / runs <= 0.05


def test_beating_all_controls_has_power():
    rng = np.random.default_rng(9)
    rows = rng.normal(size=(5, 200))
    assert beats_all(rows[0] + 0.8, rows[1:], seed=0) < 0.01


def test_mcnemar_without_discordant_pairs_finds_nothing():
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(10, 0) < 0.01


probabilities = arrays(np.float64, (6, 5), elements=st.floats(0, 1)).map(lambda a: a / (a.sum(1, keepdims=True) + 1e-9))


@settings(max_examples=60, deadline=None)
@given(probabilities, probabilities)
def test_divergence_is_symmetric_bounded_and_zero_for_equals(first, second):
    forward, backward = jensen_shannon(first, second), jensen_shannon(second, first)
    assert np.allclose(forward, backward, atol=1e-9)
    assert np.all(forward >= -1e-9)
    assert np.all(forward <= 1 + 1e-9)
    assert np.allclose(jensen_shannon(first, first), 0, atol=1e-9)


def test_divergence_weighs_by_probability():
    # A peer forgot the weights p: two rows that differ in a symbol of probability 0 must not differ at all.
    first = np.array([[0.5, 0.5, 0.0]])
    assert jensen_shannon(first, first)[0] == pytest.approx(0)
    assert jensen_shannon(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))[0] == pytest.approx(1)


def population(rng, models=6, contexts=240, symbols=12):
    """Next-symbol tables of models that share a language but no history, as logits."""
    shared = 2 * rng.normal(size=(contexts, symbols))
    return shared + rng.normal(size=(models, contexts, symbols))


def softmax(logits):
    table = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (table / table.sum(axis=-1, keepdims=True)).astype(np.float32)


def test_partial_correlation_prefers_nobody_without_a_relation_and_the_teacher_with_one():
    rng = np.random.default_rng(3)
    prompts = np.repeat(np.arange(60), 4)
    logits = population(rng)
    independent = residual.gram_matrices(softmax(logits), prompts).total()
    # Few controls leave some of what all models share, equally for every candidate: so candidates are contrasted.
    assert np.ptp(residual.partials(independent, 0, [1, 2, 3, 4, 5], [])) < 0.2
    logits[0] = 0.8 * logits[1] + 0.2 * logits[0]
    student = residual.gram_matrices(softmax(logits), prompts).total()
    values = residual.partials(student, 0, [1, 2, 3, 4, 5], [])
    assert values[0] > 0.6
    assert np.all(values[1:] < 0.3)


def test_what_all_models_share_is_no_evidence():
    rng = np.random.default_rng(4)
    margins = []
    for _ in range(40):
        gram = residual.gram_matrices(softmax(population(rng, contexts=80)), np.arange(80)).total()
        values = residual.partials(gram, 0, [1, 2, 3, 4, 5], [])
        margins.append(values[0] - values[1:].max())
    # One of five exchangeable candidates comes first one time in five.
    assert np.mean(np.array(margins) > 0) < 0.45


@settings(max_examples=20, deadline=None)
@given(st.permutations(list(range(6))))
def test_gram_statistics_do_not_depend_on_the_order_of_models(order):
    tables = softmax(population(np.random.default_rng(5), contexts=30))
    prompts = np.arange(30)
    straight = residual.gram_matrices(tables, prompts).total()
    mixed = residual.gram_matrices(tables[list(order)], prompts).total()
    place = {model: row for row, model in enumerate(order)}
    others = [2, 3, 4, 5]
    assert residual.partial(mixed, place[0], place[1], [place[o] for o in others]) == pytest.approx(
        residual.partial(straight, 0, 1, others), abs=1e-9
    )


def test_a_model_that_says_always_the_same_gives_no_correlation_and_no_crash():
    tables = softmax(population(np.random.default_rng(6), contexts=30))
    tables[0] = 0
    tables[0, :, 3] = 1
    gram = residual.gram_matrices(tables, np.arange(30)).total()
    assert np.isfinite(residual.partial(gram, 0, 1, [2, 3]))


def test_clopper_pearson_covers():
    low, high = clopper_pearson(0, 10)
    assert low == 0.0
    assert 0.25 < high < 0.35
    assert clopper_pearson(0, 0) == (0.0, 1.0)


def test_cllr_of_no_information_is_one_and_of_good_ratios_small():
    nothing = np.zeros(50)
    assert cllr(nothing, nothing) == pytest.approx(1)
    good = cllr(np.full(50, 5.0), np.full(50, -5.0))
    assert good < 0.02
    assert cllr_min(np.full(50, 5.0), np.full(50, -5.0)) <= good + 1e-9


def test_roc_figures_on_a_known_case():
    related, unrelated = np.array([3.0, 2.0, 0.5]), np.array([1.0, 0.0, -1.0])
    assert auc(related, unrelated) == pytest.approx(8 / 9)
    assert tpr_at(related, unrelated) == (2, 3)


def test_bounds_grow_with_the_number_of_negatives_and_do_not_touch_their_input():
    related, unrelated = np.full(50, 20.0), np.full(50, -20.0)
    before = related.copy()
    low, high = elub(related, unrelated)
    assert 1.5 < high < 1.75  # about log10 of 51
    assert low == pytest.approx(-high, abs=0.05)
    assert np.array_equal(before, related)
    assert elub(np.full(500, 20.0), np.full(500, -20.0))[1] > high


def test_calibration_is_honest_on_pedigrees_that_it_has_not_seen():
    rng = np.random.default_rng(11)
    pairs = [
        LabelledPair(features={"x": float(rng.normal(2.0 if related else 0.0) * 0.01)}, related=related, pedigree=str(p))
        for p in range(6)
        for related in [True] * 20 + [False] * 40
    ]
    logs = left_out_log_lrs(pairs, ("x",))
    truth = np.array([pair.related for pair in pairs])
    # The scale of the raw score must not matter: peers lose all information to the penalty here.
    assert cllr(logs[truth], logs[~truth]) < 0.7
    tier = fit_tier(pairs, ("x",), families=18, related_families=6)
    assert tier.bounds[1] <= np.log10(18) + 1e-9
    assert tier.bounds[0] >= -np.log10(6) - 1e-9
    assert tier.log10_lr({"x": 0.03}) > 0 > tier.log10_lr({"x": -0.01})
