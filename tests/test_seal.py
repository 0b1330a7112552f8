"""A sealed plan: kept, the report says so and verifies; broken in any way, the report says in which."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from test_check import counted

from fingerprint import api, recording_file, verdict
from fingerprint.calibration.model import known
from fingerprint.calibration.model import shipped as calibration
from fingerprint.canonical import digest
from fingerprint.collection.plan import Settings
from fingerprint.errors import UsageError
from fingerprint.probes import load
from fingerprint.report.html import render_html
from fingerprint.report.schema import from_json, to_json
from fingerprint.report.seal import Seal, make_seal, read_seal
from fingerprint.report.verify import verify, verify_from

SIDES = ("toy:parrot?seed=1", "toy:parrot?seed=2")
CONTROL = "toy:parrot?seed=3"


def sealed(probes="style", *, temperature=1.0, system="", seed=0) -> Seal:
    sets = [each.ref for each in load(probes)]
    return make_seal(sets, calibration(), temperature=temperature, system=system, seed=seed, created="2026-01-01")


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    """One stranger as population, so that comparisons of toys are quick."""
    folder = tmp_path_factory.mktemp("panel")
    options = api.Options(probes="style", store=folder / "store")
    recording_file.write(api.collect("toy:parrot?seed=9", options), folder / "p.jsonl")
    return folder


@pytest.fixture
def compare(tmp_path, panel):
    def run(seal, *, sides=SIDES, settings=None, probes="style", **more):
        options = api.Options(probes=probes, store=tmp_path / "store", seal=seal, settings=settings or Settings())
        return api.compare(*sides, controls=more.pop("controls", ()), panel=panel, options=options, **more)

    return run


def deviations(report):
    assert report.result.seal is not None
    return report.result.seal.deviations


def test_a_kept_plan_is_shown_and_verified(compare, tmp_path, panel):
    seal = sealed()
    report = compare(seal, controls=[CONTROL], save_to=tmp_path / "kept")
    assert deviations(report) == ()
    assert {side.seal for side in (report.result.suspect, report.result.reference, *report.result.controls)} == {
        seal.digest
    }
    assert "kept to the seal" in render_html(report)
    again = from_json(to_json(report))
    assert verify(again, known()).same
    kept = [recording for folder in (tmp_path / "kept", panel) for recording in api.read_folder(folder)]
    assert verify_from(again, kept, known()).same


BROKEN = {
    "other probes": ({}, {"probes": "continuation"}, "asked other probes"),
    "temperature": ({}, {"settings": Settings(temperature=0.5)}, "another temperature"),
    "system prompt": ({}, {"settings": Settings(system="Be brief.")}, "another system prompt"),
    "seed": ({}, {"settings": Settings(seed=4)}, "another seed"),
    "sealed with other probes": ({"probes": "style,continuation"}, {}, "asked other probes"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plan_is_named(compare, case):
    planned, done, sentence = BROKEN[case]
    report = compare(sealed(**planned), **done)
    found = deviations(report)
    assert [each.split(" ")[0] for each in found] == ["parrot-1", "parrot-2"]
    assert all(sentence in each for each in found)
    page = render_html(report)
    assert all(each.replace("'", "&#39;") in page for each in found)
    assert verify(from_json(to_json(report)), known()).same


@pytest.mark.parametrize(("item", "sentence"), [("methods", "The methods are not as they were sealed.")])
def test_another_program_is_named(compare, item, sentence):
    """A seal that another version of the program made: the digest of its methods is another."""
    items = {**sealed().items, item: "sha256:" + "0" * 64}
    report = compare(Seal(created="", items=items, digest=digest(items)))
    assert deviations(report) == (sentence,)


def test_a_changed_threshold_is_named(compare, monkeypatch):
    seal = sealed()
    monkeypatch.setattr(verdict, "CLEAR", verdict.CLEAR - 0.1)
    assert deviations(compare(seal)) == ("The thresholds are not as they were sealed.",)


def test_another_calibration_is_named(tmp_path, panel):
    other = calibration().model_copy(update={"date": "1999-01-01"})
    assert other.digest != calibration().digest
    options = api.Options(probes="style", store=tmp_path / "store", seal=sealed(), calibration=other)
    report = api.compare(*SIDES, panel=panel, options=options)
    assert deviations(report) == ("The calibration is not the sealed one.",)


def test_answers_from_before_the_seal_are_not_taken(compare, monkeypatch):
    asked = counted(monkeypatch)
    compare(None)
    before = dict(asked)
    assert deviations(compare(sealed())) == ()
    # The store held every answer; under the seal all were asked again, and the next run takes them from the store.
    assert all(count >= 2 * before[name] - 2 for name, count in asked.items())
    after = dict(asked)
    compare(sealed())
    assert all(asked[name] - after[name] <= 2 for name in asked)


def test_a_recording_from_before_the_seal_is_named(compare, tmp_path):
    options = api.Options(probes="style", store=tmp_path / "other")
    old = api.collect(SIDES[0], options)
    recording_file.write(old, tmp_path / "old.jsonl")
    other = replace(options, seal=sealed(seed=8))
    recording_file.write(api.collect(CONTROL, other), tmp_path / "control.jsonl")
    report = compare(sealed(), sides=(f"rec:{tmp_path}/old.jsonl", SIDES[1]), controls=[f"rec:{tmp_path}/control.jsonl"])
    assert deviations(report) == (
        "parrot-1 was recorded under no seal: its answers may be older than this one.",
        "parrot-3 was recorded under another seal: its answers may be older than this one.",
    )
    # Recorded under the seal, it is none; and the seal is part of the recording's digest.
    new = api.collect(SIDES[0], replace(options, seal=sealed()))
    recording_file.write(new, tmp_path / "new.jsonl")
    assert recording_file.read(tmp_path / "new.jsonl") == new
    assert new.digest != old.digest
    assert replace(new, seal="").digest == old.digest
    assert deviations(compare(sealed(), sides=(f"rec:{tmp_path}/new.jsonl", SIDES[1]))) == ()


def test_words_about_a_seal_cannot_be_changed_unnoticed(compare):
    report = compare(sealed(seed=8))
    part = report.result.seal
    for change in ({"deviations": ()}, {"sealed": {**part.sealed, "seed": "0"}}, {"digest": "sha256:" + "0" * 64}):
        forged = report.model_copy(
            update={"result": report.result.model_copy(update={"seal": part.model_copy(update=change)})}
        )
        resealed = forged.model_copy(update={"digest": forged.content_digest()})
        found = verify(resealed, known())
        assert not found.same
        assert "seal" in found.difference


def test_the_commands_seal_and_keep(program, tmp_path):
    made = program("seal", "-o", "seal.json", "--probes", "style")
    assert made.returncode == 0
    assert made.stdout.strip() == read_seal(tmp_path / "seal.json").digest
    done = program("collect", SIDES[0], "-o", "a.jsonl", "--probes", "style", "--seal", "seal.json", "-q")
    assert done.returncode == 0, done.stderr
    assert recording_file.read(tmp_path / "a.jsonl").seal == made.stdout.strip()
    value = json.loads((tmp_path / "seal.json").read_text())
    value["items"]["seed"] = "1"
    (tmp_path / "seal.json").write_text(json.dumps(value))
    done = program("compare", *SIDES, "--seal", "seal.json", "--probes", "style")
    assert done.returncode == 2
    assert "changed after it was written" in done.stderr


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": "2.0"}'])
def test_what_is_no_seal_is_refused(tmp_path, text):
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(UsageError, match="not a seal"):
        read_seal(tmp_path / "s.json")
