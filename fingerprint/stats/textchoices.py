"""Multiple choice: which letter a model chose, compared over questions and weighted by rarity.

Needs answers that name one letter ("The answer is (C)", or a bare "C"). Two models that are right agree because
they are right, so a choice counts by its rarity among the models, log[(N + 1)/(models that chose it)], and the
mean choice per question is taken away: agreement on a rare wrong answer counts most. This carries the idea of
CAPA (Goel et al. 2025), errors shared beyond chance, to questions whose key is not known.
Null: models that err independently of each other, given the question.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from fingerprint.stats.textgrams import Table

Floats = npt.NDArray[np.float64]

# "I" is a word of its own, so that letter needs its brackets.
_SAID = re.compile(r"\b(?i:answer(?:\s+is)?)\W{0,8}(?:([A-HJ])\b(?!['’]\w)|(?<=\()(I)(?=\)))")
_BARE = re.compile(r"\W*([A-Ja-j])\W*")
_READ = 20_000
_LEAST = 20
_TINY = 1e-9


def chosen_letter(text: str | None) -> str | None:
    """The first letter that an answer declares as its choice, in upper case."""
    if text is None:
        return None
    found = _BARE.fullmatch(text[:12]) if len(text) <= 12 else _SAID.search(text[:_READ])
    return next(group for group in found.groups() if group).upper() if found else None


def choice_share(table: Table) -> float:
    """Share of the given answers that choose a letter."""
    given = [text for row in table for text in row if text is not None]
    return sum(chosen_letter(text) is not None for text in given) / len(given) if given else 0.0


def choice_similarity(table: Table) -> Floats:
    """(models × models) correlation of rarity-weighted choices after subtracting each question's mean over models.

    Pairs with fewer than twenty questions in common get 0.
    """
    letters = [[chosen_letter(text) for text in row] for row in table]
    models = len(letters)
    product, common, square = np.zeros((models, models)), np.zeros((models, models)), np.zeros((models, models))
    for column in zip(*letters, strict=True):
        counts = Counter(letter for letter in column if letter is not None)
        answered = np.array([letter is not None for letter in column])
        if len(counts) < 2:
            continue
        names = sorted(counts)
        rarity = np.log((answered.sum() + 1) / np.array([counts[name] for name in names]))
        rows = np.array([[float(letter == name) for name in names] for letter in column]) * rarity
        rows = (rows - rows[answered].mean(axis=0)) * answered[:, None]
        both = np.outer(answered, answered)
        product += rows @ rows.T
        square += (rows**2).sum(axis=1)[:, None] * both
        common += both
    # Each side's size is taken over the questions that both answered.
    scale = np.sqrt(square * square.T)
    enough = (common >= _LEAST) & (scale > _TINY)
    return np.asarray(np.divide(product, scale, out=np.zeros_like(product), where=enough), np.float64)
