"""A network that breaks one answer in five: nothing is lost, nothing is there twice, the recording is the same."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from servers import fake_server, fault_proxy

from fingerprint import recording_file
from fingerprint.collection.collect import Budget, Collector
from fingerprint.collection.plan import Plan, Settings
from fingerprint.collection.store import Store, identity_of
from fingerprint.errors import BudgetSpent, ModelError
from fingerprint.models.registry import open_model
from fingerprint.models.spec import parse_spec
from fingerprint.probes import Probe

REQUESTS = 10_000


def plan_of(probes: int, draws: int, positions: int = 1) -> Plan:
    rows = tuple(
        Probe(
            id=f"p{place}",
            text=f"Question {place}?",
            set="faults",
            channel="chat",
            draws=draws,
            max_tokens=4,
            positions=positions,
        )
        for place in range(probes)
    )
    return Plan(probes=rows, sets=(), settings=Settings())


def collect(address: str, folder: Path, plan: Plan, *, options: str = "", budget: Budget | None = None):
    spec = f"openai:tiny?base_url={address}&concurrency=16&backoff=0.005&attempts=40&timeout=0.5{options}"
    backend = open_model(parse_spec(spec))
    collector = Collector(backend=backend, store=Store(folder, identity_of(backend)), budget=budget or Budget())
    return collector.recording(plan), backend


def stored(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("answers/*"))


@pytest.fixture(scope="module")
def upstream():
    with fake_server(dialect="openai") as address:
        yield address


@pytest.fixture(scope="module")
def proxy(upstream):
    with fault_proxy(upstream) as address:
        yield address


def test_ten_thousand_requests_with_one_fault_in_five(proxy, tmp_path):
    plan = plan_of(probes=100, draws=REQUESTS // 100, positions=0)
    httpx.post(proxy + "/_faults", json={"share": 0.0})
    whole, _ = collect(proxy, tmp_path / "whole", plan)
    httpx.post(proxy + "/_faults", json={"share": 0.2, "seed": 7, "storm": [3000, 3200]})
    broken, backend = collect(proxy, tmp_path / "broken", plan)
    counts = httpx.get(proxy + "/_faults").json()
    httpx.post(proxy + "/_faults", json={"share": 0.0})
    assert len(whole.samples) == REQUESTS
    assert broken.digest == whole.digest
    assert len({(sample.prompt, sample.draw) for sample in broken.samples}) == REQUESTS
    assert sum(counts.values()) > 0.19 * REQUESTS
    assert min(counts.values()) > 50, counts  # every kind of fault was there
    met = backend.transport.faults
    for words in ("another model", "another request", "not JSON", "status 429", "status 500", "broke"):
        assert any(words in kind for kind in met), (words, met)
    keys = [json.loads(line)["key"] for line in next((tmp_path / "broken" / "answers").iterdir()).read_bytes().splitlines()]
    assert len(keys) == len(set(keys))


def test_distributions_come_through_the_same_faults(proxy, tmp_path):
    plan = plan_of(probes=60, draws=2)
    httpx.post(proxy + "/_faults", json={"share": 0.0})
    whole, _ = collect(proxy, tmp_path / "whole", plan)
    httpx.post(proxy + "/_faults", json={"share": 0.3, "seed": 8})
    broken, _ = collect(proxy, tmp_path / "broken", plan)
    httpx.post(proxy + "/_faults", json={"share": 0.0})
    assert whole.distributions
    assert broken.digest == whole.digest


def test_an_answer_that_comes_twice_is_known_by_its_id(proxy, tmp_path):
    """From servers that do not repeat our request id, only the answer's own id tells, once the first one is there."""
    plan = plan_of(probes=50, draws=6, positions=0)
    httpx.post(proxy + "/_faults", json={"share": 0.0, "strip": True})
    whole, _ = collect(proxy, tmp_path / "whole", plan)
    httpx.post(proxy + "/_faults", json={"share": 0.2, "seed": 9, "kinds": ["duplicate"], "strip": True})
    broken, backend = collect(proxy, tmp_path / "broken", plan, options="&concurrency=1")
    httpx.post(proxy + "/_faults", json={"share": 0.0})
    assert backend.transport.faults["the answer was given before"] > 30
    assert broken.digest == whole.digest


def test_a_server_that_dies_ends_the_run_and_the_next_run_goes_on(proxy, tmp_path):
    plan = plan_of(probes=50, draws=4, positions=0)
    whole, _ = collect(proxy, tmp_path / "whole", plan)
    httpx.post(proxy + "/_faults", json={"share": 0.0, "storm": [80, 1_000_000]})
    with pytest.raises(ModelError, match="status 429"):
        collect(proxy, tmp_path / "broken", plan, options="&attempts=3")
    httpx.post(proxy + "/_faults", json={"share": 0.0})
    kept = stored(tmp_path / "broken")
    assert 20 < kept < 200
    again, _ = collect(proxy, tmp_path / "broken", plan)
    assert again.digest == whole.digest


@pytest.mark.parametrize("limit", [{"requests": 90}, {"tokens": 3000}, {"minutes": 0.002}])
def test_every_limit_stops_cleanly_and_the_next_run_goes_on(upstream, tmp_path, limit):
    plan = plan_of(probes=60, draws=10, positions=0)
    whole, _ = collect(upstream, tmp_path / "whole", plan)
    with pytest.raises(BudgetSpent, match=f"--max-{next(iter(limit))}"):
        collect(upstream, tmp_path / "cut", plan, budget=Budget(**limit))
    kept = stored(tmp_path / "cut")
    assert kept < 660
    if "requests" in limit:
        assert kept == 90
    assert collect(upstream, tmp_path / "cut", plan)[0].digest == whole.digest


def test_tokens_that_were_set_aside_and_not_needed_are_given_back(upstream, tmp_path):
    plan = plan_of(probes=20, draws=5, positions=0)
    budget = Budget(tokens=10_000_000)
    recording, backend = collect(upstream, tmp_path, plan, budget=budget)
    asked = [request for probe in plan.probes for request in plan.samples(probe)]
    real = sum(backend.ask(request).cost.tokens for request in asked)
    sentinels = 36 * real / len(asked)
    assert 10_000_000 - budget.tokens == pytest.approx(real + sentinels, rel=0.5)
    assert len(recording.samples) == 100


def test_an_unannounced_change_of_model_is_noticed(tmp_path):
    plan = plan_of(probes=60, draws=5)
    with fake_server(dialect="openai") as address:
        same, _ = collect(address, tmp_path / "same", plan)
        httpx.post(address + "/_config", json={"swap_after": 200})
        changed, _ = collect(address, tmp_path / "changed", plan)
    assert same.drift.across == same.drift.within == 0
    assert changed.drift.pvalue < 0.01
    assert changed.drift.across > changed.drift.within + 0.05


def test_a_change_of_text_alone_is_noticed_too(tmp_path):
    plan = plan_of(probes=60, draws=5)
    with fake_server(dialect="openai", logprobs=False) as address:
        httpx.post(address + "/_config", json={"swap_after": 200})
        changed, backend = collect(address, tmp_path / "changed", plan)
    assert backend.capabilities.topk == 0
    assert changed.drift.pvalue < 0.01


def test_a_model_under_another_name_half_way_ends_the_run_and_is_kept_apart(tmp_path):
    plan = plan_of(probes=60, draws=5, positions=0)
    with fake_server(dialect="openai") as address:
        httpx.post(address + "/_config", json={"swap_after": 100, "swap_model": "cheaper"})
        with pytest.raises(ModelError, match="another model, cheaper"):
            collect(address, tmp_path, plan, options="&attempts=2")
        kept = stored(tmp_path)
        assert 40 < kept <= 100


_CHILD = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_faults import collect, plan_of
from fingerprint import recording_file
plan = plan_of(probes=100, draws=25, positions=0)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        recording, _ = collect({address!r}, Path({folder!r}), plan)
        recording_file.write(recording, Path({folder!r}) / "end.jsonl")
        os._exit(0)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("ended", flush=True)
"""


def test_killed_fifty_times_nothing_is_lost(tmp_path, upstream):
    """One process imports everything once and forks; each of its children collects until it is killed."""
    dice = random.Random(5)
    plan = plan_of(probes=100, draws=25, positions=0)
    whole, _ = collect(upstream, tmp_path / "whole", plan)
    recording_file.write(whole, tmp_path / "whole.jsonl")
    folder = tmp_path / "killed"
    folder.mkdir()
    code = _CHILD.format(tests=str(Path(__file__).parent), address=upstream, folder=str(folder))
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        kept = 0
        for _ in range(50):
            parent.stdin.write("\n")
            parent.stdin.flush()
            child = int(parent.stdout.readline())
            time.sleep(dice.uniform(0.02, 0.2))
            os.kill(child, signal.SIGKILL)
            assert parent.stdout.readline() == "ended\n"
            lines = stored(folder)
            assert lines >= kept  # a kill may cost the answers under way, never those that were there
            kept = lines
        assert not (folder / "end.jsonl").exists() or kept >= 2500
        parent.stdin.write("\n")
        parent.stdin.flush()
        parent.stdout.readline()
        assert parent.stdout.readline() == "ended\n"
    finally:
        parent.kill()
        parent.communicate()
    assert (folder / "end.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
