"""The Ray engine on a cluster of two nodes that the test starts; one of them is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from fingerprint import gate, many, recording_file, sketch_store
from fingerprint.api import Options
from fingerprint.bench import scale
from fingerprint.collection.execution import Here, engine
from fingerprint.errors import FingerprintError, RunEnded, UsageError

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'fingerprint-lineage[ray]'")
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own warnings are not ours


def two_nodes():
    """A cluster of a head and a second node, which is returned too."""
    from ray.cluster_utils import Cluster

    for _ in range(3):
        made = Cluster()
        try:
            made.add_node(num_cpus=1, include_dashboard=False)
            second = made.add_node(num_cpus=1)
            made.wait_for_nodes()
        except Exception as error:
            # Ray gives its own processes fifteen seconds to start, and nobody can give them more.
            reason = str(error)
            made.shutdown()
        else:
            return made, second
    return pytest.skip(f"Ray does not start on this machine: {reason[:100]}")


@pytest.fixture(scope="module")
def cluster():
    made, second = two_nodes()
    # Workers import this module by name, as they import the package.
    here = str(Path(__file__).parent)
    ray.init(address=made.address, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": here}})
    yield made, second
    ray.shutdown()
    made.shutdown()


def slow_square(number, *, folder):
    (Path(folder) / f"{number}-{os.getpid()}-{time.monotonic_ns()}").touch()
    time.sleep(0.3)
    return number * number


def dies_once(number, *, folder):
    mark = Path(folder) / f"died-{number}"
    if number == 2 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), 9)
    return -number


def refuses(number):
    raise UsageError(f"shard {number} is no good")


@pytest.mark.usefixtures("cluster")
def test_results_come_in_order_and_errors_keep_their_class(tmp_path):
    found = list(engine("ray").map(partial(slow_square, folder=str(tmp_path)), [3, 1, 2]))
    assert found == [9, 1, 4]
    with pytest.raises(UsageError, match="shard 7 is no good"):
        list(engine("ray").map(refuses, [7]))


@pytest.mark.usefixtures("cluster")
def test_a_killed_worker_costs_one_shard(tmp_path):
    assert list(engine("ray").map(partial(dies_once, folder=str(tmp_path)), [1, 2, 3])) == [-1, -2, -3]
    assert (tmp_path / "died-2").exists()


@pytest.mark.usefixtures("cluster")
def test_many_models_are_recorded_as_they_are_here(tmp_path):
    specs = ["toy:parrot?seed=1", "./no-such-model", "toy:parrot?seed=2"]
    options = Options(probes="style", store=tmp_path / "store")
    there = many.record_many(specs, options, tmp_path / "there", engine("ray"), lambda _: None)
    here = many.record_many(specs, Options(probes="style", store=tmp_path / "other"), tmp_path / "here", Here(), lambda _: None)
    assert [each.digest for each in there] == [each.digest for each in here]
    assert [bool(each.error) for each in there] == [False, True, False]
    for path in (tmp_path / "here").iterdir():
        assert (tmp_path / "there" / path.name).read_bytes() == path.read_bytes()
    assert recording_file.read(Path(there[0].path)).digest == there[0].digest


def test_a_lost_node_costs_its_shards_and_the_bytes_are_the_same(cluster, tmp_path):
    made, second = cluster
    scale.synthetic(40, tmp_path / "panel", prompts=24)
    files = sorted((tmp_path / "panel").glob("*.jsonl.zst"))
    alone, apart = (sketch_store.name_panel(files, tmp_path / name) for name in ("alone", "apart"))
    sketch_store.make(alone)

    work = partial(slow_square, folder=str(tmp_path))
    running = engine("ray").map(work, list(range(12)))
    found = [next(running)]
    made.remove_node(second, allow_graceful=False)
    found += list(running)
    assert found == [number * number for number in range(12)]
    # What was lost was done again, and nothing else: far fewer turns than twice the shards.
    assert 12 <= len([path for path in tmp_path.iterdir() if path.name[0].isdigit()]) <= 18

    sketch_store.make(apart, engine("ray"))
    kept = {path.name: path.read_bytes() for path in (tmp_path / "alone").iterdir()}
    assert kept == {path.name: path.read_bytes() for path in (tmp_path / "apart").iterdir()}


POLICY = """
schema_version = "1.0"
name = "gate"
probes = "style"

[[rule]]
id = "one"
sentence = "S."
subject = "toy:parrot?seed=1"
against = ["toy:parrot?seed=2", "toy:parrot?seed=3", "toy:parrot?seed=4", "toy:parrot?seed=5"]
"""


@pytest.mark.usefixtures("cluster")
def test_a_policy_is_decided_as_it_is_here(tmp_path):
    (tmp_path / "p.toml").write_text(POLICY)
    there = gate.check(tmp_path / "p.toml", options=Options(store=tmp_path / "a"), engine=engine("ray"))
    here = gate.check(tmp_path / "p.toml", options=Options(store=tmp_path / "b"))
    assert there.decision == here.decision
    assert len(list((tmp_path / "a" / "answers").iterdir())) == 5
    assert {key: report.result for key, report in there.reports.items()} == {
        key: report.result for key, report in here.reports.items()
    }


def test_a_cluster_that_is_gone_half_way_is_one_sentence_and_the_run_goes_on_without_it(tmp_path):
    """The whole program as a user runs it, against a cluster whose every node is killed after the first model."""
    ray.shutdown()
    made, second = two_nodes()
    head = made.head_node
    specs = [f"toy:parrot?seed={seed}" for seed in range(60)]
    command = [sys.executable, "-m", "fingerprint.cli.app", "collect", *specs, "-o", str(tmp_path / "out"), "--probes", "style"]
    environment = {**os.environ, "FINGERPRINT_CACHE": str(tmp_path / "store")}
    running = subprocess.Popen(
        [*command, "--engine", "ray", "--ray-address", made.address], stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        lines = [running.stderr.readline()]
        assert lines[0].startswith("1 of 60: "), lines[0] + running.stderr.read()
        for node in (second, head):
            node.kill_all_processes(check_alive=False, allow_graceful=False)
        lines += running.communicate(timeout=120)[1].splitlines()
    finally:
        running.kill()
        made.shutdown()
    assert running.returncode == 4, lines
    said = [line for line in lines if line.startswith("fingerprint: ")]
    assert len(said) == 1, lines
    assert "The Ray cluster is gone after" in said[0]
    assert "run the same command again" in said[0]
    kept = len(list((tmp_path / "out").glob("*.jsonl.zst")))
    assert 1 <= kept < 60
    again = subprocess.run(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert again.returncode == 0, again.stderr
    assert len(list((tmp_path / "out").glob("*.jsonl.zst"))) == 60


def test_no_cluster_is_one_sentence():
    ray.shutdown()
    with pytest.raises(RunEnded, match=r"no Ray cluster at 127\.0\.0\.1:1") as caught:
        list(engine("ray", address="127.0.0.1:1").map(abs, [1]))
    assert isinstance(caught.value, FingerprintError)
