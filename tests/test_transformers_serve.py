"""`transformers serve` on a shipped checkpoint: a real server that gives text and nothing else."""

from __future__ import annotations

import pytest
from servers import transformers_serve

from fingerprint import shipped
from fingerprint.models.base import SampleRequest
from fingerprint.models.handshake import shake_hands
from fingerprint.models.registry import open_model
from fingerprint.models.spec import parse_spec
from fingerprint.recording import Prompt

RAW = Prompt(id="x", text="The first thing I noticed was the wide river", channel="raw")


@pytest.fixture(scope="module")
def served():
    folder = shipped.root() / "models" / "teacher"
    with transformers_serve(folder) as url:
        yield open_model(parse_spec(f"openai:{folder}?base_url={url}&concurrency=1&backoff=0&attempts=2"))


def ask(backend, *draws, temperature=1.0, tokens=8):
    asked = [SampleRequest(prompt=RAW, draw=d, max_tokens=tokens, temperature=temperature, seed=0) for d in draws]
    return [row.text for row in backend.sample(asked)]


def test_greedy_text_is_that_of_the_file(served):
    local = open_model(parse_spec("zoo:teacher"))
    assert ask(served, 0, temperature=0.0) == ask(local, 0, temperature=0.0)


def test_it_samples_although_its_own_settings_are_greedy(served):
    texts = ask(served, 0, 0, 1, 2)
    assert texts[0] == texts[1]  # the seed is kept
    assert len(set(texts)) == 3
    assert served.runtime == "server transformers"


def test_what_it_cannot_do_is_said_with_the_reason(served):
    agreed = shake_hands(served)
    assert agreed.capabilities.samples
    assert (served.capabilities.topk, served.capabilities.scores, served.capabilities.inner_positions) == (0, False, False)
    said = {note.topic: note.text for note in served.notes}
    assert "no log-probabilities" in said["topk"]
    assert "no way to score" in said["scores"]
    assert "chat prompts are left out" in said["samples"]  # the checkpoint has no chat template
    assert served.info.name == "teacher"
    assert "/" not in served.info.name
