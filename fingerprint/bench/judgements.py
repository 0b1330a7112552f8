"""What public knowledge says of pairs that the lineage tables do not list; written by hand, one line a pair.

``link`` is ``documented`` (model cards, papers or vendors state a common base, data or teacher), ``plausible``
(stated of relatives only, or by third parties), or empty: no documented link found.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    link: str
    reason: str


_NONE = Judgement(link="", reason="no documented link found")


def judged(first: str, second: str) -> Judgement:
    """The judgement on a pair in either order."""
    return _table().get(frozenset((first, second)), _NONE)


@cache
def _table() -> dict[frozenset[str], Judgement]:
    text = (resources.files("fingerprint.bench") / "judgements.csv").read_text("utf-8")
    rows = csv.DictReader(text.splitlines())
    return {frozenset((row["a"], row["b"])): Judgement(link=row["link"], reason=row["reason"]) for row in rows}
