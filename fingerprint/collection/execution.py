"""Where work on many models runs: here, in processes beside, or on a Ray cluster.

Work is cut into shards (a model to record, a few recordings to read). An engine moves shards to workers and their
small results back, in order. What was collected is in the store and in files, never in the engine: a shard that
is lost with its worker is done again, and finds there whatever was finished.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, TypeVar

from fingerprint.errors import RunEnded, UsageError

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

Shard = TypeVar("Shard")
Result = TypeVar("Result")
ENGINES = ("here", "processes", "ray")


class Engine(Protocol):
    """Anything that can do the same work on many shards."""

    def map(self, work: Callable[[Shard], Result], shards: Sequence[Shard]) -> Iterator[Result]:
        """Results in the order of the shards. ``work`` must be importable by name, its results small.

        Raises:
            RunEnded: the workers are gone; what they had finished is kept.

        """
        ...


@dataclass(frozen=True, slots=True)
class Here:
    """One shard after the other, in this process."""

    def map(self, work: Callable[[Shard], Result], shards: Sequence[Shard]) -> Iterator[Result]:
        return map(work, shards)


@dataclass(frozen=True, kw_only=True)
class Processes:
    """A few processes on this machine, started once and ended with the program."""

    workers: int

    def map(self, work: Callable[[Shard], Result], shards: Sequence[Shard]) -> Iterator[Result]:
        from concurrent.futures.process import BrokenProcessPool

        done = 0
        try:
            for result in self._pool.map(work, shards):
                yield result
                done += 1
        except BrokenProcessPool as error:
            raise RunEnded(
                f"A worker process died after {done} of {len(shards)} shards, perhaps for want of memory.",
                hint="What was finished is kept; run the same command again, with fewer --workers if it was memory.",
            ) from error

    def close(self) -> None:
        """End the processes; the engine must not be used afterwards."""
        if "_pool" in self.__dict__:
            self._pool.shutdown()

    @cached_property
    def _pool(self) -> ProcessPoolExecutor:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        # spawn: a forked copy of a process that has used torch can hang in its thread pool.
        return ProcessPoolExecutor(self.workers, mp_context=multiprocessing.get_context("spawn"))


def engine(name: str, *, workers: int = 2, address: str = "") -> Engine:
    """An engine by its name; ``address`` is that of a Ray cluster, else one is started on this machine.

    Raises:
        UsageError: the name is unknown, or Ray is not installed.

    """
    if name == "here":
        return Here()
    if name == "processes":
        return Processes(workers=workers)
    if name != "ray":
        raise UsageError(f"There is no engine {name!r}.", hint=f"Known: {', '.join(ENGINES)}.")
    try:
        from fingerprint.collection.execution_ray import RayEngine
    except ModuleNotFoundError as error:
        raise UsageError(
            "The engine ray needs Ray, which is not installed.", hint="Install it: pip install 'fingerprint-lineage[ray]'."
        ) from error
    return RayEngine(address=address)
