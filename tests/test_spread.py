"""One model on several real servers: the load is spread, a dead one is survived, another model is refused."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack

import httpx
import pytest
from servers import fake_server
from test_faults import plan_of

from fingerprint import recording_file
from fingerprint.collection.budget import Budget
from fingerprint.collection.collect import Collector
from fingerprint.collection.store import Store, identity_of
from fingerprint.errors import ModelError, ModelRefused
from fingerprint.models.base import SampleRequest
from fingerprint.models.http_spread import addresses
from fingerprint.models.registry import open_model
from fingerprint.models.spec import parse_spec
from fingerprint.recording import Prompt

PLAN = plan_of(probes=40, draws=6)


def spec(*urls, more="&backoff=0.01&concurrency=4&timeout=5"):
    return parse_spec("openai:tiny?" + "&".join(f"base_url={url}" for url in urls) + more)


def recorded(opened, folder, progress=lambda *_: None):
    collector = Collector(backend=opened, store=Store(folder, identity_of(opened)), budget=Budget(), progress=progress)
    return collector.recording(PLAN)


def answers(url):
    return httpx.get(url + "/_count").json()["answers"]


@pytest.fixture(scope="module")
def trio():
    with ExitStack() as stack:
        yield sorted(stack.enter_context(fake_server(dialect="vllm")) for _ in range(3))


@pytest.fixture(scope="module")
def alone(trio, tmp_path_factory):
    """The recording by the first server alone, as bytes."""
    folder = tmp_path_factory.mktemp("alone")
    recording_file.write(recorded(open_model(spec(trio[0])), folder), folder / "r.jsonl")
    return (folder / "r.jsonl").read_bytes()


def test_the_load_is_spread_and_the_bytes_are_those_of_one_server(trio, alone, tmp_path):
    before = [answers(url) for url in trio]
    opened = open_model(spec(*trio))
    assert opened.concurrency == 12
    shown = [answers(url) for url in trio]
    recording_file.write(recorded(opened, tmp_path), tmp_path / "r.jsonl")
    assert (tmp_path / "r.jsonl").read_bytes() == alone
    shares = [after - early for after, early in zip([answers(url) for url in trio], shown, strict=True)]
    assert min(shares) > 0.15 * sum(shares), shares
    # Each had to show what it serves before it was asked for anything.
    assert min(after - early for after, early in zip(shown, before, strict=True)) >= 4


def test_the_order_of_addresses_is_no_part_of_the_identity(trio):
    first, turned = open_model(spec(*trio)), open_model(spec(*reversed(trio)))
    assert (first.info, first.origin) == (turned.info, turned.origin)
    assert first.origin == open_model(spec(trio[0])).origin
    assert addresses(parse_spec(f"openai:m?base_url={trio[1]},{trio[0]}&base_url={trio[1]}")) == tuple(trio[:2])


@pytest.mark.parametrize("victim", [0, 1])
def test_a_server_that_is_killed_half_way_costs_nothing(tmp_path, victim):
    stacks = [ExitStack() for _ in range(3)]
    urls = [stack.enter_context(fake_server(dialect="vllm")) for stack in stacks]
    order = sorted(range(3), key=urls.__getitem__)
    whole = recorded(open_model(spec(urls[order[0]])), tmp_path / "alone")
    dead = threading.Event()

    def kill(done, total, _):
        if done > total / 3 and not dead.is_set():
            dead.set()
            stacks[order[victim]].close()

    opened = open_model(spec(*urls))
    found = recorded(opened, tmp_path / "together", kill)
    for stack in stacks:
        stack.close()
    assert dead.is_set()
    assert found == whole
    assert any("connect" in words or "broke" in words for words in opened.transport.faults), opened.transport.faults
    recording_file.write(whole, tmp_path / "a.jsonl")
    recording_file.write(found, tmp_path / "b.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_a_server_that_is_not_there_yet_is_tried_again_later(trio, alone, tmp_path):
    gone = f"http://127.0.0.1:{free_port()}"
    opened = open_model(spec(trio[0], gone))
    assert opened.transport.faults == {}
    recording_file.write(recorded(opened, tmp_path), tmp_path / "r.jsonl")
    if gone > trio[0]:
        assert (tmp_path / "r.jsonl").read_bytes() == alone
    assert "a server is out of reach" in opened.transport.faults
    with pytest.raises(ModelError, match=r"failed 2 times in a row: no connection"):
        open_model(spec(gone, f"http://127.0.0.1:{free_port()}"))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"seed": 2}, "other log-probabilities"),
        ({"seed": 2, "logprobs": False}, "offers something else"),
        ({"model": "cheaper"}, "reports another model"),
        ({"dialect": "legacy"}, "offers something else"),
    ],
)
def test_a_server_of_another_model_is_refused(trio, other, words):
    with fake_server(**{"dialect": "vllm", **other}) as stranger, pytest.raises(ModelRefused, match=words) as caught:
        open_model(spec(trio[0], stranger))
    assert "do not serve the same: 127.0.0.1" in str(caught.value)


def test_without_log_probabilities_the_greedy_words_must_agree():
    with ExitStack() as stack:
        one, same, other = (
            stack.enter_context(fake_server(dialect="openai", logprobs=False, seed=seed)) for seed in (1, 1, 2)
        )
        open_model(spec(one, same))
        with pytest.raises(ModelRefused, match="with other words"):
            open_model(spec(one, other))


def test_a_server_that_comes_back_with_another_model_is_not_asked_again(tmp_path):
    with ExitStack() as stack:
        urls = sorted(stack.enter_context(fake_server(dialect="vllm")) for _ in range(2))
        whole = recorded(open_model(spec(urls[0])), tmp_path / "alone")
        opened, swapped = open_model(spec(*urls)), threading.Event()

        def swap(done, total, _):
            if done > total / 3 and not swapped.is_set():
                swapped.set()
                httpx.post(urls[1] + "/_config", json={"model": "cheaper"})

        found = recorded(opened, tmp_path / "together", swap)
        assert swapped.is_set()
        assert found == whole
        faults = opened.transport.faults
        assert any("another model, cheaper" in words for words in faults), faults
        assert any("came back" in words for words in faults), faults


def test_when_all_are_dead_the_run_ends_and_what_was_collected_is_kept(tmp_path):
    with ExitStack() as stack:
        urls = sorted(stack.enter_context(fake_server(dialect="vllm")) for _ in range(2))
        opened, closed = open_model(spec(*urls, more="&backoff=0.01&attempts=3")), threading.Event()

        def kill(done, total, _):
            if done > total / 3 and not closed.is_set():
                closed.set()
                stack.close()

        with pytest.raises(ModelError, match="3 times in a row"):
            recorded(opened, tmp_path, kill)
    kept = sum(path.read_bytes().count(b"\n") for path in tmp_path.glob("answers/*"))
    assert kept > 50


def test_a_request_goes_where_the_fewest_are_under_way():
    with fake_server(dialect="vllm", delay=0.03) as slow, fake_server(dialect="vllm") as quick:
        opened = open_model(spec(slow, quick, more="&concurrency=2"))
        before = [answers(url) for url in (slow, quick)]
        prompt = Prompt(id="x", text="Once", channel="raw")
        asked = [SampleRequest(prompt=prompt, draw=draw, max_tokens=2, temperature=1.0, seed=0) for draw in range(60)]
        threads = [threading.Thread(target=opened.sample, args=(asked[part::4],)) for part in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        slowly, quickly = (answers(url) - early for url, early in zip((slow, quick), before, strict=True))
        assert slowly + quickly == 60
        assert quickly > slowly
