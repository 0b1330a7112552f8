"""The curated sets, and what a user's own set may do wrong."""

from __future__ import annotations

import pytest

from fingerprint.errors import ProbeError
from fingerprint.probes import builtin, load, load_path

GOOD = """
[card]
name = "mine"
version = "1"
title = "t"
purpose = "p"
access = ["text"]
language = ["en"]
confounder = "c"
licence = "Apache-2.0"
[[probe]]
id = "mine-1"
text = "Name a river."
"""


def test_there_are_enough_sets_and_probes_and_every_card_fits_its_probes():
    sets = builtin()
    assert len(sets) >= 8
    assert sum(len(probe_set.probes) for probe_set in sets.values()) >= 400
    for probe_set in sets.values():
        assert probe_set.card.digest == probe_set.digest
        assert probe_set.card.purpose
        assert probe_set.card.confounder


def test_twins_point_at_each_other():
    probes = {probe.id: probe for probe in builtin()["guardrails"].probes}
    assert all(probes[probe.twin].twin == probe.id for probe in probes.values() if probe.twin)


def test_no_text_is_asked_twice():
    texts = [probe.text for probe_set in builtin().values() for probe in probe_set.probes]
    assert len(texts) == len(set(texts))


def test_ones_own_set_by_path(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    assert [probe.id for probe in load(str(path))[0].probes] == ["mine-1"]


def test_the_digest_sees_every_word(tmp_path):
    first, second = tmp_path / "a.toml", tmp_path / "b.toml"
    first.write_text(GOOD)
    second.write_text(GOOD.replace("river", "lake"))
    assert load_path(first).digest != load_path(second).digest


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("[card]", "[card"), "TOML"),
        (('id = "mine-1"', 'id = "Mine 1"'), "probe.0.id"),
        (('text = "Name a river."', ""), "probe.0.text"),
        (('title = "t"', 'title = "t"\nbonus = 1'), "bonus"),
        (('text = "Name a river."', 'text = "x"\ntwin = "nobody"'), "twin"),
    ],
)
def test_faults_are_named(tmp_path, change, words):
    path = tmp_path / "bad.toml"
    path.write_text(GOOD.replace(*change))
    with pytest.raises(ProbeError, match=words):
        load_path(path)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ProbeError, match="border-choices"):
        load("nonsense")
