"""Work that goes on in steps, so that several models can be asked in turn."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from typing import TypeVar

from fingerprint.errors import FingerprintError

T = TypeVar("T")
#: Yields the share that is done, and returns the result.
Steps = Generator[float, None, T]


def finished(steps: Steps[T]) -> T:
    """Go through all steps."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # the generator's own return value


def in_turn(runs: Sequence[Steps[T]]) -> list[T]:
    """Go through several works at the same pace: the one that is furthest behind has the next step.

    Suspect, reference and controls are so asked in the same stretch of time, and whatever changes with time changes
    for all. If one fails, the others store what they are waiting for, and the failure is raised.
    """
    shares = dict.fromkeys(range(len(runs)), 0.0)
    results: dict[int, T] = {}
    try:
        while shares:
            place = min(shares, key=lambda each: shares[each])
            try:
                shares[place] = next(runs[place])
            except StopIteration as stop:
                results[place] = stop.value
                del shares[place]
            except FingerprintError as error:
                del shares[place]
                for other in shares:
                    _wind_up(runs[other], error)
                raise
    finally:
        for run in runs:
            run.close()
    return [results[place] for place in range(len(runs))]


def _wind_up(run: Steps[T], error: FingerprintError) -> None:
    with contextlib.suppress(StopIteration, FingerprintError):
        run.throw(error)
        while True:
            next(run)
