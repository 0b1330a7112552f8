"""Models behind llama.cpp's real server: the same answers as from the file, and a comparison from end to end."""

from __future__ import annotations

import json

import pytest
from gguf_file import write_gguf
from servers import llama_cpp, smollm2

from fingerprint import api, recording_file, shipped
from fingerprint.collection.budget import Budget
from fingerprint.errors import ModelError
from fingerprint.models.base import DistributionRequest, SampleRequest, ScoreRequest
from fingerprint.models.handshake import shake_hands
from fingerprint.models.registry import open_model
from fingerprint.models.spec import parse_spec
from fingerprint.recording import Prompt

RAW = Prompt(id="x", text="The first thing I noticed was the wide river", channel="raw")
CHAT = Prompt(id="y", text="Tell me of the sea.", channel="chat", system="Be brief.")


@pytest.fixture(scope="session")
def teacher_server(tmp_path_factory):
    file = write_gguf(shipped.root() / "models" / "teacher", tmp_path_factory.mktemp("gguf") / "teacher.gguf")
    with llama_cpp(file, "teacher") as url:
        yield url


@pytest.fixture(scope="session")
def student_server(tmp_path_factory):
    file = write_gguf(shipped.root() / "models" / "student", tmp_path_factory.mktemp("gguf") / "student.gguf")
    with llama_cpp(file, "student") as url:
        yield url


@pytest.fixture(scope="session")
def served(teacher_server):
    return open_model(parse_spec(f"openai:teacher?base_url={teacher_server}&concurrency=4"))


@pytest.fixture(scope="session")
def local():
    return open_model(parse_spec("zoo:teacher"))


def test_served_distributions_are_those_of_the_file(served, local):
    request = DistributionRequest(prompt=RAW, positions=(9, 33, 44), draw=0, topk=50)
    for mine, theirs in zip(served.distributions([request])[0], local.distributions([request])[0], strict=True):
        assert mine.at == theirs.at
        known = dict(zip(theirs.tokens, theirs.logprobs, strict=True))
        assert len(mine.tokens) == 50
        for token, value in list(zip(mine.tokens, mine.logprobs, strict=True))[:20]:
            assert value == pytest.approx(known[token], abs=0.01)
        assert mine.tail == pytest.approx(theirs.tail, abs=0.002)


def test_served_scores_are_those_of_the_file(served, local):
    for text in (" and the old house.", " the Mississippi, in 1803!"):
        request = ScoreRequest(prompt=RAW, text=text)
        mine, theirs = served.score([request])[0], local.score([request])[0]
        assert mine.logprob == pytest.approx(theirs.logprob, abs=0.02)
        assert (mine.text, mine.tokens, mine.bytes) == (theirs.text, theirs.tokens, theirs.bytes)


def test_a_text_that_cannot_be_scored_is_refused_in_a_sentence(served):
    with pytest.raises(ModelError, match="no whole characters"):
        served.score([ScoreRequest(prompt=RAW, text=" naïve")])


def test_seeds_repeat_an_answer_and_draws_do_not_share_one(served):
    asked = [SampleRequest(prompt=RAW, draw=draw, max_tokens=12, temperature=1.0, seed=0) for draw in (0, 0, 1, 2)]
    texts = [sample.text for sample in served.sample(asked)]
    assert texts[0] == texts[1]
    assert len(set(texts)) == 3


def test_the_sampler_filters_nothing(served, local):
    """llama.cpp keeps the 40 likeliest tokens unless told otherwise: rare first words must occur as often as they should."""
    row = local.distributions([DistributionRequest(prompt=RAW, positions=(44,), draw=0, topk=40)])[0][0]
    asked = [SampleRequest(prompt=RAW, draw=draw, max_tokens=1, temperature=1.0, seed=1) for draw in range(150)]
    common = {token.encode("latin-1").decode("utf-8", "replace") for token in row.tokens}
    rare = sum(sample.text not in common for sample in served.sample(asked))
    expected = 150 * row.tail
    assert abs(rare - expected) < 5 * expected**0.5 + 1


def test_chat_has_a_system_prompt_and_raw_has_none(served):
    with_system, without = (
        served.distributions([DistributionRequest(prompt=prompt, positions=(19,), draw=0, topk=20)])[0][0]
        for prompt in (CHAT, Prompt(id="y", text=CHAT.text, channel="chat"))
    )
    assert with_system.logprobs != without.logprobs


def test_identity_is_what_the_server_reports_and_no_address(served, teacher_server):
    info = served.info
    assert (info.kind, info.name, info.parameters, info.vocabulary) == ("server", "teacher", 734_080, 1024)
    port = teacher_server.split(":")[2].split("/")[0]
    assert port not in json.dumps([info.name, info.digest, served.runtime])
    other = open_model(parse_spec(f"openai:teacher?base_url={teacher_server.replace('127.0.0.1', 'localhost')}"))
    assert other.info == info
    assert other.origin != served.origin


def test_the_handshake_of_a_sound_server_takes_nothing_away(served):
    agreed = shake_hands(served)
    assert agreed.capabilities == served.capabilities
    assert agreed.notes == ()
    assert served.capabilities.topk == 256
    assert served.capabilities.scores
    assert served.capabilities.inner_positions


def test_two_served_models_compare_from_end_to_end(program, student_server, teacher_server, tmp_path, own_store):
    suspect, reference = (
        f"openai:{name}?base_url={url}&concurrency=4"
        for name, url in (("student", student_server), ("teacher", teacher_server))
    )
    done = program("compare", suspect, reference, "--probes", "prefixes", "--json", "--recordings", "kept")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)["result"]
    assert {item["method"] for item in result["evidence"]} >= {"divergence", "partial_correlation"}
    assert any("told by its server" in limit for limit in result["limits"])
    assert "127.0.0.1" not in json.dumps(result)
    nothing = api.Options(probes="prefixes", store=own_store, budget=Budget(requests=0))
    assert [recording.digest for recording in api.record([suspect, reference], nothing)] == [
        result[side]["recording"] for side in ("suspect", "reference")
    ]
    for file in (tmp_path / "kept").iterdir():
        recording = recording_file.read(file)
        assert recording.drift is not None
        assert recording.drift.pvalue > 0.01
        assert recording.protocol.runtime == "server llama.cpp"


def test_the_same_weights_served_are_found_next_to_the_file(teacher_server, own_store):
    spec = f"openai:teacher?base_url={teacher_server}&concurrency=4"
    report = api.compare(spec, "zoo:teacher", options=api.Options(probes="prefixes", store=own_store))
    found = {item.method: item for item in report.result.evidence}
    assert found["divergence"].effect < 0.001
    assert report.result.verdict.kind != "unrelated"


def test_real_weights_answer_through_both_channels():
    with llama_cpp(smollm2(), "smollm2", 512) as url:
        served = open_model(parse_spec(f"openai:smollm2?base_url={url}"))
        assert served.capabilities.topk == 256
        sample = served.sample([SampleRequest(prompt=CHAT, draw=0, max_tokens=4, temperature=0.0, seed=0)])[0]
        assert sample.text.strip()
        row = served.distributions([DistributionRequest(prompt=RAW, positions=(44,), draw=0, topk=20)])[0][0]
        assert 0 <= row.tail < 1
        score = served.score([ScoreRequest(prompt=RAW, text=" that ran")])[0]
        assert -40 < score.logprob < 0
