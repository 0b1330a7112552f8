"""`check` on an engine: the decision is the same; what stands in the way of an engine is one sentence."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fingerprint import api, gate, many
from fingerprint.collection.budget import Budget
from fingerprint.collection.execution import Here, Processes, engine
from fingerprint.errors import UsageError
from fingerprint.models import toy

POLICY = """
schema_version = "1.0"
name = "gate"
probes = "style"

[[rule]]
id = "one"
sentence = "S."
subject = "toy:parrot?seed=1"
against = ["toy:parrot?seed=2", "openai:gone?base_url=http://127.0.0.1:9/v1&attempts=1"]
controls = ["toy:parrot?seed=3"]

[[rule]]
id = "claims"
sentence = "S."
subject = "zoo:twin"
claims = "not-contradicted"
"""


GONE = "openai:gone?base_url=http://127.0.0.1:9/v1&attempts=1"


class Counting:
    """The engine of this process, which remembers what it was given."""

    def __init__(self):
        self.given = []

    def map(self, work, shards):
        self.given += shards
        return Here().map(work, shards)


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text(POLICY)
    return path


def test_the_decision_is_the_same_with_worker_processes(policy, tmp_path, monkeypatch):
    here = gate.check(policy, options=api.Options(store=tmp_path / "a"))
    workers = Processes(workers=2)
    plain = toy.Toy.sample

    def sample(self, batch):
        """What the workers put into the store is all there is: in this process hands are shaken, and nobody is asked."""
        assert {request.prompt.id for request in batch} == {"handshake"}
        return plain(self, batch)

    monkeypatch.setattr(toy.Toy, "sample", sample)
    there = gate.check(policy, options=api.Options(store=tmp_path / "b"), engine=workers)
    workers.close()
    assert there.decision == here.decision
    assert {key: report.result for key, report in there.reports.items()} == {
        key: report.result for key, report in here.reports.items()
    }
    assert [finding.outcome for finding in there.decision.findings].count("error") == 1


def test_each_model_is_a_shard_once_and_what_the_baseline_knows_is_none(policy, tmp_path):
    first = Counting()
    options = api.Options(store=tmp_path / "store")
    done = gate.check(policy, options=options, engine=first)
    assert sorted(first.given) == [GONE, *(f"toy:parrot?seed={seed}" for seed in (1, 2, 3))]
    from fingerprint.report.baseline import to_text

    (tmp_path / "b.json").write_text(to_text(done.baseline))
    again = Counting()
    gate.check(policy, options=options, engine=again, baseline=tmp_path / "b.json")
    # Only the comparison with the model that is not there is not in the baseline.
    assert sorted(again.given) == [GONE, "toy:parrot?seed=1", "toy:parrot?seed=3"]


def test_a_limit_is_not_multiplied_by_the_number_of_workers(policy, tmp_path):
    options = api.Options(store=tmp_path / "store", budget=Budget(requests=5))
    with pytest.raises(UsageError, match="counted in one process"):
        gate.check(policy, options=options, engine=engine("processes"))
    with pytest.raises(UsageError, match="counted in one process"):
        many.record_many(["toy:parrot?seed=1"], options, tmp_path / "out", engine("processes"), lambda _: None)


def test_without_ray_the_engine_is_one_sentence(tmp_path):
    """In a process where Ray cannot be imported, as where it is not installed."""
    code = "import sys; sys.modules['ray'] = None; from fingerprint.cli.app import main; main()"
    command = [sys.executable, "-c", code, "collect", "toy:parrot", "toy:echo", "-o", str(tmp_path / "out"), "--engine", "ray"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Ray, which is not installed" in done.stderr
    assert not (tmp_path / "out").exists()
