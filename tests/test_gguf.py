"""GGUF files through transformers: a shipped model written as one must be recognised as itself."""

from __future__ import annotations

import json

from gguf_file import write_gguf

from fingerprint import api, recording_file, shipped

TEACHER = shipped.root() / "models" / "teacher"


def test_the_same_model_as_a_gguf_file_is_the_same(program, tmp_path):
    file = write_gguf(TEACHER, tmp_path / "teacher.gguf", quantised=True)
    done = program("compare", f"gguf:{file}", "zoo:teacher", "--probes", "prefixes", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    result = json.loads(done.stdout)["result"]
    found = {item["method"]: item for item in result["evidence"]}
    assert found["divergence"]["effect"] < 1e-3
    assert found["weight_descent"]["effect"] > 0.99
    assert result["verdict"]["kind"] == "same"


def test_another_model_as_a_gguf_file_is_another(tmp_path, own_store):
    file = write_gguf(shipped.root() / "models" / "twin", tmp_path / "twin.gguf")
    report = api.compare(f"gguf:{file}", "zoo:teacher", options=api.Options(probes="prefixes", store=own_store))
    assert report.result.verdict.kind in {"unrelated", "inconclusive"}


def test_a_gguf_file_that_was_cut_off(program, tmp_path):
    file = write_gguf(TEACHER, tmp_path / "teacher.gguf")
    file.write_bytes(file.read_bytes()[:400_000])
    done = program("compare", f"gguf:{file}", "zoo:teacher")
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1
    assert "teacher" in done.stderr


def test_the_recordings_of_a_comparison_give_its_result_again(program, tmp_path):
    file = write_gguf(TEACHER, tmp_path / "teacher.gguf", quantised=True)
    live = program("compare", f"gguf:{file}", "zoo:teacher", "--probes", "style", "--recordings", "kept", "--json")
    assert live.returncode == 0, live.stderr
    suspect, reference = sorted((tmp_path / "kept").iterdir(), key=lambda path: not recording_file.read(path).findings)
    kept = program("compare", f"rec:{suspect}", f"rec:{reference}", "--json")
    assert kept.returncode == 0, kept.stderr
    first, second = (json.dumps(json.loads(done.stdout)["result"]) for done in (live, kept))
    assert "tensor_places" in first
    assert first == second
