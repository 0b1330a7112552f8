"""Ask a server: a window of requests that never runs empty, every answer stored as it comes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any

from fingerprint.collection.budget import Budget
from fingerprint.collection.pool import Outcome, Pool
from fingerprint.collection.store import Store
from fingerprint.errors import BudgetSpent, FingerprintError
from fingerprint.models.base import Answer, Remote, Request
from fingerprint.recording import as_row

_Outcomes = list[Outcome[int, Answer]]
_PATIENCE = 1.0  # seconds without an answer, after an interruption
_GATHER = 0.02  # seconds in which answers that come together are stored together


def ask_server(
    backend: Remote,
    requests: Sequence[Request],
    keys: Sequence[str],
    *,
    store: Store,
    budget: Budget,
    progress: Callable[[int, int], None],
) -> Generator[float, None, None]:
    """Answer what the store lacks, in the order given, many at a time. Yields the share that is done.

    Whoever drives this may ask another model between two steps; the requests under way go on. When a limit or a failure
    ends it, the answers under way are waited for and kept.

    Raises:
        BudgetSpent: a limit is reached.
        ModelError: the server fails for good.

    """
    waiting = deque(_missing(keys, store))
    done = len(requests) - len(waiting)
    run = _Run(backend, requests, keys, store, budget)
    try:
        run.top_up(waiting)
        while run.pool.running:
            outcomes = run.pool.harvest(gather=_GATHER)
            run.top_up(waiting)  # first, so that no thread waits for the disk
            run.keep(outcomes)
            done += len(outcomes)
            progress(done, len(requests))
            try:
                yield done / len(requests)
            except FingerprintError as error:  # another model's run has ended, and ours shall end with it
                run.fail(error)
    finally:
        run.stop()
    if run.failure is not None:
        raise run.failure


def _missing(keys: Sequence[str], store: Store) -> list[int]:
    seen: set[str] = set()
    places = []
    for place, key in enumerate(keys):
        if key not in seen and store.get(key) is None:
            places.append(place)
        seen.add(key)
    return places


class _Run:
    def __init__(
        self, backend: Remote, requests: Sequence[Request], keys: Sequence[str], store: Store, budget: Budget
    ) -> None:
        self._backend, self._requests, self._keys, self._store, self._budget = backend, requests, keys, store, budget
        self.pool: Pool[int, Answer] = Pool(lambda place: backend.ask(requests[place]), backend.concurrency)
        self.failure: Exception | None = None

    def top_up(self, waiting: deque[int]) -> None:
        while waiting and self.failure is None and self.pool.hungry:
            cost = self._backend.cost(self._requests[waiting[0]])
            try:
                self._budget.spend(cost.requests, cost.tokens)
            except BudgetSpent as error:
                # What waits in the queue is within the limit already, unless the limit is the clock.
                self.failure = error
                if self._budget.overdue:
                    self._take_back()
                return
            self.pool.submit(waiting.popleft())

    def keep(self, outcomes: _Outcomes) -> None:
        entries: list[tuple[str, list[dict[str, Any]]]] = []
        for outcome in outcomes:
            if outcome.error is not None:
                self.fail(outcome.error)
            elif outcome.answer is not None:
                self._budget.settle(self._backend.cost(self._requests[outcome.job]), outcome.answer.cost)
                if not outcome.answer.refused:
                    entries.append((self._keys[outcome.job], [as_row(row) for row in outcome.answer.rows]))
        self._store.put(entries)

    def stop(self) -> None:
        """Nothing new. After an interruption what is answered within a moment is kept, and nobody waits for the rest."""
        self._take_back()
        while self.pool.running and (outcomes := self.pool.harvest(patience=_PATIENCE)):
            self.keep(outcomes)
        self.pool.close()

    def fail(self, error: Exception) -> None:
        # The first reason is the one to tell; the rest are its echoes.
        self.failure = self.failure or error
        self._take_back()

    def _take_back(self) -> None:
        for place in self.pool.drop_waiting():
            self._budget.give_back(self._backend.cost(self._requests[place]))
