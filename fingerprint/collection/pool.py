"""Many requests at a time: threads that answer, while one thread plans, counts and stores."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

J = TypeVar("J")
A = TypeVar("A")
_SLICE = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Generic[J, A]):
    """A job with its answer, or with what went wrong instead."""

    job: J
    answer: A | None = None
    error: Exception | None = None


class Pool(Generic[J, A]):
    """Runs ``work`` on jobs in ``size`` threads. They are daemons: an interrupted program does not wait for a server."""

    def __init__(self, work: Callable[[J], A], size: int) -> None:
        self._work = work
        self._jobs: queue.SimpleQueue[J | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Outcome[J, A]] = queue.SimpleQueue()
        self._size = size
        self.running = 0
        for _ in range(size):
            threading.Thread(target=self._serve, daemon=True).start()

    @property
    def hungry(self) -> bool:
        """Whether more jobs should be queued. A few wait, so that no thread idles while answers are stored."""
        return self.running < 3 * self._size

    def submit(self, job: J) -> None:
        """Queue a job."""
        self.running += 1
        self._jobs.put(job)

    def harvest(self, patience: float | None = None, gather: float = 0.0) -> list[Outcome[J, A]]:
        """Everything that is done; waits for one if nothing is, for at most ``patience`` seconds.

        ``gather`` is how long to wait for those that come soon after the first: answers often come many at a time, and
        the threads that read them are not disturbed by one that stores each by itself.
        """
        found: list[Outcome[J, A]] = []
        with contextlib.suppress(queue.Empty):
            while self.running > len(found) and (not found or not self._done.empty()):
                found.append(self._done.get(timeout=patience))
                if len(found) == 1:
                    self._linger(gather)
        self.running -= len(found)
        return found

    def _linger(self, gather: float) -> None:
        until = time.monotonic() + gather
        # As long as every thread has its next job waiting.
        while self._jobs.qsize() >= self._size and time.monotonic() < until:
            time.sleep(_SLICE)

    def drop_waiting(self) -> list[J]:
        """Take back the jobs that no thread has begun."""
        dropped: list[J] = []
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                self.running -= len(dropped)
                return dropped
            if job is not None:
                dropped.append(job)

    def close(self) -> None:
        """Let the threads end after what they are doing."""
        for _ in range(self._size):
            self._jobs.put(None)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                self._done.put(Outcome(job=job, answer=self._work(job)))
            except Exception as error:  # whatever it is, the planning thread must hear of it
                self._done.put(Outcome(job=job, error=error))
