"""Strata of the calibration: what the fit writes of them, and where a report's page puts a case among them."""

from __future__ import annotations

import json

import numpy as np

from fingerprint.calibration.fit import LabelledPair, fit_tier, left_out_log_lrs
from fingerprint.calibration.model import STEPS, Calibration, shipped

FAMILIES = ("one", "two", "three", "four")


def population(*, kin_at: float = 1.5) -> list[LabelledPair]:
    """Related, unrelated and akin pairs of four families with one feature each; the akin lie between the others."""
    rng = np.random.default_rng(7)
    kinds = [(True, False, "by logits", 2.0), (False, False, "same data", 0.4), (False, False, "other data", -0.5)]
    kinds.append((False, True, "common teacher", kin_at))
    return [
        LabelledPair(features={"x": float(rng.normal(mean))}, related=related, pedigree=family, stratum=name, kin=kin)
        for related, kin, name, mean in kinds
        for family in FAMILIES
        for _ in range(12)
    ]


def test_kin_are_counted_and_never_fitted_on():
    pairs = population()
    without = [pair for pair in pairs if not pair.kin]
    full = fit_tier(pairs, ("x",), families=8, related_families=4)
    fitted = fit_tier(without, ("x",), families=8, related_families=4)
    assert full.model_copy(update={"strata": fitted.strata}) == fitted
    assert [(each.name, each.kin, each.pairs) for each in full.strata] == [
        ("other data", False, 48),
        ("same data", False, 48),
        ("common teacher", True, 48),
    ]
    # Those akin lie nearer to the related ones than any unrelated pair does: that is what the row is there to show.
    other, same, fellow = full.strata
    assert other.lr_above_1 < same.lr_above_1 < fellow.lr_above_1
    moved = left_out_log_lrs(population(kin_at=9.0), ("x",))
    assert np.array_equal(moved[: len(without)], left_out_log_lrs(without, ("x",)))


def test_a_stratum_says_exactly_how_many_pairs_reach_each_step():
    pairs = population()
    logs = left_out_log_lrs(pairs, ("x",)) / np.log(10)
    for stratum in fit_tier(pairs, ("x",), families=8, related_families=4).strata:
        chosen = logs[[pair.stratum == stratum.name for pair in pairs]]
        assert 0 not in stratum.reached
        for place, step in enumerate(STEPS):
            told = stratum.reached[place] if place < len(stratum.reached) else 0
            assert told == np.sum(chosen >= step), step
        assert stratum.reached[STEPS.index(0.0)] == stratum.lr_above_1


def test_the_shipped_calibration_and_older_ones_are_read_whatever_they_say_of_strata():
    calibration = shipped()
    told = json.loads(calibration.model_dump_json())
    for tier in told["tiers"].values():
        for stratum in tier["strata"]:
            stratum.pop("reached"), stratum.pop("kin")
    older = Calibration.model_validate(told)
    assert older.digest == calibration.digest, "what describes the population does not change what is computed with it"
    assert all(stratum.reached == () and not stratum.kin for tier in older.tiers.values() for stratum in tier.strata)
