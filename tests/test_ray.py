"""The Ray engine on a cluster of two nodes that the test starts; one of them is killed."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

import pytest

from fingerprint import many, recording_file, sketch_store
from fingerprint.api import Options
from fingerprint.bench import scale
from fingerprint.collection.execution import Here, engine
from fingerprint.errors import FingerprintError, RunEnded, UsageError

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'fingerprint-lineage[ray]'")
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own warnings are not ours


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = made.add_node(num_cpus=1)
    made.wait_for_nodes()
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


def test_no_cluster_is_one_sentence():
    ray.shutdown()
    with pytest.raises(RunEnded, match=r"no Ray cluster at 127\.0\.0\.1:1") as caught:
        list(engine("ray", address="127.0.0.1:1").map(abs, [1]))
    assert isinstance(caught.value, FingerprintError)
