"""`matrix` and `identify`: ranking, honest claims, and every odd panel that a user may bring."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fingerprint import api
from fingerprint import matrix as all_pairs
from fingerprint.calibration.panel import mixture, shipped
from fingerprint.canonical import digest
from fingerprint.identify import as_json, identify
from fingerprint.recording import ModelInfo, ProbeSetRef, Prompt, Recording, Sample
from fingerprint.stats.multiplicity import benjamini_hochberg, holm

WORDS = [f"w{i}" for i in range(500)]


def answers_of(models: int, prompts: int, seed: int) -> list[list[str]]:
    """Independent models: each prompt has its own topic, each model its own way of choosing from it."""
    rng = np.random.default_rng(seed)
    topics = [rng.choice(500, 80, replace=False) for _ in range(prompts)]
    return [[" ".join(WORDS[w] for w in rng.choice(topic, 30)) for topic in topics] for _ in range(models)]


def recording(name: str, texts: list[str], *, refs: tuple[ProbeSetRef, ...] = (), start: int = 0) -> Recording:
    prompts = tuple(Prompt(id=f"p{start + i}", text=f"Question {start + i}?") for i in range(len(texts)))
    samples = tuple(Sample(prompt=prompts[i].id, draw=0, text=text) for i, text in enumerate(texts))
    info = ModelInfo(name=name, kind="rows", digest=digest([name, texts]))
    return Recording(model=info, prompts=prompts, samples=samples, probe_sets=refs)


def population(count: int = 24, prompts: int = 30, seed: int = 0) -> list[Recording]:
    return [recording(f"m{place}", row) for place, row in enumerate(answers_of(count, prompts, seed))]


def student_of(teacher: Recording, seed: int = 9) -> Recording:
    fresh = answers_of(40, len(teacher.samples), seed)[39]
    texts = [
        " ".join(theirs.text.split()[:15] + own.split()[15:]) for theirs, own in zip(teacher.samples, fresh, strict=True)
    ]
    return recording("suspect", texts)


def test_the_origin_is_named_and_nobody_else():
    panel = population()
    found = identify(student_of(panel[5]), panel, shipped())
    assert [row.name for row in found.candidates if row.accused] == ["m5"]
    assert found.answer == "no"
    assert found.candidates[0].kind == "related"
    assert found.log10_lr_none < 0
    assert "m5" in found.sentence


@pytest.mark.parametrize("seed", range(4))
def test_a_stranger_is_nobodys(seed):
    panel = population(seed=seed)
    stranger = recording("stranger", answers_of(41, 30, seed)[40])
    found = identify(stranger, panel, shipped())
    assert not any(row.accused for row in found.candidates)
    assert found.answer in {"yes", "undecided"}


def test_the_suspect_itself_and_repetitions_are_left_out():
    panel = population()
    again = recording("m3 again", [sample.text for sample in panel[3].samples])
    found = identify(panel[0], [*panel, again], shipped())
    assert {left.name for left in found.left_out} == {"m0", "m3 again"}
    assert len(found.candidates) == len(panel) - 1
    assert not any(row.accused for row in found.candidates)


def test_a_panel_of_one_ranks_and_claims_nothing():
    panel = population(2)
    found = identify(panel[0], panel[1:], shipped())
    assert found.answer == "undecided"
    assert found.candidates[0].log10_lr == 0
    assert any("too small" in limit for limit in found.limits)
    alone = identify(panel[0], [panel[0]], shipped())
    assert alone.candidates == ()
    assert alone.answer == "undecided"
    json.dumps(as_json(alone), allow_nan=False)


@pytest.mark.parametrize("text", ["", "I'm sorry, but I can't help with that.", "I will not answer that."])
def test_refusals_blanks_and_constants_accuse_nobody(text):
    panel = population()
    mute = recording("mute", [text] * 30)
    other = recording("other", [text] * 29 + ["something of its own"])
    found = identify(mute, [*panel, other], shipped())
    assert not any(row.accused for row in found.candidates)
    assert all(row.log10_lr <= 0 for row in found.candidates)


def test_different_probe_versions_are_said_and_only_common_prompts_count():
    first, second = (ProbeSetRef(name="style", version=v, digest=f"sha256:{v * 64}") for v in ("1", "2"))
    rows = answers_of(24, 30, 0)
    panel = [recording(f"m{i}", row, refs=(first,)) for i, row in enumerate(rows[:23])]
    late = recording("suspect", rows[23], refs=(second,), start=27)
    found = identify(late, panel, shipped())
    assert any("different versions" in limit for limit in found.limits)
    assert all(row.shared_prompts == 3 and row.kind == "inconclusive" for row in found.candidates)
    assert found.answer == "undecided"


def test_no_claims_in_small_panels_and_small_ones_in_middling_panels():
    panel = population(21)
    copy = student_of(panel[2])
    _, rows = all_pairs.compare_all([*panel, copy], shipped())
    top = max(rows, key=lambda row: row.log10_lr_uncapped)
    assert {top.a, top.b} == {"m2", "suspect"}
    assert top.log10_lr == pytest.approx(np.log10(22), abs=1e-3)
    _, few = all_pairs.compare_all([*panel[:10], copy], shipped())
    assert all(row.log10_lr == 0 and row.kind == "inconclusive" for row in few)


def test_duplicates_do_not_make_a_population():
    panel = population(8)
    _, rows = all_pairs.compare_all([*panel, *panel, *panel], shipped())
    assert all(row.log10_lr == 0 for row in rows)
    assert len({row.a for row in rows} | {row.b for row in rows}) == 24


def test_hostile_strings_in_a_panel():
    nasty = ["\x1b[31mred", "<script>x</script>", "a\x00b", "\ud800", "x" * 200_000, "[bold]", "\u202eabc"]
    panel = population(20)
    rows = [recording(text[:20], [text + str(i) for i in range(30)]) for text in nasty]
    names, pairs = all_pairs.compare_all([*panel, *rows], shipped())
    assert all(np.isfinite([row.score, row.log10_lr_uncapped]).all() for row in pairs)
    accused = [row for row in pairs if row.kind == "related"]
    assert not [row for row in accused if {row.a, row.b} & {f"m{i}" for i in range(20)}]
    assert len(names) == 27


def test_the_command_from_minimal_rows(program, tmp_path):
    folder = tmp_path / "panel"
    folder.mkdir()
    panel = population(21)
    suspect = student_of(panel[4])
    for member in (*panel, suspect):
        rows = "".join(
            json.dumps({"prompt": f"Question {i}?", "output": sample.text}) + "\n"
            for i, sample in enumerate(member.samples)
        )
        (folder / f"{member.model.name}.jsonl").write_text(rows)
    done = program("identify", "rec:panel/suspect.jsonl", "--panel", "panel", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["schema_version"] == "1.0"
    assert found["candidates"][0]["name"] == "m4"
    assert found["none_of_these"]["answer"] in {"yes", "no", "undecided"}
    assert [row["name"] for row in found["left_out"]] == ["suspect"]
    shown = program("identify", "rec:panel/suspect.jsonl", "--panel", "panel")
    assert shown.returncode == 0
    assert "none of these" in shown.stdout
    assert program("identify", "rec:panel/suspect.jsonl", "--panel", "nowhere").returncode == 2


def test_a_live_suspect_is_asked_what_the_panel_was_asked(own_store, tmp_path):
    options = api.Options(probes="style", store=own_store)
    api.save([api.collect(f"toy:parrot?seed={seed}", options) for seed in range(3)], tmp_path / "panel")
    found = api.identify("toy:parrot?seed=9", tmp_path / "panel", api.Options(store=own_store))
    assert [row.shared_prompts for row in found.candidates] == [24, 24, 24]


def test_holm_and_benjamini_hochberg_control_what_they_say():
    assert holm(np.array([0.01, 0.04, 0.03])).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert benjamini_hochberg(np.array([0.01, 0.04, 0.03])).tolist() == pytest.approx([0.03, 0.04, 0.04])
    rng = np.random.default_rng(0)
    null = rng.random((4000, 20))
    assert np.mean([holm(row).min() <= 0.05 for row in null]) <= 0.06
    assert np.mean([benjamini_hochberg(row).min() <= 0.05 for row in null]) <= 0.06


def test_the_panel_calibration_is_a_mixture_with_a_tail():
    calibration = shipped()
    grid = np.linspace(-3, 8, 40)
    logs = [calibration.log10_lr(z, 0.0) for z in grid]
    assert np.all(np.diff(logs) > 0)
    assert calibration.log10_lr(0.0, 60.0) > 10
    assert mixture(np.array(0.0), np.array(0.0)) == pytest.approx(0.0)
    shares = [calibration.pvalue(value) for value in (-9.0, -1.0, 0.0, 1.0, 2.0, 9.0)]
    assert shares[0] == 1
    assert np.all(np.diff(shares) <= 0)
    assert shares[-1] > 0
