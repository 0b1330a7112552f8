"""The main job from end to end, on toys and on the shipped models."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from fingerprint import api, recording_file, shipped
from fingerprint.collection.plan import Settings
from fingerprint.evidence.methods import examine
from fingerprint.report.schema import checked_in_schema, from_json, json_schema

TOYS = ["--control", "toy:parrot?seed=3", "--control", "toy:parrot?seed=4", "--control", "toy:parrot?seed=5"]


def test_compare_gives_json_that_fits_its_schema(program):
    done = program("compare", "toy:parrot?seed=1", "toy:parrot?seed=2", *TOYS, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["schema_version"] == "1.0"
    assert set(report["result"]) >= {
        "suspect",
        "reference",
        "controls",
        "verdict",
        "log10_lr",
        "evidence",
        "skipped",
        "limits",
    }
    assert from_json(done.stdout).result.controls[0].name == "parrot-3"


def test_the_checked_in_schema_is_the_schema():
    assert json.loads(checked_in_schema().read_text()) == json_schema()


def test_the_same_comparison_from_recordings_gives_the_same_bytes(program):
    args = ["toy:parrot?seed=1&parent=2", "toy:parrot?seed=2"]
    for number, spec in enumerate(args):
        assert program("collect", spec, "-o", f"{number}.jsonl.zst").returncode == 0
    live = program("compare", *args, "--json")
    kept = program("compare", "rec:0.jsonl.zst", "rec:1.jsonl.zst", "--json")
    assert live.returncode == kept.returncode == 0, live.stderr + kept.stderr
    assert json.loads(live.stdout)["result"] == json.loads(kept.stdout)["result"]


def test_files_of_every_format_are_written(program, tmp_path):
    done = program(
        "compare", "toy:parrot?seed=1", "toy:parrot?seed=2", "-o", "r.json", "-o", "r.html", "-o", "r.md", "-o", "r.txt"
    )
    assert done.returncode == 0, done.stderr
    assert "<!doctype html>" in (tmp_path / "r.html").read_text()[:200].lower()
    assert max(len(line) for line in (tmp_path / "r.txt").read_text().splitlines()) <= 80
    again = program("report", "r.json", "-o", "again.html")
    assert again.returncode == 0
    assert (tmp_path / "again.html").read_text() == (tmp_path / "r.html").read_text()


@pytest.mark.parametrize("command", [["--help"], ["compare", "--help"]])
def test_quick_commands_import_no_torch(command):
    code = (
        f"import sys; sys.argv = ['fingerprint', *{command!r}]\nfrom fingerprint.cli.app import app\ntry:\n    app()\n"
        "except SystemExit:\n    pass\nassert not {'torch', 'transformers', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_comparing_recordings_imports_no_torch():
    code = (
        "import sys\nfrom fingerprint import api, shipped\nfrom fingerprint.evidence.methods import examine\n"
        "first, second, *_ = shipped.recordings()\nexamine(api.make_case([first, second], shipped.recordings()))\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_shipped_model_answers_as_its_recording_says(own_store):
    options = api.Options(probes="prefixes", settings=Settings(), store=own_store)
    live = api.collect("zoo:teacher", options)
    kept = {r.model.name: r for r in shipped.recordings()}["teacher"]
    assert live.model == kept.model
    known = {(row.prompt, row.at): row for row in kept.distributions if row.draw == 0}
    for row in live.distributions:
        if row.draw == 0:
            other = known[row.prompt, row.at]
            assert row.tokens[0] == other.tokens[0]
            assert row.logprobs[0] == pytest.approx(other.logprobs[0], abs=2e-3)


def shipped_case(suspect: str, reference: str) -> api.Case:
    known = {recording.model.name: recording for recording in shipped.recordings()}
    return api.make_case([known[suspect], known[reference]], shipped.recordings())


def test_a_student_is_closest_to_its_teacher_and_not_to_the_twin():
    found = {item.method: item for item in examine(shipped_case("student", "teacher"))[0]}
    partial = found["partial_correlation"]
    assert partial.effect > max(partial.controls.values())
    twin = {item.method: item for item in examine(shipped_case("student", "twin"))[0]}["partial_correlation"]
    assert twin.effect < max(twin.controls.values())


def test_descendants_of_the_reference_are_no_controls():
    names = {recording.model.name for recording in shipped_case("student", "teacher").panel}
    assert names == {"twin", "twin-gpt2", "unrelated", "unrelated-gpt2"}


def verdict(suspect: str, reference: str, *controls: str):
    from fingerprint.calibration.model import shipped as calibration
    from fingerprint.verdict import decide

    known = {recording.model.name: recording for recording in shipped.recordings()}
    recordings = [known[name] for name in (suspect, reference, *controls)]
    case = api.make_case(recordings, shipped.recordings())
    return decide(case, examine(case)[0], calibration())


def test_a_student_is_recognised_against_controls():
    found = verdict("student", "teacher", "twin", "twin-gpt2")
    assert found.kind == "distilled"
    assert found.log_lr.value <= found.log_lr.bounds[1] < found.log_lr.uncapped


def test_a_fine_tune_is_derived_and_the_weights_say_so():
    assert verdict("finetune", "teacher").kind == "derived"


NEVER_MET = [
    (suspect, reference)
    for suspect in ("teacher", "student", "student-text", "finetune")
    for reference in ("twin", "twin-gpt2", "unrelated", "unrelated-gpt2")
]


@pytest.mark.parametrize(("suspect", "reference"), [*NEVER_MET, *((b, a) for a, b in NEVER_MET)])
def test_nobody_is_accused_of_a_model_that_it_never_met(suspect, reference):
    assert verdict(suspect, reference).kind in {"unrelated", "inconclusive"}


def test_a_twin_is_not_accused_with_controls_that_are_strangers():
    # Against strangers alone, having read the same data looks like having learned from the teacher.
    assert verdict("twin", "teacher", "unrelated-gpt2", "twin-gpt2").kind in {"unrelated", "inconclusive"}
    assert verdict("twin", "teacher").log_lr.value <= 0


def test_a_model_is_the_same_as_itself():
    known = {recording.model.name: recording for recording in shipped.recordings()}
    case = api.make_case([known["teacher"], known["teacher"]], shipped.recordings())
    from fingerprint.calibration.model import shipped as calibration
    from fingerprint.verdict import decide

    assert decide(case, examine(case)[0], calibration()).kind == "same"


def test_matrix_keeps_its_contract(program, tmp_path):
    folder = tmp_path / "answers"
    folder.mkdir()
    for seed in range(4):
        assert program("collect", f"toy:parrot?seed={seed}", "-o", str(folder / f"{seed}.jsonl.zst")).returncode == 0
    done = program("matrix", str(folder), "--json", "-o", str(tmp_path / "m.csv"))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found["models"]) == 4
    assert len(found["pairs"]) == 6
    assert set(found["pairs"][0]) >= {"a", "b", "log10_lr", "log10_lr_uncapped", "kind"}
    assert len((tmp_path / "m.csv").read_text().splitlines()) == 7


def test_foreign_rows_decide_what_a_live_model_is_asked(tmp_path, own_store):
    rows = "".join(json.dumps({"prompt": f"Question {i}?", "output": f"answer {i}"}) + "\n" for i in range(30))
    (tmp_path / "rows.jsonl").write_text(rows)
    report = api.compare(
        str(tmp_path / "rows.jsonl"), "toy:parrot?seed=1", options=api.Options(store=own_store), save_to=tmp_path / "kept"
    )
    assert report.result.reference.prompts == 30
    saved = [recording_file.read(path) for path in sorted((tmp_path / "kept").iterdir())]
    assert any(recording.scores for recording in saved)
    assert report.result.verdict.kind in {"inconclusive", "unrelated"}
