"""Statistics of weights by simulation: level under independent initialisation, power after permuting, scaling, noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, chi2
from scipy.stats import t as student

from fingerprint.evidence.tensors.vectors import Basis, same_vectors
from fingerprint.stats.weights_image import image_residual
from fingerprint.stats.weights_match import assign, rotation_between, shares, standardised, unbiased_cka
from fingerprint.stats.weights_null import fisher, order_test, smallest, trace_test
from fingerprint.stats.weights_round import UNIFORM, on_grids, within_rounding
from fingerprint.tensors.base import Checkpoint, Tensor
from fingerprint.tensors.model import Weights

RUNS = 2000


def matrix(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """A trained-looking matrix: a strong common direction, a heavy dimension, units of very different size, dead units."""
    values = rng.standard_normal((rows, columns)) + 2 * rng.standard_normal((rows, 1)) * rng.standard_normal((1, columns))
    values[:, rng.integers(columns)] *= 8
    values *= np.exp(rng.standard_normal((rows, 1)))
    values[rng.integers(rows)] = 0.0
    return values.astype(np.float32)


def assert_level(log10_ps: list[float]) -> None:
    """No more rejections than a test of that level can have, but for one simulation in a thousand."""
    for level in (0.05, 0.01):
        hits = sum(10**value <= level for value in log10_ps)
        assert hits <= binom.ppf(0.999, len(log10_ps), level), (level, hits)


def test_places_hold_their_level_between_independent_matrices():
    found = []
    for seed in range(RUNS):
        rng = np.random.default_rng(seed)
        first, second = (standardised(matrix(rng, 40, 20)) for _ in range(2))
        found.append(trace_test(first.T @ second, seed=seed, rounds=199).log10_p)
    assert_level(found)
    # Not merely conservative: the p-values use the whole range.
    assert 0.4 < np.mean([10**value for value in found]) < 0.6


def test_order_of_matched_units_holds_its_level_with_dead_units():
    found = []
    for seed in range(RUNS):
        rng = np.random.default_rng(seed)
        first, second = (standardised(matrix(rng, 24, 12)) for _ in range(2))
        first[::3], second[::3] = 0.0, 0.0
        rows, partners = assign(first @ second.T, seed=seed)
        found.append(order_test(rows, partners).log10_p)
    assert_level(found)


def network(rng: np.random.Generator, *, layers: int = 2, neurons: int = 20, width: int = 16) -> dict[str, np.ndarray]:
    shapes = {"gate_proj": (neurons, width), "up_proj": (neurons, width), "down_proj": (width, neurons)}
    found = {"model.embed_tokens.weight": matrix(rng, 64, width)}
    for layer in range(layers):
        for name, shape in shapes.items():
            found[f"model.layers.{layer}.mlp.{name}.weight"] = matrix(rng, *shape)
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            found[f"model.layers.{layer}.self_attn.{name}.weight"] = matrix(rng, width, width)
    return found


def weights(tensors: dict[str, np.ndarray]) -> Weights:
    def tensor(name: str, value: np.ndarray) -> Tensor:
        return Tensor(name=name, shape=value.shape, format="F32", read=lambda start, stop: value[start:stop])

    made = {name: tensor(name, value) for name, value in tensors.items()}
    config = {"hidden_size": tensors["model.embed_tokens.weight"].shape[1], "model_type": "llama"}
    return Weights(
        checkpoint=Checkpoint(name="m", files=(), tensors=made, config=config, vocabulary=None, container="safetensors")
    )


def test_matching_over_layers_neurons_and_heads_keeps_the_level():
    held_out, order = [], []
    for seed in range(RUNS):
        rng = np.random.default_rng(seed)
        first, second = (weights(network(rng, neurons=10, width=12)) for _ in range(2))
        found = same_vectors(first, second, Basis.halves(12, seed), seed=seed, rounds=199)
        assert found is not None
        held_out.append(found.held_out.log10_p)
        order.append(found.order_log10_p)
    assert_level(held_out)
    assert_level(order)


def test_permuted_scaled_noisy_networks_are_found():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        parent = network(rng, layers=3, neurons=48, width=64)
        child = {}
        for layer in range(3):
            order, scale = rng.permutation(48)[:40], np.exp(rng.uniform(-1, 1, size=40))
            for name, value in parent.items():
                if f".{layer}.mlp." not in name:
                    continue
                moved = value[:, order] / scale if "down" in name else value[order]
                child[name] = moved * scale[:, None] if "up_proj" in name else moved
        child |= {name: value for name, value in parent.items() if name not in child}
        noisy = {n: (v + 0.5 * v.std() * rng.standard_normal(v.shape)).astype(np.float32) for n, v in child.items()}
        found = same_vectors(weights(parent), weights(noisy), Basis.halves(64, seed), seed=seed)
        assert found is not None
        assert found.held_out.log10_p < -9
        assert [match.first for match in found.layers] == [match.second for match in found.layers]


def test_tails_agree_with_scipy_and_go_on_where_it_underflows():
    places = np.arange(60)
    partners = places.copy()
    partners[:20] = partners[:20][::-1]
    rho = np.corrcoef(places, partners)[0, 1]
    expected = math.log10(student.sf(rho * math.sqrt(58 / (1 - rho**2)), 58))
    assert order_test(places, partners).log10_p == pytest.approx(expected)
    assert fisher([-1.0, -2.0, -0.5]) == pytest.approx(math.log10(chi2.sf(2 * 3.5 * math.log(10), 6)))
    assert fisher([-400.0] * 50) < -19_000
    nearly = np.arange(3000)
    nearly[[0, 1]] = [1, 0]
    assert -math.inf < order_test(np.arange(3000), nearly).log10_p < -1000
    # Never below one in n!, which is what a perfect order is worth.
    assert order_test(np.arange(5), np.arange(5)).log10_p == pytest.approx(-math.log10(120))
    assert trace_test(np.eye(6), seed=0).log10_p >= -math.log10(720) - 1e-9


def test_nothing_to_test_is_a_p_value_of_one():
    assert trace_test(np.zeros((8, 8)), seed=0).log10_p == 0
    assert order_test(np.arange(2), np.arange(2)).log10_p == 0
    assert fisher([]) == 0
    assert smallest([]) == 0
    assert smallest([-0.1, -0.1]) == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(4, 30))
def test_relabelling_both_models_alike_changes_nothing(seed: int, size: int):
    rng = np.random.default_rng(seed)
    first, second = (standardised(matrix(rng, 30, size)) for _ in range(2))
    order = rng.permutation(size)
    plain = trace_test(first.T @ second, seed=0, rounds=99)
    moved = trace_test(first[:, order].T @ second[:, order], seed=0, rounds=99)
    assert moved.statistic == pytest.approx(plain.statistic, abs=1e-3)


def test_unbiased_cka_is_zero_on_average_and_one_for_a_rotation():
    rng = np.random.default_rng(0)
    null = [unbiased_cka(rng.standard_normal((24, 40)), rng.standard_normal((24, 40))) for _ in range(500)]
    assert abs(np.mean(null)) < 3 * np.std(null) / np.sqrt(500) + 1e-3
    values = rng.standard_normal((40, 16)).astype(np.float32)
    turn = np.linalg.qr(rng.standard_normal((16, 16)))[0]
    assert unbiased_cka(values, 3 * values @ turn) == pytest.approx(1.0)


def test_a_rotation_is_recovered_from_shared_rows():
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((200, 24)).astype(np.float32)
    turn = np.linalg.qr(rng.standard_normal((24, 24)))[0].astype(np.float32)
    found, trace = rotation_between(rows, rows @ turn)
    assert np.allclose(found, turn, atol=1e-3)
    assert abs(trace) < 0.5
    assert rotation_between(rows, rows)[1] == pytest.approx(1.0)


def test_shares_of_a_merge_are_recovered():
    rng = np.random.default_rng(2)
    base = rng.standard_normal(3000)
    parents = np.stack([base + 0.1 * rng.standard_normal(3000) for _ in range(3)])
    child = 0.7 * parents[0] + 0.3 * parents[2] + 0.001 * rng.standard_normal(3000)
    for origin in (None, base):
        found, rest = shares(child, parents, origin)
        assert found == pytest.approx([0.7, 0.0, 0.3], abs=0.02)
        assert rest < 0.05


@pytest.mark.parametrize(("top", "block"), [(127, 32), (7, 32), (7, 64), (127, 96)])
def test_rounded_copies_are_told_from_changed_ones(top: int, block: int):
    rng = np.random.default_rng(3)
    source = rng.standard_normal((64, 96 if block == 96 else 128)).astype(np.float32)
    blocks = source.reshape(-1, block)
    scale = np.abs(blocks).max(axis=1, keepdims=True) / top
    copy = (np.round(blocks / scale) * scale).reshape(source.shape).astype(np.float32)
    changed = source + 0.5 * scale.mean() * rng.standard_normal(source.shape).astype(np.float32)
    for found in (on_grids(copy, source), on_grids(source, copy)):
        assert found.share > 0.97
        assert found.spread == pytest.approx(UNIFORM, abs=0.02)
    assert on_grids(copy, changed).share < 0.9
    # Rounded and then changed a little: rounding explains it all, but nothing was rounded.
    tuned = copy + 0.05 * scale.mean() * rng.standard_normal(copy.shape).astype(np.float32)
    found = on_grids(copy, tuned)
    assert found.share > 0.97
    assert found.spread < 0.2


def test_half_a_step_is_what_rounding_explains():
    values = np.linspace(-1, 1, 101, dtype=np.float32).reshape(1, -1)
    step = np.full_like(values, 0.1)
    copy = np.round(values / 0.1) * np.float32(0.1)
    found = within_rounding(values, copy, None, step)
    assert found.share == 1.0
    assert found.spread == pytest.approx(UNIFORM, abs=0.03)
    assert within_rounding(values, copy, None, None).share < 0.3
    assert within_rounding(values, copy + np.float32(0.08), None, step).share < 0.9
    near = within_rounding(copy, copy + np.float32(0.01) * np.sin(100 * values), None, step)
    assert near.share == 1.0
    assert near.spread < 0.1


def test_one_side_rounded_twice_is_seen_on_its_own_grid():
    rng = np.random.default_rng(0)
    coarse = np.round(rng.standard_normal((64, 256)) / 0.1).astype(np.float32) * np.float32(0.1)
    fine = np.round(coarse / 0.007).astype(np.float32) * np.float32(0.007)
    steps = [np.full_like(coarse, size) for size in (0.1, 0.007)]
    found = within_rounding(coarse, fine, steps[0], steps[1])
    assert found.share == 1.0
    assert found.spread == pytest.approx(UNIFORM, abs=0.03)


def test_the_image_of_a_head_is_recognised_and_strangers_leave_what_chance_leaves():
    rng = np.random.default_rng(4)
    head, other = rng.standard_normal((2, 200, 24))
    own = [image_residual(head @ rng.standard_normal(24) - 3.0, head) for _ in range(20)]
    strange = [image_residual(other @ rng.standard_normal(24), head) for _ in range(200)]
    assert max(own) < 1e-6
    assert np.mean(np.square(strange)) == pytest.approx((200 - 24 - 1) / 199, abs=0.02)
    assert image_residual(np.ones(10), head[:10]) == 1.0
