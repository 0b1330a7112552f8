"""Same model or another one, from sampled answers alone: the equal error rate at the number of answers there are.

Each model's answers to the probes that it was asked several times are halved; one half is held against the other half
(same) and against halves of other models (different). The statistic is a maximum mean discrepancy (Gretton and others
2012, JMLR 13) per prompt, averaged over prompts, with a kernel that grows with the common beginning of two answers.
The kernel was fixed before it was tried on any recording.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise, takewhile
from typing import Any

import numpy as np

from fingerprint.bench.zoo import Floats, Say, Zoo
from fingerprint.errors import UsageError
from fingerprint.recording import Recording
from fingerprint.zoo.pairs import all_pairs

#: Draws of each probe that are needed: two for each half.
DRAWS = 4
#: Ways to halve four draws.
_HALVES = (((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2)))
#: Strata of which the two are one model in another number format.
_COPIES = frozenset({"quantize"})
Answers = Mapping[str, Sequence[str]]


def likeness(one: str, two: str) -> float:
    """Kernel of two answers: 0 for another first character, half the way to 1 with each character in common."""
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, two, strict=False)))
    return float(1.0 - 0.5**common)


def discrepancy(mine: Answers, theirs: Answers, halves: tuple[tuple[int, int], tuple[int, int]]) -> float:
    """Unbiased MMD² of a half of one model's answers and the other half of another's, mean over prompts."""
    (a, b), (c, d) = halves
    values = []
    for key in mine.keys() & theirs.keys():
        own, other = mine[key], theirs[key]
        across = [likeness(own[i], other[j]) for i in (a, b) for j in (c, d)]
        values.append(likeness(own[a], own[b]) + likeness(other[c], other[d]) - 2 * float(np.mean(across)))
    return float(np.mean(values))


def equal_error_rate(same: Floats, different: Floats) -> float:
    """The rate at which as many same pairs lie above the threshold as different ones below it, interpolated."""
    limits = np.unique(np.concatenate([same, different, [np.inf]]))
    missed = np.array([np.mean(same >= limit) for limit in limits])
    confused = np.array([np.mean(different < limit) for limit in limits])
    gaps = missed - confused
    for (m0, c0, g0), (m1, c1, g1) in pairwise(zip(missed, confused, gaps, strict=True)):
        if g0 >= 0 >= g1:
            share = g0 / (g0 - g1) if g0 > g1 else 0.0
            return float((m0 + share * (m1 - m0) + c0 + share * (c1 - c0)) / 2)
    return float(max(missed[0], confused[0]))


def answers_of(recording: Recording) -> dict[str, tuple[str, ...]]:
    """The first draws of every prompt that was asked often enough."""
    return {key: texts[:DRAWS] for key, texts in recording.answers.items() if len(texts) >= DRAWS}


def run(zoo: Zoo, say: Say) -> dict[str, Any]:
    """Equal error rates against strangers, and against models of the same pedigree by truth.

    Raises:
        UsageError: no probe was asked four times.

    """
    answers = {name: answers_of(recording) for name, recording in zoo.recordings.items()}
    fewest = min(map(len, answers.values()))
    if not fewest:
        raise UsageError(f"Some model of the zoo was asked no probe {DRAWS} times.", hint="Record with border-choices.")
    same = np.array([discrepancy(each, each, halves) for each in answers.values() for halves in _HALVES])
    groups: dict[str, list[float]] = {}
    for pair in all_pairs(zoo.cards):
        if pair.suspect > pair.reference or pair.stratum in _COPIES:
            continue
        near = pair.pedigree == pair.reference_pedigree
        value = discrepancy(answers[pair.suspect], answers[pair.reference], _HALVES[0])
        groups.setdefault(f"same pedigree, {pair.truth}" if near else "other pedigrees", []).append(value)
    say(f"{sum(map(len, groups.values()))} pairs of different models")
    rates = {
        name: {"pairs": len(values), "equal_error_rate": round(equal_error_rate(same, np.array(values)), 4)}
        for name, values in sorted(groups.items())
    }
    return {"models": len(answers), "prompts": fewest, "answers_a_side": 2 * fewest, "same_pairs": len(same), **rates}
