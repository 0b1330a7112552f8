"""One suspect against a large panel: the index is kept up, ranks as the matrix does, and accuses nobody."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from fingerprint import api, lookup, many, recording_file, sketch_store
from fingerprint.bench import scale
from fingerprint.canonical import sha256
from fingerprint.cli.app import app
from fingerprint.collection.execution import Here
from fingerprint.library import create
from fingerprint.stats import sketches


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crowd")
    scale.synthetic(26, folder, prompts=32)
    return folder


@pytest.fixture
def shelf(crowd, tmp_path, monkeypatch):
    """A library of 24 models that counts as large."""
    monkeypatch.setattr(lookup, "LARGE", 20)
    first, *others = [recording_file.read(path) for path in sorted(crowd.glob("*.zst"))[:24]]
    library = create(tmp_path / "lib", first)
    for recording in (first, *others):
        library.add(recording)
    return library


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_large_panel_is_ranked_and_nobody_is_accused(shelf, crowd):
    found = lookup.identify(f"rec:{crowd / 'model-0015.jsonl.zst'}", shelf.root, api.Options(), Here())
    assert found.candidates[0].name == "model-0014"
    assert found.candidates[0].log10_lr_uncapped > found.candidates[1].log10_lr_uncapped + 1
    assert found.candidates[0].kind == "inconclusive"
    assert [row.rank for row in found.candidates] == list(range(1, 24))
    assert not any(row.accused for row in found.candidates)
    assert found.answer == "undecided"
    assert [(left.name, "exact copy" in left.reason) for left in found.left_out] == [("model-0015", True)]
    assert any("nobody is accused" in limit for limit in found.limits)
    shown = run("identify", f"rec:{crowd / 'model-0010.jsonl.zst'}", "--panel", shelf.root, "--json")
    assert json.loads(shown.stdout)["candidates"][0]["name"] == "model-0009"


def test_up_to_the_limit_the_answer_is_that_of_the_exact_path(shelf, crowd, monkeypatch):
    monkeypatch.setattr(lookup, "LARGE", 300)
    spec = f"rec:{crowd / 'model-0015.jsonl.zst'}"
    assert lookup.identify(spec, shelf.root, api.Options(), Here()) == api.identify(spec, shelf.root)


def test_another_protocol_voids_a_claim(shelf, crowd, tmp_path):
    suspect = recording_file.read(crowd / "model-0015.jsonl.zst")
    hot = replace(suspect, protocol=replace(suspect.protocol, temperature=0.2))
    recording_file.write(hot, tmp_path / "hot.jsonl.zst")
    found = lookup.identify(f"rec:{tmp_path / 'hot.jsonl.zst'}", shelf.root, api.Options(), Here())
    assert found.candidates[0].name == "model-0014"
    assert found.candidates[0].log10_lr == 0
    assert any("another temperature" in limit for limit in found.limits)


def test_a_live_suspect_is_asked_what_the_large_panel_was_asked(tmp_path, own_store, monkeypatch):
    monkeypatch.setattr(lookup, "LARGE", 3)
    options = api.Options(probes="style", store=own_store)
    api.save([api.collect(f"toy:parrot?seed={seed}", options) for seed in range(5)], tmp_path / "panel")
    found = lookup.identify("toy:parrot?seed=9", tmp_path / "panel", api.Options(store=own_store), Here())
    assert [row.shared_prompts for row in found.candidates] == [24] * 5


def test_an_index_is_kept_up_and_is_the_same_as_one_made_at_once(crowd, tmp_path, monkeypatch):
    monkeypatch.setattr(sketch_store, "POPULATION", 8)
    root, index = tmp_path / "lib", tmp_path / "lib" / "index"
    # The population is the eight of the smallest digests: the last two do not change it, the first does.
    changes, *others, one, two = sorted(crowd.glob("*.zst"), key=lambda path: sha256(path.read_bytes()))
    assert run("library", "add", root, *others).exit_code == 0
    assert not index.exists()
    assert "23 models are in the index; 0 files" in run("library", "index", root).stdout
    before = {path.name: path.stat().st_mtime_ns for path in index.glob("*.sketch")}
    for late in (one, two):
        assert run("library", "add", root, late).exit_code == 0
    kept = {path.name: path.stat().st_mtime_ns for path in index.glob("*.sketch")}
    assert before.items() <= kept.items()
    assert len(kept) == 25
    apart = replace(lookup.sketch_names(many.recording_files(root), root), folder=tmp_path / "apart")
    sketch_store.index(apart)
    assert {path.name: path.read_bytes() for path in apart.folder.iterdir()} == {
        path.name: path.read_bytes() for path in index.iterdir()
    }
    assert run("library", "add", root, changes).exit_code == 0
    assert not {path.name for path in index.iterdir()} & set(kept)
    assert len(list(index.glob("*.sketch"))) == 26


def test_likeness_is_what_the_panel_has(crowd, tmp_path):
    names = sketch_store.name_panel(sorted(crowd.glob("*.zst")), tmp_path)
    sketch_store.index(names)
    panel = sketch_store.load(names)
    kept = np.load(next(tmp_path.glob("*.likeness.npz")))
    rows = dict(zip(kept["digests"].tolist(), kept["rows"], strict=True))
    for view in range(len(sketches.VIEWS)):
        exact = panel.similarities(view)
        mine = np.stack([rows[key][view] for key in names.digests])
        assert np.abs(mine - exact).max() < 1e-5


def test_the_index_of_an_earlier_population_is_deleted_on_request(shelf):
    folder = shelf.root / "index"
    run("library", "index", shelf.root)
    (folder / "0123456789abcdef-old.sketch").write_bytes(b"")
    done = run("library", "index", shelf.root)
    assert "1 files of earlier states" in done.stdout
    assert len(list(folder.iterdir())) == 26
