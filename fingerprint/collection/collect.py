"""Collect: run a plan against one model and return its recording.

Requests are grouped into batches by the plan alone, never by what is already stored, so that an interrupted run
that is started again asks in the same batches and ends with the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

from pydantic import TypeAdapter

from fingerprint.collection.budget import Budget
from fingerprint.collection.drift import measure
from fingerprint.collection.plan import Plan
from fingerprint.collection.remote import ask_server
from fingerprint.collection.steps import Steps, finished
from fingerprint.collection.store import Store, identity_of, request_key
from fingerprint.collection.work import make_work
from fingerprint.models.base import (
    Backend,
    Capabilities,
    DistributionRequest,
    Remote,
    Request,
    SampleRequest,
    ScoreRequest,
)
from fingerprint.recording import Distribution, Note, Protocol, Recording, Sample, Score, TensorSketch, as_row

__all__ = ["Budget", "Collector", "Progress", "silent"]
#: Called with (requests done, requests in all, what is being done).
Progress = Callable[[int, int, str], None]
_SAMPLES = TypeAdapter(list[Sample])
_DISTRIBUTIONS = TypeAdapter(list[Distribution])
_SCORES = TypeAdapter(list[Score])
_SKETCH = TypeAdapter(list[TensorSketch])
_ADAPTERS: dict[type, TypeAdapter[Any]] = {DistributionRequest: _DISTRIBUTIONS, SampleRequest: _SAMPLES}


def silent(done: int, total: int, what: str) -> None:
    """Progress for nobody."""


@dataclass(frozen=True, kw_only=True)
class Collector:
    """One model, one store, one budget: answers requests from the store where it can, from the model otherwise.

    ``can`` and ``notes`` are what the handshake left of the backend's capabilities, and why. Under a ``seal`` (its digest)
    nothing is taken from the store that was asked without it: what came before a seal was not made under it.
    """

    backend: Backend
    store: Store
    budget: Budget
    progress: Progress = silent
    can: Capabilities | None = None
    notes: tuple[Note, ...] = ()
    seal: str = ""

    def recording(self, plan: Plan) -> Recording:
        """Everything that the plan asks of this model, as far as it is capable. Raises as `steps`."""
        return finished(self.steps(plan))

    def steps(self, plan: Plan) -> Steps[Recording]:
        """The recording, step by step: yields the share that is done, so that several models can be asked in turn.

        Raises:
            BudgetSpent: the limit was reached; the store keeps what was answered.
            ModelError: the model answers NaN, or its server fails.
            StorageError: the disk is full.

        """
        work = make_work(plan, self.backend, self.can or self.backend.capabilities)
        yield from self._answer(work.in_order, "answers")
        settings = plan.settings
        return Recording(
            model=self.backend.info,
            protocol=Protocol(
                temperature=settings.temperature,
                top_k=0,
                system=settings.system,
                seed=settings.seed,
                runtime=self.backend.runtime,
            ),
            probe_sets=plan.sets,
            prompts=tuple(probe.prompt for probe in work.probes),
            samples=tuple(self._rows(work.samples, _SAMPLES)),
            distributions=tuple(self._rows([*work.distributions, *work.repeats], _DISTRIBUTIONS)),
            sketch=self._sketch() if work.can.weights else (),
            notes=(
                *self.notes,
                *self._too_long([request for group in work.in_order for request in group]),
                *(self.backend.notes if isinstance(self.backend, Remote) else ()),
            ),
            drift=measure(*(self._stored(requests) for requests in work.sentinels)) if work.sentinels[1] else None,
            seal=self.seal,
        )

    def scores(self, requests: Sequence[ScoreRequest]) -> tuple[Score, ...]:
        """Log-likelihoods of given texts under this model, in order."""
        asked = [replace(request, prompt=self.backend.asked(request.prompt)) for request in requests]
        finished(self._answer([asked], "scores"))
        return tuple(self._rows(asked, _SCORES))

    @cached_property
    def _identity(self) -> str:
        return identity_of(self.backend)

    def missing(self, requests: Sequence[Request]) -> list[Request]:
        """The requests that the store does not answer yet."""
        return [request for request in requests if self.store.get(self._key(request)) is None]

    def _sketch(self) -> tuple[TensorSketch, ...]:
        key = request_key(self._identity, {"task": "sketch", "version": 1}, 0)
        stored = self.store.get(key)
        if stored is None:
            stored = [as_row(row) for row in self.backend.sketch()]
            self.store.put([(key, stored)])
        return tuple(_SKETCH.validate_python(stored))

    def _answer(self, groups: Sequence[Sequence[Request]], what: str) -> Steps[None]:
        """Have the store hold an answer to every request, group after group."""
        backend = self.backend
        if isinstance(backend, Remote):
            requests = [request for group in groups for request in group]
            keys = [self._key(request) for request in requests]
            yield from ask_server(
                backend,
                requests,
                keys,
                store=self.store,
                budget=self.budget,
                progress=lambda done, total: self.progress(done, total, f"{what} of {backend.info.name}"),
            )
            return
        total = sum(map(len, groups))
        done = 0
        for group in groups:
            fitting = self._fitting(group)
            done += len(group) - len(fitting)
            for count in self._in_batches(fitting):
                done += count
                self.progress(done, total, what)
                yield done / total

    def _in_batches(self, requests: Sequence[Request]) -> Iterator[int]:
        """Ask for what is missing, batch by batch; yields the size of each."""
        keys = [self._key(request) for request in requests]
        for places in self._batches(requests):
            if any(self.store.get(keys[place]) is None for place in places):
                batch = [requests[place] for place in places]
                self.budget.spend(len(batch), self._tokens(batch))
                answers = _ask(self.backend, batch)
                self.store.put(
                    (keys[place], [as_row(row) for row in rows]) for place, rows in zip(places, answers, strict=True)
                )
            yield len(places)

    def _fitting(self, requests: Sequence[Request]) -> list[Request]:
        """The requests that the model can read; the others are stored without an answer, as those a server refuses."""
        fits = [self.backend.fits(request) for request in requests]
        self.store.put((self._key(request), []) for request, fit in zip(requests, fits, strict=True) if not fit)
        return [request for request, fit in zip(requests, fits, strict=True) if fit]

    def _too_long(self, requests: Sequence[Request]) -> Iterator[Note]:
        count = sum(not self.backend.fits(request) for request in requests)
        if count:
            text = f"{count} of {len(requests)} requests are longer than the model can read: their answers are missing"
            yield Note(topic="samples", text=text)

    def _tokens(self, batch: Sequence[Request]) -> int:
        if self.budget.tokens is None:
            return 0
        return sum(self._length(request) + (getattr(request, "max_tokens", 0)) for request in batch)

    def _stored(self, requests: Sequence[Request]) -> list[list[Any]]:
        """The stored rows of each request; none where the model refused."""
        return [list(_ADAPTERS[type(r)].validate_python(self.store.get(self._key(r)) or [])) for r in requests]

    def _rows(self, requests: Sequence[Request], adapter: TypeAdapter[Any]) -> Iterator[Any]:
        for request in requests:
            for row in adapter.validate_python(self.store.get(self._key(request)) or []):
                # The store knows requests by their words; the prompt's id is this recording's own.
                yield row if row.prompt == request.prompt.id else replace(row, prompt=request.prompt.id)

    def _key(self, request: Request) -> str:
        fields = {name: value for name, value in as_row(request).items() if name not in {"prompt", "draw"}}
        prompt = request.prompt
        asked = {"channel": prompt.channel, "system": prompt.system, "text": prompt.text}
        body = {"task": type(request).__name__, "runtime": self.backend.runtime, **asked, **_prefixed(fields)}
        if self.seal:
            body["seal"] = self.seal
        return request_key(self._identity, body, getattr(request, "draw", 0))

    def _batches(self, requests: Sequence[Request]) -> Iterator[list[int]]:
        """Places of requests of similar length, at most one batch at a time.

        All answers of a batch are equally long: the longest keeps the others waiting, and could carry a long prompt
        beyond the last position that its model knows.
        """
        lengths = [self._length(request) for request in requests]
        groups: dict[int, list[int]] = {}
        for place, request in enumerate(requests):
            groups.setdefault(getattr(request, "max_tokens", 0), []).append(place)
        for _, group in sorted(groups.items()):
            order = sorted(group, key=lambda place: (lengths[place], place))
            start = 0
            while start < len(order):
                # The longest of a batch decides its size, so look ahead from the smallest.
                size = self.backend.batch_size(lengths[order[start]])
                last = min(start + size, len(order)) - 1
                size = min(size, self.backend.batch_size(lengths[order[last]]))
                yield order[start : start + size]
                start += size

    def _length(self, request: Request) -> int:
        extra = len(request.text.encode("utf-8", "surrogatepass")) // 3 if isinstance(request, ScoreRequest) else 0
        return self.backend.length(request.prompt) + extra


def _prefixed(fields: dict[str, Any]) -> dict[str, Any]:
    """Request fields under their own names, apart from the prompt's (a score request has a text too)."""
    return {f"request_{name}": value for name, value in fields.items()}


def _ask(backend: Backend, batch: Sequence[Request]) -> Sequence[Sequence[Any]]:
    """One batch of requests of one kind."""
    first = batch[0]
    if isinstance(first, DistributionRequest):
        return backend.distributions(cast("Sequence[DistributionRequest]", batch))
    if isinstance(first, SampleRequest):
        return [[row] for row in backend.sample(cast("Sequence[SampleRequest]", batch))]
    return [[row] for row in backend.score(cast("Sequence[ScoreRequest]", batch))]
