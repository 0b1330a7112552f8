"""Every odd recording through every command that compares: a lower verdict or a sentence, never a crash or an accusation."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hostile import CORPUS
from inside import run
from test_panel import population, recording, student_of

from fingerprint import recording_file
from fingerprint.recording import ProbeSetRef, Recording

PROMPTS = 24
ACCUSING = {"same", "derived", "distilled", "related"}


def texts(made) -> list[str]:
    return [made(place) for place in range(PROMPTS)]


def version(number: str) -> tuple[ProbeSetRef, ...]:
    return (ProbeSetRef(name="style", version=number, digest=f"sha256:{number * 64}"),)


#: What a suspect may be like; each is a student of a model of the panel, spoiled.
ODD = {
    "three prompts": lambda student: recording("odd", [sample.text for sample in student.samples][:3]),
    "refusals": lambda _: recording("odd", texts(lambda place: f"I'm sorry, but I can't help with that. ({place})")),
    "blank": lambda _: recording("odd", texts(lambda _: "  \n ")),
    "constant": lambda _: recording("odd", texts(lambda _: "yes")),
    "one of 10 MB": lambda _: recording("odd", texts(lambda place: "word " * 2_000_000 if place == 5 else f"w{place}")),
    "hostile": lambda _: recording("odd", texts(lambda place: list(CORPUS.values())[place % len(CORPUS)])),
    "half characters": lambda _: recording("odd", texts(lambda place: f"\udc80{place}\x00 \ud83d and so on")),
}


def kinds(done, read) -> set[str]:
    assert done.returncode in {0, 2}, done.said
    assert "Traceback" not in done.stderr
    if done.returncode == 2:
        assert done.stderr.count("\n") == 1
        assert done.stdout == ""
        return set()
    return read(json.loads(done.stdout))


@pytest.fixture(scope="module")
def panel() -> list[Recording]:
    return population(22, PROMPTS)


@pytest.fixture
def folder(panel, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "panel").mkdir()
    for each in panel:
        recording_file.write(each, tmp_path / "panel" / f"{each.model.name}.jsonl.zst")
    return tmp_path


def judged(capsys, monkeypatch, suspect: str, reference: str) -> set[str]:
    """All kinds that the four commands give the suspect with anybody."""
    sides = (f"rec:{suspect}", f"rec:{reference}", "--control", "rec:panel/m0.jsonl.zst", "--control", "rec:panel/m1.jsonl.zst")
    compared = run(capsys, monkeypatch, "compare", *sides, "--json")
    in_turn = run(capsys, monkeypatch, "compare", *sides, "--sequential", "--json")
    identified = run(capsys, monkeypatch, "identify", f"rec:{suspect}", "--panel", "panel", "--json")
    odd = recording_file.read(Path(suspect))
    recording_file.write(odd, Path("panel/zz-odd.jsonl.zst"))
    paired = run(capsys, monkeypatch, "matrix", "panel", "--json")
    name = odd.model.name
    found = kinds(compared, lambda report: {report["result"]["verdict"]["kind"]})
    found |= kinds(in_turn, lambda report: {report["result"]["verdict"]["kind"]})
    found |= kinds(identified, lambda answer: {row["kind"] for row in answer["candidates"] if row["accused"]})
    return found | kinds(paired, lambda table: {row["kind"] for row in table["pairs"] if name in (row["a"], row["b"])})


@pytest.mark.parametrize("kind", ODD)
def test_nobody_is_accused_and_nothing_crashes(folder, panel, capsys, monkeypatch, kind):
    recording_file.write(ODD[kind](student_of(panel[5])), folder / "odd.jsonl.zst")
    found = judged(capsys, monkeypatch, "odd.jsonl.zst", "panel/m5.jsonl.zst")
    assert found
    assert not found & ACCUSING, found


def test_the_same_suspect_unspoiled_is_found(folder, panel, capsys, monkeypatch):
    """Else the test above could not fail."""
    recording_file.write(student_of(panel[5]), folder / "odd.jsonl.zst")
    assert "related" in judged(capsys, monkeypatch, "odd.jsonl.zst", "panel/m5.jsonl.zst")


def test_two_versions_of_a_probe_set_are_said_by_compare(folder, panel, capsys, monkeypatch):
    """Only prompts with the same words are compared, and the report says that the versions differ."""
    for name, each, number in (("odd", student_of(panel[5]), "1"), ("ours", panel[5], "2")):
        recording_file.write(replace(each, probe_sets=version(number)), folder / f"{name}.jsonl.zst")
    for more in ((), ("--sequential",)):
        done = run(capsys, monkeypatch, "compare", "rec:odd.jsonl.zst", "rec:ours.jsonl.zst", *more, "--json")
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)["result"]
        assert any("differs in its version" in limit for limit in result["limits"])
        assert result["verdict"]["kind"] not in ACCUSING
