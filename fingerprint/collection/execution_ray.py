"""The engine on a Ray cluster; the only file that imports ray.

A task holds one shard. Ray starts a task again when its worker or node dies; what it cannot mend (a result lost with its
node) is submitted again here. Tasks are asked for in order and a bounded number is under way, so that a thousand models
do not become a thousand processes.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

# Ray reports usage to its makers unless told not to; nobody asked for that.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
import ray
from ray import exceptions

from fingerprint.errors import FingerprintError, RunEnded

Shard = TypeVar("Shard")
Result = TypeVar("Result")
_LOST = (exceptions.WorkerCrashedError, exceptions.NodeDiedError, exceptions.ObjectLostError, exceptions.RayActorError)
_ATTEMPTS = 5
_AHEAD = 2  # tasks under way for each processor of the cluster
_LOOK, _MISSED = 2.0, 2  # seconds between looks at whether the cluster is there; looks in vain after which it is gone


@dataclass(frozen=True, slots=True, kw_only=True)
class RayEngine:
    """Shards as tasks of a cluster at ``address``; without one, of a cluster started on this machine."""

    address: str = ""

    def map(self, work: Callable[[Shard], Result], shards: Sequence[Shard]) -> Iterator[Result]:
        self._connect()
        # One processor a shard, and again on another worker if its own dies; errors of the work itself are final.
        task = ray.remote(num_cpus=1, max_retries=_ATTEMPTS, retry_exceptions=False)(_apply)
        ahead = max(2, _AHEAD * int(ray.cluster_resources().get("CPU", 1)))
        waiting: deque[tuple[int, Any]] = deque()
        following = 0
        done = 0
        try:
            while done < len(shards):
                while following < len(shards) and len(waiting) < ahead:
                    waiting.append((following, task.remote(work, shards[following])))
                    following += 1
                place, reference = waiting.popleft()
                yield _result(task, work, shards[place], reference)
                done += 1
        except (exceptions.RaySystemError, exceptions.RuntimeEnvSetupError, ConnectionError) as error:
            raise RunEnded(
                f"The Ray cluster is gone after {done} of {len(shards)} shards.",
                hint="What they collected is in the store; run the same command again, here or on a cluster.",
            ) from error

    def _connect(self) -> None:
        if ray.is_initialized():
            return
        if self.address and not _answers(self.address):
            # Ray itself would try for minutes.
            raise RunEnded(f"There is no Ray cluster at {self.address}.", hint="Start one with `ray start --head`.")
        try:
            ray.init(address=self.address or None, include_dashboard=False, log_to_driver=False, configure_logging=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise RunEnded(
                f"There is no Ray cluster at {self.address or 'this machine'}: {error}.", hint="Start one with `ray start`."
            ) from error


def _answers(address: str) -> bool:
    """Whether anything listens at HOST:PORT, or the address is of another form."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return True
    try:
        with socket.create_connection((host, int(port)), timeout=5):
            return True
    except OSError:
        return False


def _fetched(reference: Any) -> Any:
    """The result of a task.

    Raises:
        ConnectionError: nobody answers at the cluster's address. Ray itself would wait for a minute, and then end the
            program without a word of ours.

    """
    missed = 0
    while not ray.wait([reference], timeout=_LOOK)[0]:
        missed = 0 if _answers(ray.get_runtime_context().gcs_address) else missed + 1
        if missed >= _MISSED:
            raise ConnectionError("the cluster does not answer")
    return ray.get(reference)


def _apply(work: Callable[[Shard], Result], shard: Shard) -> Result:
    return work(shard)


def _result(task: Any, work: Any, shard: Any, reference: Any) -> Any:
    for attempt in range(_ATTEMPTS):
        try:
            return _fetched(reference)
        except exceptions.RayTaskError as error:
            # The work's own error: ours go on as they are, with their exit code.
            cause = error.cause
            if isinstance(cause, FingerprintError):
                raise cause from None
            raise
        except _LOST as error:
            if attempt + 1 == _ATTEMPTS:
                raise RunEnded(
                    f"A shard was lost {_ATTEMPTS} times with its worker: {type(error).__name__}.",
                    hint="What was collected is in the store; run the same command again.",
                ) from error
            reference = task.remote(work, shard)
    raise AssertionError  # the loop returns or raises
