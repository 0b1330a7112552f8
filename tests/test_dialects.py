"""Servers of every dialect, in the shapes that they document: what is asked, what comes back, what is found out before."""

from __future__ import annotations

import json
import math

import fake_server as fake
import httpx
import pytest
from inside import run
from servers import fake_server

from fingerprint import api, recording_file
from fingerprint.errors import ModelError
from fingerprint.models.base import DistributionRequest, SampleRequest, ScoreRequest
from fingerprint.models.handshake import shake_hands
from fingerprint.models.registry import open_model
from fingerprint.models.spec import parse_spec
from fingerprint.recording import Prompt

RAW = Prompt(id="r", text="The amber bell rang in the garden", channel="raw")
CHAT = Prompt(id="c", text="Tell me of the sea.", channel="chat")
END = len(RAW.text)


def served(address, **more):
    options = {"base_url": address, "concurrency": 4, "backoff": 0, "attempts": 3, **more}
    return open_model(parse_spec("openai:tiny?" + "&".join(f"{name}={value}" for name, value in options.items())))


@pytest.fixture(scope="module", params=["openai", "legacy", "vllm"])
def dialect(request):
    with fake_server(dialect=request.param) as address:
        yield request.param, served(address)


def test_what_a_server_offers_is_found_out(dialect):
    name, backend = dialect
    found = {
        "openai": (20, False, False, "", ""),
        "legacy": (20, True, True, "echo", "echo"),
        "vllm": (20, True, True, "prompt_logprobs", "prompt_logprobs"),
    }[name]
    can, terms = backend.capabilities, backend.terms
    assert (can.topk, can.inner_positions, can.scores, terms.inside, terms.scoring) == found
    assert (terms.chat, terms.raw) == (True, name != "openai")
    assert terms.raw_topk == {"openai": 0, "legacy": 5, "vllm": 20}[name]
    assert backend.asked(RAW).channel == ("chat" if name == "openai" else "raw")
    assert shake_hands(backend).notes == ()


def truth(text: str, word: str) -> float:
    return fake.table(text)[word]


def test_distributions_are_what_the_model_thinks(dialect):
    name, backend = dialect
    request = DistributionRequest(prompt=backend.asked(RAW), positions=(9, 22, END), draw=0, topk=20)
    rows = backend.distributions([request])[0]
    assert [row.at for row in rows] == ([END] if name == "openai" else [9, 22, END])
    for row in rows:
        context = RAW.text[: row.at] if name != "openai" else json.dumps([{"role": "user", "content": RAW.text}])
        listed = dict(zip(row.tokens, row.logprobs, strict=True))
        likeliest = sorted(fake.table(context).items(), key=lambda pair: -pair[1])[: len(listed) - 1]
        assert len(listed) == (5 if name == "legacy" else 20)
        for word, value in likeliest:
            assert listed[word] == pytest.approx(value, abs=1e-3)
        assert row.tail == pytest.approx(1 - sum(map(math.exp, row.logprobs)), abs=1e-3)
        assert list(row.logprobs) == sorted(row.logprobs, reverse=True)


def test_scores_are_what_the_model_thinks(dialect):
    name, backend = dialect
    if name == "openai":
        with pytest.raises(ModelError, match="refuses a request"):
            backend.score([ScoreRequest(prompt=CHAT, text=" bell")])
        return
    text = " lantern meadow"
    expected = truth(RAW.text, " lantern") + truth(RAW.text + " lantern", " meadow")
    found = backend.score([ScoreRequest(prompt=RAW, text=text)])[0]
    assert found.logprob == pytest.approx(expected, abs=1e-3)
    assert (found.tokens, found.bytes) == (2, len(text))
    if name == "vllm":  # the answer as the beginning of the assistant's turn
        before = json.dumps([{"role": "user", "content": CHAT.text}])
        expected = truth(before, " lantern") + truth(before + " lantern", " meadow")
        assert backend.score([ScoreRequest(prompt=CHAT, text=text)])[0].logprob == pytest.approx(expected, abs=1e-3)
    else:
        with pytest.raises(ModelError, match="cannot score an answer to a chat prompt"):
            backend.score([ScoreRequest(prompt=CHAT, text=text)])


def test_seeds_temperature_length_and_system_prompts_arrive(dialect):
    _, backend = dialect

    def ask(prompt=CHAT, draw=0, tokens=6, temperature=1.0):
        request = SampleRequest(prompt=prompt, draw=draw, max_tokens=tokens, temperature=temperature, seed=0)
        return backend.sample([request])[0]

    assert ask() == ask()
    assert len({ask(draw=draw).text for draw in range(6)}) > 2
    assert ask(temperature=0.0).text == ask(temperature=0.0, draw=1).text
    short = [ask(draw=draw, tokens=2) for draw in range(6)]
    assert {len(row.text.split()) for row in short if row.finish == "length"} == {2}
    assert all(len(row.text.split()) < 2 for row in short if row.finish == "stop")
    brief = Prompt(id="c", text=CHAT.text, channel="chat", system="Be brief.")
    assert ask(brief, temperature=0.0).text != ask(temperature=0.0).text
    body = backend.sample_body(SampleRequest(prompt=brief, draw=0, max_tokens=2, temperature=0.5, seed=0))
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert (body["temperature"], body["top_p"], body["max_tokens"]) == (0.5, 1.0, 2)


@pytest.mark.parametrize(
    ("rejected", "gone"),
    [(["top_k"], "top_k"), (["seed"], "seed"), (["max_tokens"], "max_tokens"), (["top_k", "max_tokens"], "max_tokens")],
)
def test_what_a_server_does_not_understand_is_left_out(rejected, gone):
    with fake_server(dialect="vllm", reject=rejected) as address:
        backend = served(address)
        body = backend.sample_body(SampleRequest(prompt=CHAT, draw=0, max_tokens=3, temperature=1.0, seed=0))
        assert gone not in body
        assert len(backend.sample([SampleRequest(prompt=CHAT, draw=0, max_tokens=3, temperature=1.0, seed=0)])) == 1


UNSOUND = {
    "sum": ({"sum": 1.3}, "topk", "add up to 1."),
    "none": ({"logprobs": False}, "topk", "gives no log-probabilities"),
    "count": ({"count": 9}, "topk", "lists 3 tokens for an answer of 9"),
    "jitter": ({"jitter": True}, "topk", "when the same request is sent again"),
    "echo": ({"wrong_echo": True}, "scores", "its own next-token list"),
    "numbers": ({"numbered": True}, "topk", "by number and not by text"),
}


@pytest.mark.parametrize("case", UNSOUND)
def test_a_failed_check_takes_away_what_needs_it_and_the_report_says_why(tmp_path, own_store, case):
    settings, topic, words = UNSOUND[case]
    rows = [{"prompt": f"{word.strip()} is", "output": " bell amber drum"} for word in fake.WORDS[:12]]
    (tmp_path / "them.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with fake_server(dialect="vllm", **settings) as address:
        spec = f"openai:tiny?base_url={address}&backoff=0&attempts=2"
        backend = served(address)
        agreed = shake_hands(backend)
        told = [note for note in (*agreed.notes, *backend.notes) if note.topic == topic]
        assert any(words in note.text for note in told), (agreed.notes, backend.notes)
        assert agreed.capabilities.samples
        if topic == "topk":
            assert agreed.capabilities.topk == 0
            assert not agreed.capabilities.inner_positions
        else:
            assert not agreed.capabilities.scores
            assert agreed.capabilities.topk == 20
        report = api.compare(spec, f"rec:{tmp_path}/them.jsonl", options=api.Options(store=own_store))
    said = [*(part.reason for part in report.result.skipped), *report.result.limits]
    assert any(words in text for text in said), said


def test_a_server_without_sense_is_refused():
    with fake_server(status=400, words="no such thing") as address, pytest.raises(ModelError, match="no such thing"):
        served(address)
    with fake_server(strict=True) as address, pytest.raises(ModelError, match=r"has no model big\. It has: tiny"):
        open_model(parse_spec(f"openai:big?base_url={address}&backoff=0"))


def test_a_key_that_is_wanted_and_not_there_is_asked_for(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with fake_server(key="sk-12345678") as address:
        with pytest.raises(ModelError, match="Set OPENAI_API_KEY"):
            served(address)
        monkeypatch.setenv("MY_KEY", "sk-wrong-one")
        with pytest.raises(ModelError, match="The key came from MY_KEY"):
            served(address, key_env="MY_KEY")
        monkeypatch.setenv("MY_KEY", "sk-12345678")
        assert served(address, key_env="MY_KEY").capabilities.topk == 20


ROWS = [{"prompt": f"Question {n}?", "output": f" {n}", "model": "them"} for n in range(20)]


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "them.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return tmp_path


def sent(address) -> int:
    return int(httpx.get(address + "/_count").json()["requests"])


@pytest.mark.usefixtures("world")
def test_the_plan_is_what_is_asked_afterwards(capsys, monkeypatch):
    """Requests, tokens and money of the plan against those that the server saw; unknown prices stay unknown."""
    with fake_server(dialect="openai") as address:
        spec = f"openai:tiny?base_url={address}"
        plan = json.loads(run(capsys, monkeypatch, "compare", spec, "rec:them.jsonl", "--dry-run", "--json").stdout)
        model = plan["models"][0]
        assert model["money"] is None
        assert model["stored"] == 0
        assert 0 < model["written"]["low"] < model["written"]["expected"] < model["written"]["worst"]
        assert 0 < model["minutes"]["low"] <= model["minutes"]["expected"] <= model["minutes"]["worst"]
        possible = {row["evidence"]: row["possible"] for row in plan["evidence"]}
        assert possible == {
            "weights": False,
            "next-token distributions": False,
            "likelihood of one side's answers under the other": False,
            "answers": True,
        }
        assert all(row["reason"] for row in plan["evidence"] if not row["possible"])
        shown = run(capsys, monkeypatch, "compare", spec, "rec:them.jsonl", "--dry-run").stdout
        assert "unknown" in shown
        priced = ("--dry-run", "--json", "--price-in", "2", "--price-out", "10")
        priced = json.loads(run(capsys, monkeypatch, "compare", spec, "rec:them.jsonl", *priced).stdout)["models"][0]
        for case in ("low", "expected", "worst"):
            money = (2 * priced["read"][case] + 10 * priced["written"][case]) / 1e6
            assert priced["money"][case] == pytest.approx(money)
        before = sent(address)
        assert run(capsys, monkeypatch, "doctor", spec).returncode == 0
        opening = sent(address) - before  # what finding out and shaking hands take
        before = sent(address)
        assert run(capsys, monkeypatch, "compare", spec, "rec:them.jsonl").returncode == 0
        assert sent(address) - before == opening + model["requests"]
        after = json.loads(run(capsys, monkeypatch, "compare", spec, "rec:them.jsonl", "--dry-run", "--json").stdout)
        assert (after["models"][0]["requests"], after["models"][0]["stored"]) == (0, model["requests"])


@pytest.mark.parametrize("limit", [("--max-requests", "25"), ("--max-tokens", "900"), ("--max-minutes", "0.0000001")])
def test_a_limit_ends_with_code_four_and_the_same_command_goes_on(capsys, monkeypatch, world, limit):
    with fake_server(dialect="openai") as address:
        spec = f"openai:tiny?base_url={address}&concurrency=4"
        command = ("collect", spec, "-o", "a.jsonl", "--probes", "style")
        cut = run(capsys, monkeypatch, *command, *limit)
        assert cut.returncode == 4
        assert f"The limit of {limit[0]} is reached; everything collected is kept." in cut.stderr
        assert not (world / "a.jsonl").exists()
        assert run(capsys, monkeypatch, *command).returncode == 0
        fresh = ("collect", spec, "-o", "b.jsonl", "--probes", "style", "--store", "other")
        assert run(capsys, monkeypatch, *fresh).returncode == 0
    assert recording_file.read(world / "a.jsonl").digest == recording_file.read(world / "b.jsonl").digest


@pytest.mark.parametrize("limit", [("--max-requests", "25"), ("--max-tokens", "900"), ("--max-minutes", "0.0000001")])
def test_a_comparison_keeps_its_limits_too(capsys, monkeypatch, world, limit):
    """No half report is written, and the next run asks only for what is missing."""
    with fake_server(dialect="openai") as address:
        command = ("compare", f"openai:tiny?base_url={address}&concurrency=4", "rec:them.jsonl", "-o", "r.json")
        cut = run(capsys, monkeypatch, *command, *limit)
        assert cut.returncode == 4
        assert f"The limit of {limit[0]} is reached; everything collected is kept." in cut.stderr
        assert not (world / "r.json").exists()
        before = sent(address)
        assert run(capsys, monkeypatch, *command).returncode == 0
        rest = sent(address) - before
        fresh = [*command[:-1], "s.json", "--store", "other"]
        before = sent(address)
        assert run(capsys, monkeypatch, *fresh).returncode == 0
        if limit[0] != "--max-minutes":  # nothing was asked in no time
            assert rest < sent(address) - before
    results = [json.loads((world / name).read_text())["result"] for name in ("r.json", "s.json")]
    assert results[0] == results[1]


def test_doctor_says_what_works_and_where_settings_come_from(capsys, monkeypatch, world):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with fake_server(dialect="vllm", key="sk-of-somebody") as address:
        done = run(capsys, monkeypatch, "doctor", f"openai:tiny?base_url={address}")
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert f"store          {world / 'store'} (from FINGERPRINT_CACHE)" in said
    assert "OPENAI_API_KEY     set" in said
    assert "HF_TOKEN           not set" in said
    assert "key            set, from OPENAI_API_KEY" in said
    assert "lists of 20, inside prompts too" in said
    assert "chat and completions" in said
    assert "sk-of" not in done.said
    for scheme in ("path", "hf", "gguf", "zoo", "toy", "openai"):
        assert f"\n  {scheme + ':':<10}" in said


def test_suspect_reference_and_controls_are_asked_in_the_same_stretch_of_time(own_store):
    """Whatever changes with time changes for all: no server is done before another has begun."""
    with fake_server(dialect="openai", seed=1) as first, fake_server(dialect="openai", seed=2) as second:
        seen = []
        for address in (first, second):
            httpx.post(address + "/_config", json={"log": True})
        specs = [f"openai:tiny?base_url={address}&concurrency=2" for address in (first, second)]
        api.record(specs, api.Options(probes="style", store=own_store))
        for place, address in enumerate((first, second)):
            seen += [(at, place) for at in httpx.get(address + "/_count").json()["times"]]
    order = [place for _, place in sorted(seen)]
    half = len(order) // 2
    assert min(order[:half].count(0), order[:half].count(1)) > 0.3 * half
    assert min(order[half:].count(0), order[half:].count(1)) > 0.3 * half


def test_no_more_requests_at_a_time_than_asked_for(own_store):
    with fake_server(dialect="openai", delay=0.03) as address:
        api.record([f"openai:tiny?base_url={address}&concurrency=3"], api.Options(probes="style", store=own_store))
        assert httpx.get(address + "/_count").json()["most"] == 3
