"""Same model or another one, from answers alone: an unbiased discrepancy, and an equal error rate that is one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerprint.bench.same import discrepancy, equal_error_rate, likeness

HALVES = ((0, 1), (2, 3))


def drawn(rng, weights, prompts: int = 40) -> dict[str, list[str]]:
    return {
        str(place): [str(word) for word in rng.choice(["oak", "ode", "elm", "fir"], 4, p=weights)]
        for place in range(prompts)
    }


def test_the_discrepancy_has_mean_zero_for_one_model_and_more_for_two():
    rng = np.random.default_rng(0)
    one, other = [0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]
    same = [discrepancy(drawn(rng, one), drawn(rng, one), HALVES) for _ in range(400)]
    different = [discrepancy(drawn(rng, one), drawn(rng, other), HALVES) for _ in range(400)]
    assert abs(np.mean(same)) < 3 * np.std(same) / 20
    assert np.mean(different) > 5 * np.std(different) / 20
    assert equal_error_rate(np.array(same), np.array(different)) < 0.4


@given(st.text(max_size=12), st.text(max_size=12))
def test_the_likeness_is_symmetric_and_largest_for_the_same_text(one, two):
    assert likeness(one, two) == likeness(two, one) <= min(likeness(one, one), likeness(two, two)) < 1


def test_equal_error_rates_that_are_known():
    low, high = np.arange(10.0), np.arange(20.0, 30.0)
    assert equal_error_rate(low, high) == 0.0
    assert equal_error_rate(high, low) == 1.0
    assert equal_error_rate(low, low) == pytest.approx(0.5, abs=0.05)
    # Two of ten on either side of the wrong side of 5.
    same, different = np.array([*range(8), 20.0, 21.0]), np.array([-2.0, -1.0, *range(10, 18)])
    assert equal_error_rate(same, different) == pytest.approx(0.2)
