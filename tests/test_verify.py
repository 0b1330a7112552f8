"""A verdict is recomputed by somebody else: it comes out the same, and no number can be changed unnoticed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reports import PAIRS, real

from fingerprint import api, shipped
from fingerprint.calibration.model import known
from fingerprint.errors import UsageError
from fingerprint.recompute import verify as recompute
from fingerprint.report.schema import from_json, to_json
from fingerprint.report.verify import verify, verify_from

DISTILLED = PAIRS["distilled"]


@pytest.mark.parametrize("kind", PAIRS)
def test_a_verdict_comes_out_of_its_report_again(kind):
    report = real(*PAIRS[kind])
    assert kind in {report.result.verdict.kind, "inconclusive"}
    found = verify(from_json(to_json(report)), known())
    assert found.same, found.difference


def test_the_whole_result_comes_out_of_the_recordings_again():
    found = verify_from(from_json(to_json(real(*DISTILLED))), shipped.recordings(), known())
    assert found.same, found.difference
    assert "recordings" in found.recomputed


def numbers(value, path=()):
    """Paths of all numbers in a JSON value."""
    if isinstance(value, dict):
        return [found for key, item in value.items() for found in numbers(item, (*path, key))]
    if isinstance(value, list):
        return [found for place, item in enumerate(value) for found in numbers(item, (*path, place))]
    return [path] if isinstance(value, int | float) and not isinstance(value, bool) else []


def changed(value, path, change):
    copy = json.loads(json.dumps(value))
    place = copy
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = change(place[path[-1]])
    return copy


PLAIN = json.loads(to_json(real(*DISTILLED)))
PLACES = numbers(PLAIN)


@given(st.sampled_from(PLACES), st.sampled_from([1, 2, 1000]))
@settings(max_examples=150, deadline=None)
def test_no_number_can_be_changed_unnoticed(path, step):
    report = from_json(json.dumps(changed(PLAIN, path, lambda old: old + step)))
    found = verify(report, known())
    assert not found.same
    assert found.difference


def resealed(path, change):
    """A report that was changed by somebody who also wrote a new digest into it."""
    report = from_json(json.dumps(changed(PLAIN, path, change)))
    return report.model_copy(update={"digest": report.content_digest()})


FED = [
    path
    for path in PLACES
    if path[1] in {"log10_lr", "log10_lr_interval", "log10_lr_bounds", "log10_lr_uncapped", "posterior"}
]


@pytest.mark.parametrize("path", FED)
def test_a_new_digest_does_not_hide_a_changed_ratio(path):
    found = verify(resealed(path, lambda old: old + 0.01), known())
    assert not found.same
    assert str(path[1]) in found.difference


def test_a_new_digest_does_not_hide_a_changed_verdict_or_feature():
    flipped = verify(resealed(("result", "verdict", "kind"), lambda _: "unrelated"), known())
    assert "result.verdict.kind: the report says 'unrelated', it comes out as 'distilled'" in flipped.difference
    place = next(
        ("result", "evidence", number, "features", "partial_margin")
        for number, part in enumerate(PLAIN["result"]["evidence"])
        if "partial_margin" in part["features"]
    )
    assert verify(resealed(place, lambda old: old - 0.3), known()).difference.startswith("result.")


@pytest.mark.parametrize(
    "path", [("result", "evidence", 1, "n"), ("result", "noise_floor", "repeated"), ("result", "suspect", "samples")]
)
def test_the_recordings_show_what_a_new_digest_hides(path):
    assert verify(resealed(path, lambda old: old + 1), known()).same
    found = verify_from(resealed(path, lambda old: old + 1), shipped.recordings(), known())
    assert not found.same
    assert str(path[-1]) in found.difference


def test_another_calibration_is_not_taken_for_the_stated_one():
    found = verify(resealed(("result", "calibration", "digest"), lambda _: "sha256:" + "0" * 64), known())
    assert "no calibration with the digest" in found.difference


def test_a_missing_recording_is_named():
    with pytest.raises(UsageError, match="recording of student"):
        verify_from(real(*DISTILLED), [], known())


def test_the_command_says_it_with_its_exit_code(program, tmp_path):
    first = ["toy:parrot?seed=1&parent=2", "toy:parrot?seed=2", "--probes", "style"]
    done = program("compare", *first, "-o", "r.json", "--recordings", "kept", "-q")
    assert done.returncode == 0, done.stderr
    assert program("verify", "r.json").returncode == 0
    whole = program("verify", "r.json", "--recordings", "kept")
    assert whole.returncode == 0, whole.stdout
    report = json.loads((tmp_path / "r.json").read_text())
    report["result"]["log10_lr"] += 1
    (tmp_path / "changed.json").write_text(json.dumps(report))
    done = program("verify", "changed.json")
    assert done.returncode == 1
    assert "result.log10_lr" in done.stdout
    for text in ("", "{}", "[1]", '{"schema_version": "9"}'):
        (tmp_path / "broken.json").write_text(text)
        done = program("verify", "broken.json")
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
    assert program("verify", "none.json").returncode == 2
    assert program("verify", "r.json", "--recordings", "nowhere").returncode == 2


def test_a_report_in_memory_is_verified_as_from_its_file(own_store):
    report = api.compare("toy:parrot?seed=1", "toy:parrot?seed=2", options=api.Options(probes="style", store=own_store))
    assert recompute(report).same
