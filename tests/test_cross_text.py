"""Text × log-probabilities: in both directions, with different tokenizers, from recordings and from live models."""

from __future__ import annotations

import json

import numpy as np
import pytest
from inside import run

from fingerprint import api, recording_file
from fingerprint.canonical import digest
from fingerprint.forecast import Prices, forecast
from fingerprint.models.base import DistributionRequest, SampleRequest, ScoreRequest
from fingerprint.models.registry import open_model
from fingerprint.models.spec import parse_spec
from fingerprint.recording import Distribution, ModelInfo, Prompt, Recording, Sample, Score

PROMPTS = 40
#: Bytes that a token of each tokenizer holds: no two models cut texts alike.
TOKENIZERS = {"suspect": 3, "reference": 4, "near": 5, "far": 2}


def said(name: str, place: int) -> str:
    return f"what {name} has to say about the question number {place} of this list"


def model(name: str, scorers: dict[str, dict[str, float]], *, text_only: bool) -> Recording:
    """A model with its texts, and its bits per byte for everybody's texts; a text-only one has neither scores nor lists."""
    rng = np.random.default_rng(TOKENIZERS[name])
    prompts = tuple(Prompt(id=f"p{i}", text=f"Question {i}?") for i in range(PROMPTS))
    scores = []
    for author, bits in scorers[name].items():
        for i in range(PROMPTS):
            text = said(author, i)
            size = len(text.encode())
            nats = -(bits + 0.3 * rng.standard_normal()) * size * np.log(2)
            tokens = -(-size // TOKENIZERS[name])
            scores.append(Score(prompt=f"p{i}", text=digest(text)[7:31], logprob=round(nats, 4), tokens=tokens, bytes=size))
    lists = tuple(
        Distribution(prompt=f"p{i}", at=11, draw=0, tokens=("a",), logprobs=(-0.1,), tail=0.095) for i in range(3)
    )
    return Recording(
        model=ModelInfo(name=name, kind="rows", digest=f"sha256:{name:0>64}", tokenizer=f"sha256:{TOKENIZERS[name]:064}"),
        prompts=prompts,
        samples=tuple(Sample(prompt=f"p{i}", draw=0, text=said(name, i)) for i in range(PROMPTS)),
        scores=() if text_only else tuple(scores),
        distributions=() if text_only else lists,
    )


def world(*, related: bool) -> dict[str, dict[str, float]]:
    """Everybody finds his own texts likeliest; a student and its teacher find each other's likelier than strangers'."""
    table = {scorer: {author: 3.0 - 1.5 * (scorer == author) for author in TOKENIZERS} for scorer in TOKENIZERS}
    if related:
        table["suspect"]["reference"] = table["reference"]["suspect"] = 2.0
    return table


@pytest.mark.parametrize("related", [True, False])
@pytest.mark.parametrize(
    ("silent", "method", "other"),
    [
        ("suspect", "suspect_text_likelihood", "reference_text_likelihood"),
        ("reference", "reference_text_likelihood", "suspect_text_likelihood"),
    ],
)
def test_either_side_may_give_text_only(capsys, monkeypatch, tmp_path, silent, method, other, related):
    monkeypatch.chdir(tmp_path)
    table = world(related=related)
    for name in TOKENIZERS:
        recording_file.write(model(name, table, text_only=name == silent), tmp_path / f"{name}.jsonl")
    command = (
        "compare",
        "rec:suspect.jsonl",
        "rec:reference.jsonl",
        "--control",
        "rec:near.jsonl",
        "--control",
        "rec:far.jsonl",
    )
    done = run(capsys, monkeypatch, *command, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)["result"]
    found = {item["method"]: item for item in result["evidence"]}
    assert found[method]["n"] == PROMPTS
    if related:
        assert found[method]["pvalue"] < 1e-6
        assert found[method]["effect"] > 0.4
    else:
        assert found[method]["pvalue"] > 0.001
        assert abs(found[method]["effect"]) < 0.2
    reasons = {part["method"]: part["reason"] for part in result["skipped"]}
    assert f"{silent} has not scored the answers of" in reasons[other]
    assert result["verdict"]["kind"] == "inconclusive"  # one access alone accuses nobody


def test_live_models_score_all_texts_that_the_method_needs(own_store, tmp_path):
    """A recording that somebody else made against three live models: each scores everybody's texts, its own too."""
    rows = [{"prompt": f"Question {i}?", "output": f"an answer of some length to {i}", "model": "api"} for i in range(24)]
    (tmp_path / "api.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    specs = [f"rec:{tmp_path}/api.jsonl", *(f"toy:parrot?seed={seed}" for seed in (1, 2, 3))]
    options = api.Options(store=own_store)
    recordings = api.record(specs, options)
    authors = [{digest(s.text)[7:31] for s in each.samples if s.draw == 0 and len(s.text) >= 8} for each in recordings]
    for scorer in recordings[1:]:
        known = {score.text for score in scorer.scores}
        assert all(texts <= known for texts in authors)
    case = api.make_case(recordings, ())
    assert case.scores.bits.shape[:2] == (4, 4)
    assert np.isfinite(case.scores.bits[1:, :, :]).sum(axis=2).min() >= 20
    # Where both sides give log-probabilities, nobody's texts are scored.
    assert not any(each.scores for each in api.record(specs[1:], options))


def test_a_model_of_learned_positions_stops_at_its_last_one():
    """GPT-2 has no answer beyond the positions that it learned; such a request was a crash."""
    backend = open_model(parse_spec("zoo:twin-gpt2"))
    prompt = Prompt(id="x", text="The first thing I noticed was the wide river", channel="raw")
    requests = [SampleRequest(prompt=prompt, draw=d, max_tokens=m, temperature=1.0, seed=0) for d, m in ((0, 400), (1, 5))]
    long, short = backend.sample(requests)
    assert len(long.text) > 100
    assert short.text == backend.sample(requests[1:])[0].text
    text = " and the old house by the sea"
    assert backend.fits(ScoreRequest(prompt=prompt, text=text))
    assert not backend.fits(ScoreRequest(prompt=prompt, text=text * 60))
    endless = Prompt(id="endless", text="word " * 400, channel="raw")
    assert not backend.fits(DistributionRequest(prompt=endless, positions=(2000,), draw=0, topk=5))


def test_the_plan_counts_the_texts_that_will_be_scored(own_store, tmp_path):
    """A budget that is planned without them would end in the middle of the comparison."""
    rows = [{"prompt": f"Question {i}?", "output": f"an answer of some length to {i}", "model": "api"} for i in range(24)]
    (tmp_path / "api.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    specs = [f"rec:{tmp_path}/api.jsonl", *(f"toy:parrot?seed={seed}" for seed in (1, 2))]
    options = api.Options(store=own_store)
    planned = [model.requests for model in forecast(specs, options, Prices()).models]
    api.record(specs, options)
    asked = sorted(len(path.read_bytes().splitlines()) for path in (own_store / "answers").glob("*.jsonl"))
    sketches = 1
    assert planned[0] == 0
    assert all(24 < count - sketches <= plan for count, plan in zip(asked, planned[1:], strict=True))
    assert all(plan >= 24 * 3 for plan in planned[1:])
    again = forecast(specs, options, Prices()).models[1:]
    assert all(model.stored >= 24 for model in again)
    assert all(model.requests < plan for model, plan in zip(again, planned[1:], strict=True))
