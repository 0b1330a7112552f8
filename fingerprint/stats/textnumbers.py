"""Answers that are numbers on a scale, compared as numbers: the strongest fingerprint per question."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from fingerprint.stats.textgrams import Table

Floats = npt.NDArray[np.float64]

_NUMBER = r"(-?\d{1,9}(?:\.\d{1,6})?)(?:\s*/\s*\d{1,4})?"
_BARE = re.compile(rf"\W*{_NUMBER}\W*")
_LABELLED = re.compile(rf"^[\W_]{{0,8}}([^\W\d_][\w '-]{{0,40}}?)\W{{0,4}}[:=]\W{{0,4}}{_NUMBER}\W*$", re.MULTILINE)
_READ = 4_000  # ratings stand at the start; the rest of a long answer is prose
_MIN_CELLS = 20
_MIN_MODELS = 3
_TINY = 1e-9
Cells = dict[tuple[int, str], float]


def stated_numbers(text: str | None) -> dict[str, float]:
    """Label → number, the first time that each label is given; a bare number has the empty label."""
    if text is None:
        return {}
    head = text[:_READ]
    if len(head) <= 40 and (bare := _BARE.fullmatch(head)):
        return {"": float(bare.group(1))}
    found: dict[str, float] = {}
    for match in _LABELLED.finditer(head):
        found.setdefault(match.group(1).strip().lower(), float(match.group(2)))
    return found


def numeric_share(table: Table) -> float:
    """Share of the given answers that state numbers."""
    given = [text for row in table for text in row if text is not None]
    return sum(bool(stated_numbers(text)) for text in given) / len(given) if given else 0.0


def number_similarity(table: Table) -> Floats:
    """(models × models) correlation of stated numbers after subtracting each question's mean over models.

    A question is a (prompt, label) that at least three models answered with a number; a pair needs twenty.
    """
    rows: list[Cells] = [
        {(p, label): value for p, text in enumerate(row) for label, value in stated_numbers(text).items()} for row in table
    ]
    asked: dict[tuple[int, str], int] = {}
    for row in rows:
        for cell in row:
            asked[cell] = asked.get(cell, 0) + 1
    cells = sorted(cell for cell, models in asked.items() if models >= min(_MIN_MODELS, len(rows)))
    if not cells:
        return np.zeros((len(rows), len(rows)))
    values = np.array([[row.get(cell, np.nan) for cell in cells] for row in rows])
    known = np.isfinite(values)
    return masked_correlation(np.where(known, values, 0.0), known, _MIN_CELLS)


def masked_correlation(values: Floats, known: npt.NDArray[np.bool_], least: int) -> Floats:
    """Pearson correlation of rows after subtracting column means, over the columns that both rows know.

    Rows that share fewer than ``least`` columns, or do not vary over them, get 0.
    """
    mask = known.astype(np.float64)
    seen = mask.sum(axis=0)
    mean = np.divide((values * mask).sum(axis=0), seen, out=np.zeros(values.shape[1]), where=seen > 0)
    centred = (values - mean) * mask
    n = mask @ mask.T
    sums, squares = centred @ mask.T, (centred**2) @ mask.T
    covariance = centred @ centred.T - sums * sums.T / np.maximum(n, 1)
    variance = np.maximum(squares - sums**2 / np.maximum(n, 1), 0)
    scale = np.sqrt(variance * variance.T)
    enough = (n >= least) & (scale > _TINY * np.maximum(n, 1))
    return np.asarray(np.divide(covariance, scale, out=np.zeros_like(n), where=enough), np.float64)
