"""Strata of the calibration: what the fit writes of them, and where a report's page puts a case among them."""

from __future__ import annotations

import json
import re
from functools import cache

import browser
import numpy as np
import pytest
from reports import COMPAT, stored
from test_page import CHROMIUM, FAULTS, needs_chromium

from fingerprint.bench.zoo import Scored, Zoo, calibrate, chosen_pairs
from fingerprint.calibration.fit import LabelledPair, fit_tier, left_out_log_lrs
from fingerprint.calibration.model import STEPS, Calibration, Stratum, shipped
from fingerprint.report import explain, strata
from fingerprint.report.html import render_html
from fingerprint.report.markdown import render_markdown
from fingerprint.report.schema import Report, StratumPart, TippettPart
from fingerprint.report.verify import verify
from fingerprint.zoo.card import Card

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


def test_weights_are_counted_too_by_one_over_the_p_value_of_independent_starts():
    folder = COMPAT.parent.parent / "bench" / "zoo"
    cards = {path.name.split(".")[0]: Card.model_validate_json(path.read_bytes()) for path in folder.glob("*.card.json")}
    if not cards:
        pytest.skip("bench/zoo is not beside the tests")
    rng = np.random.default_rng(3)
    kept = {"derived": 40.0, "siblings of one base": 40.0}
    scored = [
        Scored(pair=pair, features={"weight_z": kept.get(pair.truth, kept.get(pair.stratum, float(rng.normal())))})
        for pair in chosen_pairs(cards)
    ]
    tier = calibrate(Zoo(recordings={}, cards=cards), scored, name="x", date="2026-11-25").tiers["weights"]
    truths = [item.pair.truth for item in scored]
    assert (tier.related_pairs, tier.unrelated_pairs) == (truths.count("derived"), truths.count("unrelated"))
    assert tier.tippett is not None
    assert min(tier.tippett.related) > 250
    assert max(tier.tippett.unrelated) < 7
    found = {stratum.name: stratum for stratum in tier.strata}
    assert found["siblings of one base"].kin
    assert found["siblings of one base"].reached[-1] == found["siblings of one base"].pairs
    data = [stratum for stratum in tier.strata if not stratum.kin]
    assert sum(stratum.pairs for stratum in data) == tier.unrelated_pairs
    ten = sum(stratum.lr_above_10 for stratum in data) / tier.unrelated_pairs
    assert 0.07 < ten < 0.13, "a tenth of all unrelated pairs have a p-value below a tenth"
    assert "descendant" not in found


def test_a_stratum_says_exactly_how_many_pairs_reach_each_step():
    pairs = population()
    logs = left_out_log_lrs(pairs, ("x",)) / np.log(10)
    for stratum in fit_tier(pairs, ("x",), families=8, related_families=4).strata:
        chosen = logs[[pair.stratum == stratum.name for pair in pairs]]
        assert stratum.reached
        assert 0 not in stratum.reached[1:]
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


TOLD = ("student of a same-data twin", 200, 40, 8), ("same data", 100, 20, 0), ("other data", 300, 3, 0)
AKIN = ("common teacher", 50, 40, 20), ("siblings of one base", 60, 60, 50)


def part(name: str, pairs: int, above_1: int, above_10: int, *, kin: bool = False) -> StratumPart:
    """A stratum of which these pairs reach 1 and 10, all the least step, and nobody the last one."""
    counts = [pairs if step < 0 else above_1 if step < 1 else above_10 if step < 2 else 0 for step in STEPS]
    reached = tuple(count for count in counts if count)
    return StratumPart(name=name, pairs=pairs, lr_above_1=above_1, lr_above_10=above_10, kin=kin, reached=reached)


@cache
def case(*, log10_lr: float = 1.5, **sides: str) -> Report:
    """A real report whose calibration counts these strata; ``sides`` are fields of the reference."""
    report = stored("distilled")
    parts = (*(part(*each) for each in TOLD), *(part(*each, kin=True) for each in AKIN))
    used = report.result.calibration.model_copy(update={"strata": parts})
    reference = report.result.reference.model_copy(update=sides)
    fields = {"calibration": used, "log10_lr_uncapped": log10_lr, "reference": reference}
    return report.model_copy(update={"result": report.result.model_copy(update=fields)})


def table(report: Report) -> dict[str, str]:
    """The rows of the strata on the page, by name, without tags."""
    page = render_html(report)
    page = page[page.index('id="calibration"') : page.index('id="examples"')]
    found = re.findall(r'<tr(?: class="excluded")?><th scope="row">(.*?)</tr>', page, re.DOTALL)
    plain = [re.sub("<[^>]+>", "|", row) for row in found]
    return {row.split("|")[0]: row for row in plain if " of " in row and "%" in row}


@pytest.mark.parametrize(
    ("log10_lr", "reached"), [(-7.0, 200), (-0.01, 200), (0.0, 40), (0.04, 40), (0.99, 40), (1.0, 8), (1.96, 8), (9.0, 0)]
)
def test_the_ratio_of_a_case_is_held_against_every_stratum(log10_lr, reached):
    found = table(case(log10_lr=log10_lr))
    assert list(found) == [name for name, *_ in (*TOLD, *AKIN)]
    assert f"|{reached:,} of 200|" in found["student of a same-data twin"]
    assert "|40 of 200|" in found["student of a same-data twin"]
    assert "[" in found["same data"]


def test_the_worst_strata_that_nothing_excludes_are_named():
    said = strata.sentence(case().result)
    assert "8 of 200 (4.0 %" in said
    assert "student of a same-data twin" in said
    assert "20 of 50" in said, "fellow students are not unrelated, and yet nobody learned from the other"
    assert "siblings" not in said, "the weights of both sides are open and independent"
    assert "speaks for no descent, whichever stratum" in strata.sentence(case(log10_lr=-3.0).result)
    none = strata.sentence(case(log10_lr=9.0).result)
    assert none.startswith("No pair of the strata that nothing visible excludes reaches this case’s ratio.")
    assert "8 of 200" in none


def test_what_is_visible_excludes_strata_and_what_is_not_does_not():
    alike = {row.part.name: row.against for row in strata.rows(case().result)}
    assert alike["other data"] == "they share one tokenizer"
    assert alike["siblings of one base"] == "their weights are independent"
    assert alike["student of a same-data twin"] == alike["same data"] == alike["common teacher"] == ""
    other = {row.part.name: row.against for row in strata.rows(case(tokenizer="sha256:other", architecture="Other").result)}
    assert other["other data"] == ""
    assert other["same data"] == "their architectures differ"
    unknown = {row.part.name: row.against for row in strata.rows(case(tokenizer="", architecture="").result)}
    assert unknown["other data"] == unknown["same data"] == ""
    page = render_html(case(tokenizer="", architecture=""))
    assert page.count("Unknown on at least one side, so it excludes no row.") == 2
    assert "Which stratum a real case belongs to is not known" in page


def test_the_page_shows_the_case_among_the_sizes_and_on_the_curves():
    page = render_html(case())
    result = case().result
    low, high = result.calibration.parameters
    sizes = page[page.index('<table class="strip sizes whole"') :]
    assert f"{low:,} to {high:,}" in sizes
    assert sizes.count(f"{result.suspect.parameters:,}") >= 2
    assert 'class="curve stratum"' in page
    assert "of these, student of a same-data twin" in page
    assert "times the population’s largest model" in page or "within the population’s sizes" in page
    far = case(parameters=0)
    assert "reference of unknown size" in render_html(far)


def on_weights(log10_lr: float, *, greatest: float = 3.2) -> Report:
    """The real report on a fine-tune, with strata; ``greatest`` is the ratio that the luckiest unrelated pair reaches."""
    report = stored("derived")
    told = (part("same data", 100, 100, 9), part("siblings of one base", 60, 60, 60, kin=True))
    full = tuple(each.model_copy(update={"reached": (*each.reached, *[1] * (101 - len(each.reached)))}) for each in told)
    curves = TippettPart(related=(300.0, 300.0), unrelated=(0.1, greatest))
    used = report.result.calibration.model_copy(update={"strata": full, "tippett": curves})
    fields = {"calibration": used, "log10_lr_uncapped": log10_lr, "controls": ()}
    return report.model_copy(update={"result": report.result.model_copy(update=fields)})


def test_on_weights_a_tenth_of_all_reach_ten_so_only_this_case_is_counted():
    rows = table(on_weights(215.0))
    assert rows["same data"].count("%") == 1
    assert "|0 of 100|" in rows["same data"], "the greatest unrelated ratio is 3.2, also where the steps end at 3"
    assert "|1 of 60|" in rows["siblings of one base"]
    assert "|1 of 100|" in table(on_weights(3.1))["same data"]
    page = render_html(on_weights(215.0))
    assert "one over the p-value of independent starts" in page
    assert "LR above 10" not in page
    assert "were left out of the fit" not in page, "nothing is fitted on weights"
    assert "a common parent is found only if it is named" in page
    behaviour = render_html(case())
    assert "one over the p-value" not in behaviour
    assert "were left out of the fit" in behaviour
    assert "a common parent is found" not in behaviour


def test_every_stratum_that_the_shipped_calibration_counts_is_explained():
    parts = {part.name: part for tier in shipped().tiers.values() for part in tier.strata}
    assert len(parts) >= 7
    told = tuple(StratumPart(**part.model_dump()) for part in parts.values())
    used = case().result.calibration.model_copy(update={"strata": told})
    rows = strata.rows(case().result.model_copy(update={"calibration": used}))
    assert [row.part.name for row in rows if not row.meaning] == []
    assert {row.part.kin for row in rows} == {False, True}


def test_text_formats_say_of_the_strata_what_the_page_says():
    said = strata.sentence(case().result)
    assert " ".join(explain.page(case()).split()).count(said) == 1
    assert "8 of 200" in render_markdown(case())
    assert "Strata are not published" in explain.page(stored("derived"))
    assert "published" not in render_markdown(stored("derived"))


def test_a_calibration_that_does_not_say_is_not_made_to_say():
    page = render_html(stored("distilled"))
    assert "is not published with this calibration" in page
    assert "not published</span>" in page
    assert 'class="curve stratum"' not in page
    derived = render_html(stored("derived"))
    assert "Strata are not published with this calibration for the tier weights." in derived
    assert "Which stratum a real case belongs to" not in derived


@pytest.mark.parametrize("big", [10**400, -(10**400), 0, -1])
def test_a_report_may_say_any_number_of_its_strata_and_sizes(big):
    report = case()
    odd = tuple(part.model_copy(update={"reached": (big,) * 101, "lr_above_10": big}) for part in report.result.calibration.strata)
    none = tuple(part.model_copy(update={"pairs": big}) for part in odd)
    for parts, sizes in ((odd, (big, big)), (none, (1, 2)), (none, (2, 1))):
        used = report.result.calibration.model_copy(update={"strata": parts, "parameters": sizes})
        suspect = report.result.suspect.model_copy(update={"parameters": abs(big)})
        changed = report.result.model_copy(update={"calibration": used, "suspect": suspect})
        page = render_html(report.model_copy(update={"result": changed}))
        assert "Strata, and what this case shares with them" in page


def test_a_report_is_verified_by_a_calibration_that_has_counted_more_since():
    folder = COMPAT / "2026-11-25-0409669"
    calibration = Calibration.model_validate_json((folder / "calibration-zoo.json").read_text("utf-8"))
    used = stored("distilled").result.calibration.tier
    first, *rest = calibration.tiers[used].strata
    extra = Stratum(name="common teacher", pairs=9, lr_above_1=9, lr_above_10=9, kin=True, reached=(9,))

    def with_strata(*chosen: Stratum) -> dict[str, Calibration]:
        tier = calibration.tiers[used].model_copy(update={"strata": chosen})
        changed = calibration.model_copy(update={"tiers": {**calibration.tiers, used: tier}})
        assert changed.digest == calibration.digest
        return {changed.digest: changed}

    before = verify(stored("distilled"), {calibration.digest: calibration})
    later = verify(stored("distilled"), with_strata(first.model_copy(update={"reached": (1,)}), *rest, extra))
    assert later.difference == before.difference
    wrong = verify(stored("distilled"), with_strata(first.model_copy(update={"pairs": first.pairs + 1}), *rest))
    assert wrong.difference.startswith(f"result.calibration.strata.{first.name}.pairs") or before.difference


@needs_chromium
def test_the_strata_fit_a_phone_and_the_screen(tmp_path):
    page = tmp_path / "page.html"
    page.write_text(render_html(case()), "utf-8")
    assert CHROMIUM is not None
    with browser.Browser(CHROMIUM) as opened:
        for width in (390, 1200):
            opened.open(page, width=width)
            assert opened.run(FAULTS) == []
            # The columns have no head on a phone: what the rows are must stand above them all the same.
            titles = "[...document.querySelectorAll('h4')].filter(one => one.checkVisibility()).map(one => one.textContent)"
            assert {"Unrelated pairs", "Akin, without descent of one from the other"} <= set(opened.run(titles))
