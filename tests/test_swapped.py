"""A model that is swapped during a run: it is noticed, stands in every report, and nothing is claimed from it."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx
import pytest
from inside import run
from servers import fake_server
from test_panel import population, student_of

from fingerprint import api, recording_file, shipped
from fingerprint.calibration.model import known
from fingerprint.calibration.model import shipped as calibration
from fingerprint.evidence.methods import examine
from fingerprint.recording import Drift, Note
from fingerprint.report.build import build_result, make_report
from fingerprint.report.schema import Run, from_json
from fingerprint.report.verify import verify
from fingerprint.verdict import decide

CHANGED = Drift(prompts=12, within=0.0, across=0.5, pvalue=0.0002)
STEADY = Drift(prompts=12, within=0.01, across=0.012, pvalue=0.4)
WORDS = "changed while it was recorded"


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"prompt": f"Question {n}?", "output": f"{n} and {n * 7}", "model": "them"} for n in range(40)]
    (tmp_path / "them.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


ENDINGS = ("json", "html", "md", "txt")
FILES = tuple(part for ending in ENDINGS for part in ("-o", f"r.{ending}"))


@pytest.mark.parametrize("logprobs", [True, False])
def test_it_stands_in_every_report_of_a_comparison(capsys, monkeypatch, world, logprobs):
    """The server answers as another model after half of the requests, and says nothing of it."""
    with fake_server(dialect="openai", logprobs=logprobs) as address:
        httpx.post(address + "/_config", json={"swap_after": 110 if logprobs else 70})
        spec = f"openai:tiny?base_url={address}&concurrency=1"
        done = run(capsys, monkeypatch, "compare", spec, "rec:them.jsonl", "--recordings", "kept", *FILES)
        assert done.returncode == 0, done.stderr
        shown = run(capsys, monkeypatch, "report", "r.json")
    for text in (*((world / f"r.{ending}").read_text() for ending in ENDINGS), shown.stdout):
        assert WORDS in " ".join(text.split())
    result = json.loads((world / "r.json").read_text())["result"]
    assert result["log10_lr"] == 0
    assert result["suspect"]["drift"]["pvalue"] < 0.01
    assert "record both sides again" in result["limits"][-1]
    # What the report says of it can be computed again, from the report and from the recordings.
    assert run(capsys, monkeypatch, "verify", "r.json").returncode == 0
    assert run(capsys, monkeypatch, "verify", "r.json", "--recordings", "kept").returncode == 0


def test_a_report_on_a_server_is_verified_with_its_notes(capsys, monkeypatch, world):
    with fake_server(dialect="openai", logprobs=False) as address:
        spec = f"openai:tiny?base_url={address}"
        assert run(capsys, monkeypatch, "compare", spec, "rec:them.jsonl", "-o", "r.json").returncode == 0
    part = json.loads((world / "r.json").read_text())["result"]["suspect"]
    assert {note["topic"] for note in part["notes"]} == {"scores", "topk"}
    assert run(capsys, monkeypatch, "verify", "r.json").returncode == 0
    # Reports of before had the words among the limits alone.
    report = from_json((world / "r.json").read_text())
    older = report.model_dump(mode="json", exclude_unset=True)
    for name in ("notes", "drift"):
        older["result"]["suspect"].pop(name)
    report = from_json(json.dumps(older))
    report = report.model_copy(update={"digest": report.content_digest()})
    assert verify(report, known()).same
    worse = report.model_copy(update={"result": report.result.model_copy(update={"log10_lr": 1.0})})
    assert not verify(worse, known()).same


def test_a_few_questions_are_too_few_and_the_report_says_so(capsys, monkeypatch, world):
    """Asked in turn, no question is asked twice: nobody looked whether the model stayed the same."""
    with fake_server(dialect="openai") as address:
        spec = f"openai:tiny?base_url={address}"
        done = run(capsys, monkeypatch, "compare", spec, "rec:them.jsonl", "--sequential", "-o", "r.json")
    assert done.returncode == 0, done.stderr
    limits = json.loads((world / "r.json").read_text())["result"]["limits"]
    assert any("stayed the same model while it was recorded was not checked" in limit for limit in limits)
    assert run(capsys, monkeypatch, "verify", "r.json").returncode == 0


def test_a_control_that_was_swapped_is_no_control():
    recordings = {recording.model.name: recording for recording in shipped.recordings()}
    sides = [recordings[name] for name in ("student", "teacher", "twin", "twin-gpt2")]
    for drift, kind in ((STEADY, "distilled"), (CHANGED, "inconclusive")):
        sides[2] = replace(sides[2], drift=drift, notes=(Note(topic="identity", text="two fingerprints"),))
        case = api.make_case(sides, shipped.recordings())
        evidence, skipped = examine(case)
        verdict = decide(case, evidence, calibration())
        assert verdict.kind == kind
        assert any("twin changed while it was recorded" in limit for limit in verdict.limits) is (drift is CHANGED)
        result = build_result(case, evidence, skipped, verdict, calibration())
        assert verify(make_report(result, Run(tool_version="1", started="", seconds=0.0, settings={})), known()).same


@pytest.mark.parametrize("side", ["suspect", "member"])
def test_nothing_is_claimed_of_it_among_many(capsys, monkeypatch, tmp_path, side):
    """Without the change the origin is named, by `identify` and by `matrix`."""
    panel = population(24)
    suspect = student_of(panel[5])
    folder = tmp_path / "panel"
    folder.mkdir()
    for drift in (STEADY, CHANGED):
        here = replace(suspect, drift=drift if side == "suspect" else STEADY)
        members = [
            replace(member, drift=drift) if side == "member" and i == 5 else member for i, member in enumerate(panel)
        ]
        for member in (*members, here):
            recording_file.write(member, folder / f"{member.model.name}.jsonl")
        done = run(capsys, monkeypatch, "identify", str(folder / "suspect.jsonl"), "--panel", str(folder), "--json")
        found = json.loads(done.stdout)
        named = [row["name"] for row in found["candidates"] if row["accused"]]
        pairs = json.loads(run(capsys, monkeypatch, "matrix", str(folder), "--json").stdout)
        tied = [row for row in pairs["pairs"] if {row["a"], row["b"]} == {"m5", "suspect"}]
        if drift is STEADY:
            assert named == ["m5"]
            assert tied[0]["log10_lr"] > 1
            assert pairs["limits"] == []
        else:
            assert named == []
            assert (tied[0]["log10_lr"], tied[0]["kind"]) == (0.0, "inconclusive")
            assert any(WORDS.capitalize() in limit for limit in found["limits"])
            assert any(WORDS.capitalize() in limit for limit in pairs["limits"])
            assert WORDS.capitalize() in run(capsys, monkeypatch, "matrix", str(folder)).stdout
