"""Everything that a report names of its own making is checked: models, probes, recordings, calibration, code, seeds."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from cut import lay, small
from test_verify import changed

from fingerprint import api
from fingerprint.calibration.model import known
from fingerprint.errors import UsageError
from fingerprint.report.schema import from_json, to_json
from fingerprint.report.verify import verify, verify_from

NAMES = {"ours": "student", "theirs": "teacher", "alike": "twin"}
EVERY = 16
ZERO = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A report on small recordings, as JSON, with a small population."""
    folder = tmp_path_factory.mktemp("case")
    lay(folder, EVERY, **NAMES)
    lay(folder / "panel", EVERY, unrelated="unrelated")
    specs = [f"rec:{folder}/{name}.jsonl.zst" for name in NAMES]
    report = api.compare(specs[0], specs[1], controls=specs[2:], panel=folder / "panel")
    return json.loads(to_json(report))


RECORDINGS = [small(name, EVERY) for name in (*NAMES.values(), "unrelated")]
#: What the recordings must give again, even if whoever changed it wrote a new digest of the report.
NAMED = {
    "model": ("result", "suspect", "digest"),
    "weights": ("result", "reference", "weights"),
    "tokenizer": ("result", "suspect", "tokenizer"),
    "probe set": ("result", "suspect", "probe_sets", 0, "digest"),
    "recording": ("result", "suspect", "recording"),
    "recording of a control": ("result", "controls", 0, "recording"),
    "recording of the population": ("result", "panel_recordings", 0),
    "calibration": ("result", "calibration", "digest"),
}
COUNTED = {
    "prompts": ("result", "suspect", "prompts"),
    "distributions": ("result", "reference", "distributions"),
    "seed of the sampling": ("result", "suspect", "protocol", "seed"),
    "seed of the statistics": ("result", "seed"),
    "pairs of the calibration": ("result", "calibration", "unrelated_pairs"),
}


def judged(plain, path, change):
    """Whether a report that was changed and given a new digest is still the same, or cannot be computed again at all."""
    report = from_json(json.dumps(changed(plain, path, change)))
    report = report.model_copy(update={"digest": report.content_digest()})
    try:
        return verify_from(report, RECORDINGS, known())
    except UsageError as error:
        return error


def test_the_report_as_it_is_comes_out_again(plain):
    report = from_json(json.dumps(plain))
    assert verify(report, known()).same
    found = verify_from(report, RECORDINGS, known())
    assert found.same, found.difference


@pytest.mark.parametrize("name", NAMED)
def test_no_digest_can_be_exchanged(plain, name):
    found = judged(plain, NAMED[name], lambda _: ZERO)
    if isinstance(found, UsageError):
        assert ZERO in str(found)
    else:
        assert not found.same


@pytest.mark.parametrize("name", COUNTED)
def test_no_count_or_seed_can_be_changed(plain, name):
    assert not judged(plain, COUNTED[name], lambda old: old + 1).same


@pytest.mark.parametrize("path", [("run", "code"), ("run", "tool_version"), ("run", "started"), ("result", "panel", 0)])
def test_the_code_and_the_clock_are_under_the_digest_of_the_report(plain, path):
    assert plain["run"]["code"].startswith("sha256:")
    found = verify(from_json(json.dumps(changed(plain, path, lambda _: "x"))), known())
    assert not found.same
    assert "digest" in found.difference


def test_a_changed_answer_in_a_recording_is_another_recording(plain):
    first, *others = RECORDINGS
    forged = replace(first, samples=(replace(first.samples[0], text="forged"), *first.samples[1:]))
    with pytest.raises(UsageError, match="recording of student"):
        verify_from(from_json(json.dumps(plain)), [forged, *others], known())
