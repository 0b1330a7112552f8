"""A few probes to look at: those on which the suspect answers most like the reference, and those on which it does not.

They illustrate; nothing is decided on them. Likeness of two answers is the share of their words and word pairs that they
have in common, each weighted by its rarity among the other models' answers to the same probe.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

from fingerprint.canonical import rounded
from fingerprint.evidence.case import Case
from fingerprint.evidence.text import usable_answers
from fingerprint.report.schema import ExamplePart

_WORD = re.compile(r"\w+")
_READ = 600
_SHOWN = 320
#: How many probes speak for the reference, and how many against it.
MOST, LEAST = 3, 2


def examples(case: Case) -> tuple[ExamplePart, ...]:
    """The probes with the largest and the smallest lead, largest first; empty where a side gave no answers."""
    mine, theirs = usable_answers(case.suspect), usable_answers(case.reference)
    others = [usable_answers(other) for other in case.others]
    prompts = {prompt.key: prompt for prompt in case.suspect.prompts}
    found = []
    for key in sorted(set(mine) & set(theirs)):
        rivals = {case.labels[place]: table[key][0] for place, table in enumerate(others) if key in table}
        lead, rival = _lead(mine[key][0], theirs[key][0], rivals)
        found.append((lead, prompts[key].id, key, rival))
    found.sort(key=lambda item: (-item[0], item[1]))
    chosen = [item for item in found[:MOST] if item[0] > 0] + [item for item in found[MOST:][-LEAST:] if item[0] < 0]
    return tuple(
        ExamplePart(
            probe=_kept(prompt_id),
            prompt=_kept(prompts[key].text),
            suspect=_kept(mine[key][0]),
            reference=_kept(theirs[key][0]),
            rival=rival,
            rival_answer=_kept(others[case.labels.index(rival)][key][0]) if rival else "",
            lead=rounded(lead),
        )
        for lead, prompt_id, key, rival in chosen
    )


def _lead(suspect: str, reference: str, rivals: Mapping[str, str]) -> tuple[float, str]:
    """By how much the suspect is more like the reference than like the closest rival, and who that is."""
    grams = {name: _grams(text) for name, text in rivals.items()}
    common = Counter(gram for each in grams.values() for gram in each)
    weights = {gram: math.log((len(rivals) + 2) / (count + 1)) for gram, count in common.items()}
    rarest = math.log(len(rivals) + 2)
    own = _grams(suspect)
    scores = {name: _likeness(own, each, weights, rarest) for name, each in grams.items()}
    best = max(scores, key=lambda name: (scores[name], name), default="")
    return _likeness(own, _grams(reference), weights, rarest) - scores.get(best, 0.0), best


def _likeness(first: set[str], second: set[str], weights: Mapping[str, float], rarest: float) -> float:
    def weigh(grams: Sequence[str]) -> float:
        return math.fsum(weights.get(gram, rarest) for gram in grams)

    union = weigh(sorted(first | second))
    return weigh(sorted(first & second)) / union if union else 0.0


def _grams(answer: str) -> set[str]:
    found = _WORD.findall(answer[:_READ].lower())
    return {*found, *(f"{one} {two}" for one, two in pairwise(found))}


def _kept(text: str) -> str:
    """The beginning of a text, in characters that every file can hold."""
    clean = text[:_SHOWN].encode("utf-8", "replace").decode("utf-8")
    return clean + "…" if len(text) > _SHOWN else clean
