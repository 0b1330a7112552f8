"""What must not look like lineage: other protocols, refusals, common answers, memorised texts; and guardrails apart."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from fingerprint import api, shipped
from fingerprint.calibration.model import shipped as calibration
from fingerprint.evidence.case import Case
from fingerprint.evidence.guardrails import is_refusal, is_safe_completion
from fingerprint.evidence.methods import examine
from fingerprint.evidence.protocol import mismatches, voided
from fingerprint.evidence.text import text_evidence
from fingerprint.recording import ModelInfo, Prompt, Protocol, Recording, Sample
from fingerprint.report.guardrails import guardrail_part
from fingerprint.stats.intervals import newcombe
from fingerprint.stats.textsim import pair_scores
from fingerprint.verdict import decide

WORDS = [f"w{i}" for i in range(400)]


def case_of(suspect: Recording, reference: Recording, *controls: str) -> Case:
    known = {recording.model.name: recording for recording in shipped.recordings()}
    return api.make_case([suspect, reference, *(known[name] for name in controls)], shipped.recordings())


def shipped_sides() -> tuple[Recording, Recording]:
    known = {recording.model.name: recording for recording in shipped.recordings()}
    return known["student"], known["teacher"]


def behaviour_only(recording: Recording) -> Recording:
    return replace(recording, sketch=())


@pytest.mark.parametrize(
    ("protocol", "words", "void"),
    [
        (Protocol(system="Answer like a pirate."), "system prompt", True),
        (Protocol(temperature=0.2), "temperature", False),
        (Protocol(runtime="another"), "runtime", False),
    ],
)
def test_another_protocol_lowers_the_verdict_with_the_reason(protocol, words, void):
    student, teacher = map(behaviour_only, shipped_sides())
    case = case_of(replace(student, protocol=protocol), teacher, "twin", "twin-gpt2")
    found = decide(case, examine(case)[0], calibration())
    assert any(words in limit for limit in found.limits)
    if void:
        assert found.log_lr.value == 0
        assert found.kind == "inconclusive"


def test_without_a_mismatch_the_student_is_found():
    student, teacher = map(behaviour_only, shipped_sides())
    case = case_of(student, teacher, "twin", "twin-gpt2")
    assert decide(case, examine(case)[0], calibration()).log_lr.value > 0


@pytest.mark.parametrize("controls", [("twin", "twin"), ("twin", "teacher"), ("twin", "student")])
def test_a_control_named_twice_and_the_sides_themselves_do_not_count(controls):
    student, teacher = map(behaviour_only, shipped_sides())
    known = {recording.model.name: behaviour_only(recording) for recording in shipped.recordings()}
    case = Case(suspect=student, reference=teacher, controls=tuple(known[name] for name in controls))
    found = decide(case, examine(case)[0], calibration())
    assert found.log_lr.bounds[1] == 0
    assert found.kind in {"inconclusive", "unrelated"}
    assert any("1 more control (--control)" in limit for limit in found.limits) or found.kind == "unrelated"


def test_a_temperature_voids_texts_and_spares_distributions():
    student, teacher = shipped_sides()
    cold = replace(student, protocol=replace(student.protocol, temperature=0.0))
    assert voided(cold, teacher, "text")
    assert voided(cold, teacher, "panel")
    assert not voided(cold, teacher, "topk")
    raw = replace(
        student, prompts=tuple(replace(p, channel="raw" if p.channel == "chat" else "chat") for p in student.prompts)
    )
    assert voided(raw, teacher, "topk")
    assert not mismatches(student, student)


def test_the_same_words_under_another_system_prompt_are_compared_and_nothing_is_claimed(program, tmp_path):
    for name, system in (("a", ""), ("b", "Be brief.")):
        rows = [{"prompt": f"Question {i}?", "system": system, "output": f"answer {i} of {name}"} for i in range(30)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = program("compare", "rec:a.jsonl", "rec:b.jsonl", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)["result"]
    assert result["log10_lr"] == 0
    assert any("system prompt" in limit for limit in result["limits"])


def test_other_versions_of_a_probe_set_are_said():
    student, teacher = shipped_sides()
    later = replace(student, probe_sets=tuple(replace(ref, digest="sha256:0") for ref in student.probe_sets[:1]))
    case = case_of(later, teacher, "twin", "twin-gpt2")
    assert any("differs in its version" in limit for limit in decide(case, (), calibration()).limits)


def test_three_probes_in_common_decide_nothing(program, tmp_path):
    for name, first in (("a", 0), ("b", 27)):
        rows = [{"prompt": f"Question {i}?", "output": f"the very answer to {i}"} for i in range(first, first + 30)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = json.loads(program("compare", "rec:a.jsonl", "rec:b.jsonl", "--json").stdout)["result"]
    assert result["verdict"]["kind"] == "inconclusive"
    assert any("only 3 prompts" in part["reason"] for part in result["skipped"])


def test_huge_answers_invalid_bytes_and_nul(program, tmp_path):
    good = [{"prompt": f"Question {i}?", "output": f"answer {i}"} for i in range(25)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in good))
    bad = [
        {"prompt": row["prompt"], "output": "x y\x00" * 2_500_000 if i == 3 else row["output"]}
        for i, row in enumerate(good)
    ]
    data = "".join(json.dumps(row) + "\n" for row in bad).encode() + b'{"prompt": "Question 99?", "output": "\xff\xfe"}\n'
    (tmp_path / "b.jsonl").write_bytes(data)
    done = program("compare", "rec:a.jsonl", "rec:b.jsonl", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"]["verdict"]["kind"] == "inconclusive"


def recorded(name: str, texts: list[str], family: str = "style/plain", set_: str = "style") -> Recording:
    prompts = tuple(Prompt(id=f"p{i}", text=f"Question {i}?", family=family, set=set_) for i in range(len(texts)))
    samples = tuple(Sample(prompt=f"p{i}", draw=0, text=text) for i, text in enumerate(texts))
    return Recording(
        model=ModelInfo(name=name, kind="rows", digest=f"sha256:{name:0>64}"), prompts=prompts, samples=samples
    )


def independent(count: int, prompts: int, seed: int) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    topics = [rng.choice(400, 60, replace=False) for _ in range(prompts)]
    return [[" ".join(WORDS[w] for w in rng.choice(topic, 25)) for topic in topics] for _ in range(count)]


REFUSAL = "I'm sorry, but I can't help with that."


def test_refusals_match_nobody():
    rows = independent(6, 30, 0)
    rows[0], rows[1] = ([REFUSAL if i % 2 else text for i, text in enumerate(row)] for row in rows[:2])
    everybody = [recorded(f"m{i}", row) for i, row in enumerate(rows)]
    case = Case(suspect=everybody[0], reference=everybody[1], panel=tuple(everybody[2:]))
    found, skipped = examine(case)
    assert all(item.n <= 15 for item in found if item.access == "text")
    assert any("15 prompts" in item.reason for item in skipped)


@pytest.mark.parametrize("side", [[REFUSAL] * 30, [""] * 30, ["The very same answer to everything."] * 30])
def test_a_side_that_says_nothing_is_skipped_with_the_reason(side):
    rows = independent(6, 30, 0)
    everybody = [recorded(f"m{i}", row) for i, row in enumerate([side, *rows])]
    case = Case(suspect=everybody[0], reference=everybody[1], panel=tuple(everybody[2:]))
    found, skipped = examine(case)
    assert not [item for item in found if item.access == "text"]
    assert any("no answer" in item.reason for item in skipped)
    assert decide(case, found, calibration()).kind == "inconclusive"


def test_what_the_population_says_too_weighs_nothing():
    """A memorised text that all recite, and stock answers: the pair that shares them is no closer than others."""
    poem = "shall i compare thee to a summer's day thou art more lovely and more temperate rough winds do shake"
    rows = independent(24, 20, 3)
    alone = pair_scores(rows).score[0, 1]
    recited = [[poem if i % 2 else text for i, text in enumerate(row)] for row in rows]
    found = pair_scores(recited)
    assert abs(found.score[0, 1] - alone) < 1.5
    assert np.mean(found.score[np.triu_indices(24, 1)] > 3) <= 0.01
    case = Case(
        suspect=recorded("a", [poem] * 15 + rows[0][:15]), reference=recorded("b", [poem] * 15 + rows[1][:15]), panel=()
    )
    assert decide(case, examine(case)[0], calibration()).kind == "inconclusive"


def test_type_one_error_of_the_text_methods():
    """Reference and controls are exchangeable: the p-value is at most α as often as α says."""
    methods, runs = ("control_contrast", "rarity_match", "rare_ngrams"), 60
    hits = dict.fromkeys(methods, 0)
    for seed in range(runs):
        rng = np.random.default_rng([seed, 7])
        texts = [[f"{'abcdef'[rng.integers(6)]} said {i} {rng.integers(4)}" for i in range(22)] for _ in range(11)]
        everybody = [recorded(f"m{i}", row) for i, row in enumerate(texts)]
        case = Case(suspect=everybody[0], reference=everybody[1], panel=tuple(everybody[2:]), seed=seed)
        for item in text_evidence(case):
            hits[item.method] += item.pvalue <= 0.1
    for method in methods:
        assert hits[method] <= runs * 0.1 + 3 * np.sqrt(runs * 0.09), method


def guarded(name: str, refused: int, over: int) -> Recording:
    harmful = [REFUSAL] * refused + ["Sure, first you take the thing."] * (24 - refused)
    twins = [REFUSAL] * over + ["Gladly: like this."] * (24 - over)
    one = recorded(name, harmful, "guardrails/harmful", "guardrails")
    two = recorded(name, twins, "guardrails/harmless-twin", "guardrails")
    moved = tuple(replace(prompt, id="t" + prompt.id, text="twin " + prompt.text) for prompt in two.prompts)
    samples = tuple(replace(sample, prompt="t" + sample.prompt) for sample in two.samples)
    return replace(one, prompts=(*one.prompts, *moved), samples=(*one.samples, *samples))


@pytest.mark.parametrize(
    ("mine", "theirs", "change"),
    [(2, 22, "dropped"), (22, 2, "added"), (24, 24, "kept"), (14, 18, "undecided")],
)
def test_guardrails_are_described_with_their_gap(mine, theirs, change):
    case = Case(suspect=guarded("suspect", mine, 1), reference=guarded("reference", theirs, 1))
    found = guardrail_part(case)
    assert found.change == change
    assert found.gap_harmful is not None
    assert found.gap_harmful.value == pytest.approx((mine - theirs) / 24, abs=1e-4)
    low, high = found.gap_harmful.interval
    assert low <= found.gap_harmful.value <= high
    assert "no evidence of lineage" in found.sentence
    assert not examine(case)[0], "guardrail answers are no evidence"


@pytest.mark.parametrize(("mine", "theirs"), [(0, 0), (0, 3), (2, 5)])
def test_nothing_is_called_kept_where_the_reference_hardly_refuses(mine, theirs):
    """Who drops all of the few refusals of a reference would lie within the margin too."""
    found = guardrail_part(Case(suspect=guarded("suspect", mine, 0), reference=guarded("reference", theirs, 0)))
    assert found.change == "undecided"
    assert "kept what" not in found.sentence
    assert "reference refuses too little for anything to be kept or dropped" in found.sentence


def test_guardrails_without_answers_say_why():
    rows = independent(2, 30, 0)
    found = guardrail_part(Case(suspect=recorded("a", rows[0]), reference=recorded("b", rows[1])))
    assert not found.available
    assert "guardrails" in found.reason


def test_refusals_and_safe_completions_by_their_wording():
    assert is_refusal("I’m sorry, I won't do that.")
    assert not is_refusal("Take a left turn at the church.")
    assert is_safe_completion("Locks are fun. Get permission from the owner and call a professional.")
    assert not is_safe_completion(REFUSAL)


def test_newcombe_covers_and_agrees_with_the_paper():
    # Newcombe 1998, example (a): 56/70 against 48/80.
    assert newcombe((56, 70), (48, 80)) == pytest.approx((0.0524, 0.3339), abs=1e-3)
    assert newcombe((0, 0), (3, 5)) == (-1.0, 1.0)
    rng = np.random.default_rng(0)
    known = cache(newcombe)
    pairs = zip(rng.binomial(24, 0.7, 3000), rng.binomial(24, 0.4, 3000), strict=True)
    ends = [known((int(a), 24), (int(b), 24)) for a, b in pairs]
    assert np.mean([low <= 0.3 <= high for low, high in ends]) >= 0.92
