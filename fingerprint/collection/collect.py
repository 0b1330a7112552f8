"""Collect: run a plan against one model and return its recording.

Requests are grouped into batches by the plan alone, never by what is already stored, so that an interrupted run
that is started again asks in the same batches and ends with the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import TypeAdapter

from fingerprint.collection.plan import Plan
from fingerprint.collection.store import Store, request_key
from fingerprint.errors import BudgetSpent
from fingerprint.models.base import Backend, DistributionRequest, SampleRequest, ScoreRequest
from fingerprint.recording import Distribution, Protocol, Recording, Sample, Score, TensorSketch, as_row

Request = SampleRequest | DistributionRequest | ScoreRequest
R = TypeVar("R", SampleRequest, DistributionRequest, ScoreRequest)
#: Called with (requests done, requests in all, what is being done).
Progress = Callable[[int, int, str], None]
_SAMPLES = TypeAdapter(list[Sample])
_DISTRIBUTIONS = TypeAdapter(list[Distribution])
_SCORES = TypeAdapter(list[Score])
_SKETCH = TypeAdapter(list[TensorSketch])


def silent(done: int, total: int, what: str) -> None:
    """Progress for nobody."""


@dataclass(slots=True, kw_only=True)
class Budget:
    """How many requests may still be sent; None is no limit."""

    requests: int | None = None

    def spend(self, count: int) -> None:
        if self.requests is None:
            return
        if count > self.requests:
            raise BudgetSpent(
                "The limit of --max-requests is reached; everything collected is kept.",
                hint="Run the same command with a higher limit to go on from here.",
            )
        self.requests -= count


@dataclass(frozen=True, kw_only=True)
class Collector:
    """One model, one store, one budget: answers requests from the store where it can, from the model otherwise."""

    backend: Backend
    store: Store
    budget: Budget
    progress: Progress = silent

    def recording(self, plan: Plan) -> Recording:
        """Everything that the plan asks of this model, as far as it is capable.

        Raises:
            BudgetSpent: the limit was reached; the store keeps what was answered.
            ModelBroken: the model answers NaN.
            StorageError: the disk is full.

        """
        can = self.backend.capabilities
        probes = [replace(probe, channel=self.backend.asked(probe.prompt).channel) for probe in plan.probes]
        wanted = [request for probe in probes if (request := plan.distribution(probe, can))]
        repeats = [
            replace(request, draw=1, positions=request.positions[-1:])
            for probe in replace(plan, probes=tuple(probes)).repeated()
            if (request := plan.distribution(probe, can))
        ]
        drawn = [request for probe in probes for request in plan.samples(probe)] if can.samples else []
        distributions = self._answers(wanted, self.backend.distributions, "distributions")
        repeated = self._answers(repeats, self.backend.distributions, "repeated distributions")
        samples = self._answers(drawn, _each(self.backend.sample), "answers")
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
            prompts=tuple(probe.prompt for probe in probes),
            samples=tuple(_rows(samples, drawn, _SAMPLES)),
            distributions=tuple(_rows([*distributions, *repeated], [*wanted, *repeats], _DISTRIBUTIONS)),
            sketch=self._sketch() if can.weights else (),
        )

    def scores(self, requests: Sequence[ScoreRequest]) -> tuple[Score, ...]:
        """Log-likelihoods of given texts under this model, in order."""
        asked = [replace(request, prompt=self.backend.asked(request.prompt)) for request in requests]
        return tuple(_rows(self._answers(asked, _each(self.backend.score), "scores"), asked, _SCORES))

    def _sketch(self) -> tuple[TensorSketch, ...]:
        key = request_key(self.backend.info.digest, {"task": "sketch", "version": 1}, 0)
        stored = self.store.get(key)
        if stored is None:
            stored = [as_row(row) for row in self.backend.sketch()]
            self.store.put([(key, stored)])
        return tuple(_SKETCH.validate_python(stored))

    def _answers(
        self, requests: Sequence[R], ask: Callable[[Sequence[R]], Sequence[Sequence[Any]]], what: str
    ) -> list[list[Any]]:
        """The stored rows of every request, asking for what is missing batch by batch."""
        keys = [self._key(request) for request in requests]
        done = 0
        for places in self._batches(requests):
            missing = [place for place in places if self.store.get(keys[place]) is None]
            if missing:
                self.budget.spend(len(places))
                answers = ask([requests[place] for place in places])
                self.store.put(
                    (keys[place], [as_row(row) for row in rows]) for place, rows in zip(places, answers, strict=True)
                )
            done += len(places)
            self.progress(done, len(requests), what)
        found = [self.store.get(key) for key in keys]
        return [rows if rows is not None else [] for rows in found]

    def _key(self, request: Request) -> str:
        fields = {name: value for name, value in as_row(request).items() if name not in {"prompt", "draw"}}
        prompt = request.prompt
        asked = {"channel": prompt.channel, "system": prompt.system, "text": prompt.text}
        body = {"task": type(request).__name__, "runtime": self.backend.runtime, **asked, **_prefixed(fields)}
        return request_key(self.backend.info.digest, body, getattr(request, "draw", 0))

    def _batches(self, requests: Sequence[R]) -> Iterator[list[int]]:
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


def _each(ask: Callable[[Sequence[Any]], Sequence[Any]]) -> Callable[[Sequence[Any]], list[list[Any]]]:
    return lambda batch: [[row] for row in ask(batch)]


def _rows(answers: Sequence[list[Any]], requests: Sequence[Request], adapter: TypeAdapter[Any]) -> Iterator[Any]:
    for stored, request in zip(answers, requests, strict=True):
        for row in adapter.validate_python(stored):
            # The store knows requests by their words; the prompt's id is this recording's own.
            yield row if row.prompt == request.prompt.id else replace(row, prompt=request.prompt.id)
