"""The requests that a plan means for one model, and the order in which they are sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fingerprint.canonical import digest
from fingerprint.collection.drift import Sentinel, sentinels
from fingerprint.collection.plan import Plan
from fingerprint.models.base import Backend, Capabilities, DistributionRequest, Remote, Request, SampleRequest
from fingerprint.probes import Probe


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """All requests to one model. ``sentinels`` are those of the beginning and of the end, none for a local model."""

    can: Capabilities
    probes: tuple[Probe, ...]
    distributions: tuple[DistributionRequest, ...]
    repeats: tuple[DistributionRequest, ...]
    samples: tuple[SampleRequest, ...]
    sentinels: tuple[list[Sentinel], list[Sentinel]]
    shuffled: bool

    @property
    def in_order(self) -> list[Sequence[Request]]:
        """Groups of requests as they are sent. A server gets its main requests shuffled, the same way every time.

        So nothing that happens to a server in the course of a run falls on one probe set alone.
        """
        if not self.shuffled:
            return [self.distributions, self.repeats, self.samples]
        mixed: list[Request] = [*self.distributions, *self.samples]
        mixed.sort(key=lambda request: digest([type(request).__name__, request.prompt.key, getattr(request, "draw", 0)]))
        return [self.sentinels[0], mixed, self.repeats, self.sentinels[1]]

    @property
    def all(self) -> list[Request]:
        """Every request."""
        return [request for group in self.in_order for request in group]


def make_work(plan: Plan, backend: Backend, can: Capabilities) -> Work:
    """What a plan asks of a backend that can do as much."""
    probes = tuple(replace(probe, channel=backend.asked(probe.prompt).channel) for probe in plan.probes)
    own = replace(plan, probes=probes)
    remote = isinstance(backend, Remote)
    return Work(
        can=can,
        probes=probes,
        distributions=tuple(request for probe in probes if (request := plan.distribution(probe, can))),
        repeats=tuple(
            replace(request, draw=1, positions=request.positions[-1:])
            for probe in own.repeated()
            if (request := plan.distribution(probe, can))
        ),
        samples=tuple(request for probe in probes for request in plan.samples(probe)) if can.samples else (),
        sentinels=sentinels(own, can) if remote else ([], []),
        shuffled=remote,
    )
