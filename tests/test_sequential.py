"""The sequential test: valid whenever one stops, powerful where there is something, and frugal from end to end."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerprint.sequential import evaluate
from fingerprint.stats.sequential import closer_than_all, closer_than_average, first_crossing, log_e_process


@pytest.mark.parametrize("alpha", [0.05, 0.01])
@pytest.mark.parametrize("even", [0.0, 0.6])
def test_type_one_error_with_optional_stopping(alpha, even):
    """4,000 null runs of 400 probes, stopped at the first chance to reject; closer by chance as often as not."""
    rng = np.random.default_rng(0)
    signs = rng.choice([-1.0, 0.0, 1.0], p=[(1 - even) / 2, even, (1 - even) / 2], size=(4000, 400))
    rejected = (log_e_process(signs) >= -np.log(alpha)).any(axis=1).mean()
    assert rejected <= alpha + 2 * np.sqrt(alpha * (1 - alpha) / 4000)


def test_type_one_error_against_the_best_control():
    """2,000 runs with three controls, one of which is as close as the reference: it must not be beaten."""
    rng = np.random.default_rng(1)
    rejected = 0
    for _ in range(2000):
        twin = rng.choice([-1.0, 1.0], size=200)
        others = rng.choice([-1.0, 1.0], p=[0.1, 0.9], size=(2, 200))
        rejected += first_crossing(closer_than_all(np.vstack([twin, others])), 0.01) is not None
    assert rejected <= 2000 * 0.01 + 2 * np.sqrt(2000 * 0.01)


def test_the_mean_over_controls_is_fooled_where_the_smallest_is_not():
    rng = np.random.default_rng(2)
    signs = np.vstack([rng.choice([-1.0, 1.0], size=200), np.ones(200)])
    assert first_crossing(closer_than_average(signs), 0.01) is not None
    assert first_crossing(closer_than_all(signs), 0.01) is None


def test_exchangeable_controls_leave_the_mean_valid():
    """2,000 runs: reference and controls are drawn alike, so signs against them depend on each other."""
    rng = np.random.default_rng(3)
    rejected = 0
    for _ in range(2000):
        distance = rng.random((4, 150))
        signs = np.sign(distance[1:] - distance[0])
        rejected += first_crossing(closer_than_average(signs), 0.01) is not None
    assert rejected <= 2000 * 0.01 + 2 * np.sqrt(2000 * 0.01)


@pytest.mark.parametrize(("share", "at_most"), [(0.95, 25), (0.8, 60)])
def test_power(share, at_most):
    rng = np.random.default_rng(4)
    runs = [
        first_crossing(log_e_process(rng.choice([1.0, -1.0], p=[share, 1 - share], size=400)), 0.01) for _ in range(300)
    ]
    assert np.median([run or 400 for run in runs]) <= at_most


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=60))
def test_the_past_is_not_changed_by_the_future_and_ties_cost_nothing(signs):
    row = np.array(signs)
    whole = log_e_process(row)
    np.testing.assert_allclose(log_e_process(row[: len(row) // 2 + 1]), whole[: len(row) // 2 + 1])
    assert np.all(np.isfinite(whole))
    assert log_e_process(np.append(row, 0.0))[-1] == pytest.approx(whole[-1])


COMMON = ["--control", "toy:parrot?seed=3", "--control", "toy:parrot?seed=4", "--sequential", "--json", "--probes", "style"]


def test_a_toy_student_is_decided_early_and_what_was_collected_is_kept(program, tmp_path):
    student = "toy:parrot?seed=2&parent=1&mix=0.8"
    done = program("compare", student, "toy:parrot?seed=1", *COMMON, "--recordings", "kept")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)["result"]
    found = result["sequential"]
    assert found["decided"] == "reference"
    assert found["queries"] <= found["asked"] <= found["available"] == 24
    assert found["log10_e_reference"] >= 2
    assert result["suspect"]["prompts"] == found["asked"]
    assert len(list((tmp_path / "kept").iterdir())) == 4
    again = program("compare", student, "toy:parrot?seed=1", *COMMON, "--max-requests", "0")
    assert json.loads(again.stdout)["result"] == result


def test_the_reverse_is_said_where_a_control_is_the_origin(program):
    done = program(
        "compare",
        "toy:parrot?seed=2&parent=3&mix=0.9",
        "toy:parrot?seed=1",
        *COMMON[:2],
        *COMMON[4:6],
        "--probes",
        "border-choices",
    )
    found = json.loads(done.stdout)["result"]
    assert found["sequential"]["decided"] == "control"
    assert found["verdict"]["kind"] in {"unrelated", "inconclusive"}


def test_a_level_that_is_none(program):
    done = program("compare", "toy:parrot", "toy:parrot?seed=1", "--sequential", "--alpha", "1")
    assert done.returncode == 2
    assert "--alpha" in done.stderr


def test_rank_orders_probes_by_bits(program):
    done = program("probes", "rank", "--json", "--top", "12")
    rows = json.loads(done.stdout)["probes"]
    bits = [row["bits"] for row in rows]
    assert bits == sorted(bits, reverse=True)
    assert len(rows) == 12
    assert all(row["set"] != "guardrails" for row in rows)


def test_mutual_information_is_what_it_must_be():
    from fingerprint.evidence.information import mutual_information

    assert mutual_information([{"a": 1.0}, {"b": 1.0}]) == pytest.approx(1.0)
    assert mutual_information([{"a": 0.5, "b": 0.5}] * 3) == 0
    assert mutual_information([{"a": 1.0}, {"b": 1.0}, {"c": 1.0}, {"d": 1.0}]) == pytest.approx(2.0)


def test_probes_that_tell_nobody_apart_are_not_counted_as_evidence():
    """57 probes asked and 3 comparable is another finding than 57 comparable ones."""
    table = np.zeros((2, 57))
    table[0, [3, 10]], table[1, 20] = 1.0, -1.0
    outcome = evaluate(table, ("a", "b"), alpha=0.01, available=57)
    assert (outcome.decided, outcome.asked, outcome.telling) == ("undecided", 57, 3)
    assert evaluate(np.zeros((0, 0)), (), alpha=0.01, available=0).telling == 0
