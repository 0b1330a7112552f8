"""Type-I error of the methods of `evidence/` that no other test simulates: no relation, and few p-values are small.

Where the others are: text, `test_confounders.py`; known base, geometry, temperature, ranks, `test_methods.py`; asymmetry,
`test_agreement.py`; closeness, `test_sequential.py`; whole tensors, `test_weights_stats.py`.
"""

from __future__ import annotations

import base64

import numpy as np
import pytest
from scipy.stats import binom

from fingerprint.evidence.align import Aligned
from fingerprint.evidence.base import Evidence
from fingerprint.evidence.border import border_agreement
from fingerprint.evidence.case import Case
from fingerprint.evidence.contrast import shared_deviations
from fingerprint.evidence.crossscores import CrossScores
from fingerprint.evidence.divergence import divergence
from fingerprint.evidence.likelihood import cross_likelihood
from fingerprint.evidence.overlap import overlap_margin
from fingerprint.evidence.residuals import residual_correlation
from fingerprint.evidence.weights import weight_descent
from fingerprint.models.sketch import unpack
from fingerprint.recording import ModelInfo, Recording, Score, TensorSketch
from fingerprint.stats import affinity

CONTEXTS, SYMBOLS = 30, 8


def assert_level(pvalues: list[float]) -> None:
    """No more rejections than a test of that level can have, but for one simulation in a thousand."""
    for level in (0.05, 0.01):
        hits = sum(value <= level for value in pvalues)
        assert hits <= binom.ppf(0.999, len(pvalues), level), (level, hits)


def assert_uniform(pvalues: list[float]) -> None:
    """Nor merely conservative: the p-values use the whole range."""
    assert 0.4 < np.mean(pvalues) < 0.6
    assert_level(pvalues)


def softmax(logits):
    table = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return table / table.sum(axis=-1, keepdims=True)


def named(name: str, **parts: object) -> Recording:
    return Recording(model=ModelInfo(name=name, kind="rows", digest=f"sha256:{name:0>64}"), **parts)


def case_of(logits, seed: int) -> Case:
    """A case of models (models, contexts, symbols), the suspect first, the reference second, then controls."""
    tables = softmax(logits)
    models, contexts = tables.shape[:2]
    prompts = np.arange(contexts)
    inner = affinity.of_tables(tables.astype(np.float32), prompts)
    aligned = Aligned(
        probabilities=tables.astype(np.float32),
        prompts=prompts,
        used=tuple(range(models - 2)),
        tokens=inner,
        bytes_=inner,
        ranks=np.argsort(-tables, axis=2).astype(np.int32),
        tokenizers=("",) * models,
    )
    everybody = [named(f"m{i}") for i in range(models)]
    case = Case(suspect=everybody[0], reference=everybody[1], controls=tuple(everybody[2:]), seed=seed)
    case.__dict__["aligned"] = aligned
    return case


def strangers(rng, models: int, contexts: int = CONTEXTS):
    """Models that share a language and nothing else."""
    return 2 * rng.normal(size=(contexts, SYMBOLS)) + rng.normal(size=(models, contexts, SYMBOLS))


@pytest.mark.parametrize(("method", "most"), [(divergence, 0.6), (border_agreement, 0.7)])
def test_one_rival_that_is_exchangeable_with_the_reference(method, most):
    """Counts of agreements tie, and ties count for the null: the p-values of borders are a little large."""
    found = []
    for seed in range(150):
        item = method(case_of(strangers(np.random.default_rng([seed, 1]), 3, contexts=100), seed))
        if isinstance(item, Evidence):  # too few contexts of doubt are skipped
            found.append(item.pvalue)
    assert len(found) > 100
    assert 0.4 < np.mean(found) < most
    assert_level(found)


@pytest.mark.parametrize("kind", ["strangers", "twins of each side", "one school"])
def test_the_four_model_contrast(kind):
    """Data that the controls share too is no relation, whoever shares it with whom."""
    found = []
    for seed in range(80):
        rng = np.random.default_rng([seed, 2])
        logits = strangers(rng, 4)
        if kind == "twins of each side":
            common = rng.normal(size=(2, *logits.shape[1:]))
            logits += common[[0, 1, 0, 1]]
        elif kind == "one school":
            logits[:3] += rng.normal(size=logits.shape[1:])
        found.append(shared_deviations(case_of(logits, seed)).pvalue)
    assert_level(found)


def test_the_lead_over_all_others():
    """Among five exchangeable candidates the reference leads on both sides one time in five at most."""
    leads, sure, residual = [], [], []
    for seed in range(40):
        case = case_of(strangers(np.random.default_rng([seed, 3]), 6), seed)
        item = overlap_margin(case)
        leads.append(item.effect > 0)
        sure.append(item.interval[0] > 0)
        residual.append(residual_correlation(case)[1].pvalue)
    assert sum(leads) <= binom.ppf(0.999, len(leads), 0.2)
    assert sum(sure) <= binom.ppf(0.999, len(sure), 0.05)
    assert_level(residual)


def test_texts_under_log_probabilities():
    """Scorers differ in quality, authors in difficulty, prompts in both; everybody knows his own texts best."""
    found = []
    score = (Score(prompt="p", text="t", logprob=-1.0, tokens=1, bytes=1),)
    for seed in range(200):
        rng = np.random.default_rng([seed, 4])
        bits = 3 + rng.normal(size=(5, 1, 1)) + rng.normal(size=(1, 5, 1)) + rng.normal(size=(1, 1, 40))
        bits = bits + 0.5 * rng.standard_t(4, size=(5, 5, 40)) - np.eye(5)[:, :, None]
        everybody = [named(f"m{i}", scores=score) for i in range(5)]
        case = Case(suspect=everybody[0], reference=everybody[1], controls=tuple(everybody[2:]), seed=seed)
        case.__dict__["scores"] = CrossScores(bits=bits)
        items = cross_likelihood(case)
        assert all(isinstance(item, Evidence) for item in items)
        found.append([item.pvalue for item in items])
    for pvalues in zip(*found, strict=True):
        assert_level(list(pvalues))


def sketched(rng) -> tuple[TensorSketch, ...]:
    values = [rng.standard_t(5, 128).astype("<f2") for _ in range(3)]
    return tuple(
        TensorSketch(name=f"layer.{i}", shape=(64, 64), scale=1.0, values=base64.b64encode(row.tobytes()).decode())
        for i, row in enumerate(values)
    )


def test_independent_weights():
    rng, found = np.random.default_rng(5), []
    assert unpack(sketched(rng)[0]).size == 128
    for _ in range(400):
        case = Case(suspect=named("a", sketch=sketched(rng)), reference=named("b", sketch=sketched(rng)))
        found.append(weight_descent(case).pvalue)
    assert_uniform(found)
