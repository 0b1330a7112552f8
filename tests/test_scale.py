"""Many models: sketches agree with the exact path, engines agree with each other to the byte, nothing is lost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from fingerprint import lookup, many, recording_file, sketch_store
from fingerprint.bench import blocking, scale
from fingerprint.cli.app import app
from fingerprint.collection.execution import Here, Processes, engine
from fingerprint.errors import UsageError
from fingerprint.stats.panelsketch import PanelSketch, cohort_of
from fingerprint.stats.sketches import SIZE, VIEWS, population, sketch
from fingerprint.stats.textgrams import _TOKEN, usable
from fingerprint.stats.textsim import pair_scores
from fingerprint.stats.wordhash import words

EDGES = "ab'_ \n\t.,Éß1İ’-\u2028\r日𐐀\U0002f800"


def pieces(text):
    return ["\n" if piece[0] == "\n" else piece for piece in _TOKEN.findall(text.lower())]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.text(EDGES, max_size=14), st.text(max_size=14)), max_size=5))
def test_words_are_those_of_the_exact_path(texts):
    hashes, counts = words(texts)
    wanted = [piece for text in texts for piece in pieces(text)]
    assert counts.tolist() == [len(pieces(text)) for text in texts]
    seen = {}
    for piece, value in zip(wanted, hashes.tolist(), strict=True):
        assert seen.setdefault(piece, value) == value
    assert len(set(seen.values())) == len(seen)


def test_words_do_not_depend_on_what_stands_beside_them():
    long = "word " * 60_000
    alone, _ = words(["it's here"])
    beside, counts = words([long, "it's here", ""])
    assert counts.tolist() == [60_000, 2, 0]
    assert beside[60_000:].tolist() == alone.tolist()
    assert words([])[0].size == 0


def crowd(models, prompts, seed):
    rng = np.random.default_rng(seed)
    vocabulary = np.array([f"w{k}" for k in range(3_000)])
    topics = [rng.choice(3_000, 120) for _ in range(prompts)]
    habits = [rng.choice(3_000, 60) for _ in range(models)]
    habits[1] = np.where(rng.random(60) < 0.7, habits[0], habits[1])
    table = []
    for habit in habits:
        row = []
        for topic in topics:
            chosen = np.where(rng.random(60) < 0.6, rng.choice(topic, 60), rng.choice(habit, 60))
            row.append("\n".join(" ".join(vocabulary[chosen[k : k + 12]]) for k in range(0, 60, 12)))
        table.append(row)
    return table


def test_inner_products_are_those_of_the_exact_path_within_the_error_of_the_sketch():
    table = crowd(16, 40, 0)
    table[3][5] = table[4][7] = None
    exact = pair_scores(table)
    panel = PanelSketch.of(usable(table))
    off = np.triu_indices(16, 1)
    assert np.array_equal(panel.common().astype(int), exact.shared_prompts)
    for view, name in enumerate(VIEWS):
        error = (panel.similarities(view) - exact.components[name])[off]
        assert np.abs(error).max() < 5 / np.sqrt(SIZE)
        assert abs(error.mean()) < 1 / np.sqrt(SIZE)
    scores = panel.scores()
    assert np.unravel_index(np.argmax(scores), scores.shape) in {(0, 1), (1, 0)}
    assert np.allclose(scores, scores.T)


def test_deviations_are_the_noise_of_the_scores():
    """Replicates over prompts spread as much as scores of fresh prompts do."""
    panel = PanelSketch.of(crowd(14, 64, 0))
    moved = panel.deviations(200, np.random.default_rng(0))
    again = np.array([PanelSketch.of(crowd(14, 64, seed)).scores()[np.triu_indices(14, 1)] for seed in range(12)])
    unrelated = slice(1, None)
    assert abs(moved.mean()) < 0.1
    assert 0.5 < moved[:, unrelated].std(axis=0).mean() / again[:, unrelated].std(axis=0).mean() < 2


def test_a_larger_panel_is_scored_against_a_population():
    assert cohort_of(40).tolist() == list(range(40))
    assert len(set(cohort_of(1_000).tolist())) == 128
    table = crowd(24, 30, 1)
    known = population(table[:12])
    assert sketch(table[20], known).values.shape == (len(VIEWS), 32, SIZE // 32)


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("panel")
    scale.synthetic(24, folder, prompts=48)
    return folder


def files(folder):
    return sorted(folder.glob("*.jsonl.zst"))


def test_sketches_do_not_depend_on_the_engine_or_on_an_interruption(panel, tmp_path):
    names = [sketch_store.name_panel(files(panel)[::step], tmp_path / name) for name, step in (("a", 1), ("b", -1))]
    sketch_store.make(names[0], Here())
    sketch_store.make(names[1], Processes(workers=2))
    kept = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert kept == {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}
    lost = names[0].sketch(3)
    lost.unlink()
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "a").iterdir()}
    sketch_store.make(names[0])
    assert lost.read_bytes() == kept[lost.name]
    assert all(path.stat().st_mtime_ns == before.get(path.name, path.stat().st_mtime_ns) for path in (tmp_path / "a").iterdir())


def test_ranking_one_suspect_gives_its_row_of_the_matrix(panel, tmp_path):
    names = sketch_store.name_panel(files(panel), tmp_path)
    sketch_store.make(names)
    whole = sketch_store.load(names).scores()
    place = [path.name for path in names.files].index("model-0010.jsonl.zst")
    row = sketch_store.rank(recording_file.read(names.files[place]), names).scores
    others = np.arange(24) != place
    assert np.corrcoef(row[others], whole[place][others])[0, 1] > 0.99
    order = np.argsort(-row)
    assert names.files[order[0]].name == "model-0010.jsonl.zst"
    assert names.files[order[1]].name == "model-0009.jsonl.zst"


def test_the_matrix_of_many_names_the_planted_pairs(panel, monkeypatch):
    monkeypatch.setattr(many, "LARGE", 20)
    models, rows = many.matrix(panel, Here())
    assert len(models) == 24
    strongest = {frozenset((row.a, row.b)) for row in sorted(rows, key=lambda row: -row.score)[:4]}
    assert strongest == {frozenset((f"model-{c:04d}", f"model-{c - 1:04d}")) for c in (5, 10, 15, 20)}
    suspect = recording_file.read(panel / "model-0015.jsonl.zst")
    near = lookup.nearest(suspect, panel, Here(), top=3)
    assert [each.name for each in near[:2]] == ["model-0015", "model-0014"]
    assert near[1].score > near[2].score
    tree = CliRunner().invoke(app, ["tree", str(panel), "--replicates", "20", "--json"])
    value = json.loads(tree.stdout)
    assert sorted(value["models"]) == sorted(models)
    assert any("Beyond 20 models" in note for note in value["notes"])
    paired = [{leaf.get("model") for leaf in node["children"]} for node in value["root"]["children"] if "children" in node]
    assert {"model-0014", "model-0015"} in paired
    assert all(names in [{f"model-{c - 1:04d}", f"model-{c:04d}"} for c in (5, 10, 15, 20)] for names in paired)
    done = CliRunner().invoke(app, ["library", "nearest", str(panel), str(panel / "model-0010.jsonl.zst"), "--json"])
    assert [row["name"] for row in json.loads(done.stdout)["nearest"][:2]] == ["model-0010", "model-0009"]


def test_too_few_prompts_are_refused(tmp_path):
    scale.synthetic(3, tmp_path, prompts=3)
    with pytest.raises(UsageError, match="answered 3 prompts"):
        sketch_store.make(sketch_store.name_panel(files(tmp_path), tmp_path / "sketches"))


def test_engines_by_name():
    assert list(engine("here").map(abs, [-1, 2])) == [1, 2]
    assert list(engine("processes", workers=2).map(abs, [-1, 2, -3])) == [1, 2, 3]
    with pytest.raises(UsageError, match="no engine"):
        engine("slurm")


def test_many_models_are_recorded_and_a_bad_one_stops_nobody(tmp_path):
    out = tmp_path / "out"
    specs = ["toy:parrot?seed=1", "./nothing-here", "toy:parrot?seed=2"]
    done = CliRunner().invoke(app, ["collect", *specs, "-o", str(out), "--probes", "style", "-q"])
    assert "1 of 3 models were not recorded" in str(done.exception)
    assert "nothing-here" in done.stderr
    written = [recording_file.read(path) for path in files(out)]
    assert len(written) == 2
    one = tmp_path / "one.jsonl.zst"
    again = CliRunner().invoke(app, ["collect", specs[0], "-o", str(one), "--probes", "style", "-q"])
    assert again.exit_code == 0
    assert recording_file.read(one).digest in {recording.digest for recording in written}


def test_growth_is_measured_in_processes_of_their_own(tmp_path):
    found = scale.exponents({"x": {str(n): {"seconds": n**2 / 1e4, "gib": n / 100} for n in (10, 100, 300, 1000)}})
    assert found["x"] == {"seconds": pytest.approx(2), "gib": pytest.approx(1)}
    scale.synthetic(6, tmp_path, prompts=24)
    row = scale.measure("matrix, sketched", 6, tmp_path, 1)
    assert row["planted"] == row["parent first"] == 1
    assert json.dumps(row)
    assert Path(tmp_path / "sketches").is_dir()


def test_what_a_shortlist_misses_is_what_is_missed_in_a_simulation():
    """Strangers and kin of known distribution: the predicted share against shortlists that are really drawn."""
    rng = np.random.default_rng(0)
    strangers, kin = rng.exponential(1, 6_000), rng.normal(8, 1.5, 200)
    rate = blocking.stranger_rate(kin, strangers)
    assert np.all((rate > 0) & (rate <= 1))
    predicted = blocking.poisson.sf(9, 5_000 * rate).mean()
    drawn = np.mean([(rng.exponential(1, 5_000) >= value).sum() >= 10 for value in kin])
    assert predicted == pytest.approx(drawn, abs=0.1)


def test_a_folded_sketch_is_a_smaller_sketch_of_the_same():
    panel = PanelSketch.of(crowd(14, 40, 0))
    small = blocking.fold(panel, SIZE // 8)
    assert small.values.shape[-1] * 8 == panel.values.shape[-1]
    error = (small.similarities(0) - panel.similarities(0))[np.triu_indices(14, 1)]
    assert 0 < np.abs(error).max() < 5 / np.sqrt(SIZE // 8)
