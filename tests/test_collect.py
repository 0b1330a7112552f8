"""Collection: nothing lost, nothing mixed up, the same bytes after an interruption."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from fingerprint import recording_file, shipped
from fingerprint.collection.collect import Budget, Collector
from fingerprint.collection.plan import Settings, borders, make_plan
from fingerprint.collection.store import Store, request_key
from fingerprint.errors import BudgetSpent, StorageError
from fingerprint.models.registry import open_model
from fingerprint.models.spec import parse_spec
from fingerprint.probes import load

#: Of a model whose table of positions was cut off.
POSITIONS = 20


def toy_recording(store: Path, spec: str = "toy:parrot?seed=1", budget: int | None = None):
    backend = open_model(parse_spec(spec))
    collector = Collector(backend=backend, store=Store(store, backend.info.digest), budget=Budget(requests=budget))
    return collector.recording(make_plan(load("border-choices,prefixes"), Settings()))


def test_a_recording_survives_its_file(tmp_path):
    recording = toy_recording(tmp_path)
    for name in ("a.jsonl", "a.jsonl.zst"):
        recording_file.write(recording, tmp_path / name)
        assert recording_file.read(tmp_path / name) == recording
        assert recording_file.read(tmp_path / name).digest == recording.digest


def test_a_budget_ends_the_run_and_the_next_run_goes_on(tmp_path):
    whole = toy_recording(tmp_path / "one")
    with pytest.raises(BudgetSpent):
        toy_recording(tmp_path / "two", budget=100)
    stored = (next((tmp_path / "two" / "answers").iterdir())).read_bytes()
    assert stored.count(b"\n") > 50
    assert toy_recording(tmp_path / "two").digest == whole.digest


def test_a_torn_line_is_dropped_and_asked_again(tmp_path):
    whole = toy_recording(tmp_path)
    path = next((tmp_path / "answers").iterdir())
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert toy_recording(tmp_path).digest == whole.digest


def test_killed_in_the_middle_gives_the_same_bytes(tmp_path):
    def start(store: str, out: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "fingerprint.cli.app",
                "collect",
                "zoo:teacher",
                "-o",
                str(tmp_path / out),
                "--probes",
                "prefixes",
                "--store",
                str(tmp_path / store),
            ],
            stderr=subprocess.DEVNULL,
        )

    assert start("whole", "whole.jsonl").wait(120) == 0
    total = next((tmp_path / "whole" / "answers").iterdir()).stat().st_size
    for share in (0.2, 0.7):
        process = start("killed", "killed.jsonl")
        deadline = time.monotonic() + 100
        while process.poll() is None and time.monotonic() < deadline:
            files = list((tmp_path / "killed" / "answers").glob("*"))
            if files and files[0].stat().st_size > share * total:
                os.kill(process.pid, signal.SIGKILL)
                break
            time.sleep(0.01)
        process.wait(60)
    assert start("killed", "killed.jsonl").wait(120) == 0
    assert (tmp_path / "killed.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_one_model_never_receives_the_answers_of_another(tmp_path):
    first, second = toy_recording(tmp_path, "toy:parrot?seed=1"), toy_recording(tmp_path, "toy:parrot?seed=2")
    assert first.samples != second.samples
    assert request_key("a", {"x": 1}, 0) != request_key("b", {"x": 1}, 0)
    assert request_key("a", {"x": 1}, 0) != request_key("a", {"x": 1}, 1)


def test_a_full_disk_is_one_sentence_and_keeps_what_was_collected(tmp_path):
    store = Store(tmp_path, "m")
    store.put([("k1", [{"x": 1}])])
    path = next((tmp_path / "answers").iterdir())
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, before[1]))
    try:
        with pytest.raises(StorageError, match="could not be written"):
            store.put([("k2", [{"x": "y" * 5000}])])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    again = Store(tmp_path, "m")
    assert again.get("k1") == [{"x": 1}]
    assert again.get("k2") is None


def test_places_to_look_at_are_word_ends_in_order():
    text = "one two three four five six seven eight nine ten"
    places = borders(text, 4)
    assert places == tuple(sorted(places))
    assert places[-1] == len(text)
    assert all(text[place] == " " for place in places[:-1])
    assert borders("word", 8) == (4,)


def test_a_model_with_few_positions_misses_what_it_cannot_read_and_answers_the_rest(tmp_path):
    """Position tables end; asking beyond them must neither crash nor change the other answers."""
    whole, short = shipped.root() / "models" / "twin-gpt2", tmp_path / "short"
    shutil.copytree(whole, short)
    tensors = load_file(short / "model.safetensors")
    name = next(name for name in tensors if name.endswith("wpe.weight"))
    save_file(tensors | {name: tensors[name][:POSITIONS].clone()}, short / "model.safetensors", {"format": "pt"})
    config = json.loads((short / "config.json").read_text("utf-8"))
    (short / "config.json").write_text(json.dumps(config | {"n_positions": POSITIONS}), "utf-8")
    plan = make_plan(load("border-choices,prefixes"), Settings())

    def recorded(folder):
        backend = open_model(parse_spec(str(folder)))
        store = Store(tmp_path / "store", backend.info.digest)
        return backend, Collector(backend=backend, store=store, budget=Budget()).recording(plan)

    (_, full), (backend, cut) = recorded(whole), recorded(short)
    fitting = {prompt.id for prompt in cut.prompts if backend.length(prompt) <= POSITIONS}
    assert 0 < len(fitting) < len(cut.prompts)
    there = {(row.prompt, row.at, row.draw): row for row in cut.distributions}
    assert {key[0] for key in there} == fitting & {row.prompt for row in full.distributions}
    for row in full.distributions:
        if row.prompt in fitting:
            assert row.tokens[0] == there[row.prompt, row.at, row.draw].tokens[0]
    assert {row.prompt for row in cut.samples} < {row.prompt for row in full.samples}
    (note,) = cut.notes
    assert "longer than the model can read" in note.text
    assert full.notes == ()
    stored = sorted((tmp_path / "store" / "answers").iterdir())
    before = [path.read_bytes() for path in stored]
    assert recorded(short)[1].digest == cut.digest
    assert [path.read_bytes() for path in stored] == before
