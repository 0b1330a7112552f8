"""Ask as little as possible: probes in the order of their information, until an e-value decides.

Two one-sided tests run side by side at level α each: "the suspect is closer to the reference than to every control",
and "some control is closer". Either may stop the run; both are valid at any time (`stats.sequential`). The order of
the probes comes from other models' answers, never from the suspect's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from fingerprint.collection.plan import Plan
from fingerprint.evidence.closeness import Side, signs
from fingerprint.recording import Recording
from fingerprint.stats.sequential import closer_than_all, closer_than_average, first_crossing, log_e_process

Floats = NDArray[np.float64]
Decision = Literal["reference", "control", "undecided"]
#: Probes asked between two looks.
BATCH = 8
_LARGEST = 300.0


class Recorder(Protocol):
    """What answers a plan: a collector of a live model."""

    def recording(self, plan: Plan) -> Recording: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a sequential comparison ended. E-values as decimal logarithms; ``queries`` counts probes per model.

    ``telling`` counts the probes asked in which the reference and some control differ in their distance to the suspect:
    both answered, and not alike.
    """

    alpha: float
    decided: Decision
    queries: int
    asked: int
    telling: int
    available: int
    log10_e_reference: float
    log10_e_control: float
    log10_e_average: float
    controls: tuple[str, ...]


def ask_in_turn(
    given: Mapping[int, Recording],
    live: Mapping[int, Recorder],
    plan: Plan,
    *,
    alpha: float,
    population: Sequence[Recording] = (),
) -> tuple[list[Recording], Outcome]:
    """Ask the live models batch by batch, in the plan's order, until the comparison is decided or the plan is empty.

    Places 0 and 1 are suspect and reference, all others controls; without any, ``population`` stands in for them.
    """
    parts: dict[int, list[Recording]] = {place: [] for place in live}
    known = {place: Side(recording=recording) for place, recording in given.items()}
    spare = [] if len(given) + len(live) > 2 else [Side(recording=recording) for recording in population]
    tables: list[Floats] = []
    outcome = None
    for start in range(0, len(plan.probes), BATCH):
        probes = plan.probes[start : start + BATCH]
        for place, recorder in live.items():
            parts[place].append(recorder.recording(replace(plan, probes=probes, repeats=0)))
        fresh = {place: Side(recording=rows[-1]) for place, rows in parts.items()}
        suspect, reference, *named = (side for _, side in sorted({**known, **fresh}.items()))
        tables.append(signs(suspect, reference, named or spare, [probe.prompt.key for probe in probes]))
        names = tuple(side.recording.model.name for side in named or spare)
        outcome = evaluate(np.hstack(tables), names, alpha=alpha, available=len(plan.probes))
        if outcome.decided != "undecided":
            break
    whole = {**given} | {place: merge(rows) for place, rows in parts.items()}
    return [whole[place] for place in sorted(whole)], outcome or evaluate(np.zeros((0, 0)), (), alpha=alpha, available=0)


def evaluate(table: Floats, controls: tuple[str, ...], *, alpha: float, available: int) -> Outcome:
    """The state of the test from the signs so far (controls, probes), as if looked at after each probe."""
    asked = table.shape[1]
    logs = {name: np.zeros(max(asked, 1)) for name in ("all", "none", "average")}
    if table.size:
        # "Some control is closer" is one of as many claims as there are controls: Bonferroni.
        against = log_e_process(-table).max(axis=0) - math.log(len(controls))
        logs = {"all": closer_than_all(table), "none": against, "average": closer_than_average(table)}
    reached = {name: place for name in ("all", "none") if (place := first_crossing(logs[name], alpha)) is not None}
    first = min(reached, key=lambda name: reached[name]) if reached else ""
    decided: Decision = "undecided" if not first else "reference" if first == "all" else "control"
    stop = reached[first] if first else max(asked, 1)
    return Outcome(
        alpha=alpha,
        decided=decided,
        queries=stop if first else asked,
        asked=asked,
        telling=int(np.any(table != 0, axis=0).sum()) if table.size else 0,
        available=available,
        log10_e_reference=_log10(logs["all"][:stop]),
        log10_e_control=_log10(logs["none"][:stop]),
        log10_e_average=_log10(logs["average"][:stop]),
        controls=controls,
    )


def _log10(logs: Floats) -> float:
    return round(min(float(logs[-1]) / math.log(10), _LARGEST), 4) + 0.0


def merge(parts: Sequence[Recording]) -> Recording:
    """One recording from several of the same model on different probes."""
    return replace(
        parts[-1],
        prompts=tuple(row for part in parts for row in part.prompts),
        samples=tuple(row for part in parts for row in part.samples),
        distributions=tuple(row for part in parts for row in part.distributions),
    )
