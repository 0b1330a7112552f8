"""How alike do models answer one prompt? Cosines of rare word n-grams, prompt by prompt, not yet added up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fingerprint.stats import textgrams as tg

Floats = NDArray[np.float64]


def prompt_cosines(answers: tg.Table) -> Floats:
    """(prompts, models, models) cosines of word 1-to-3-grams, each weighted by its rarity among the models.

    ``answers`` is a models × prompts table. NaN where either model gave no usable answer.
    """
    tokens = tg.tokenise(tg.usable(answers))
    table = tg.hash_table(tokens.size)
    models = len(answers)
    found = np.full((len(tokens.columns), models, models), np.nan)
    for place, column in enumerate(tokens.columns):
        present = np.array([len(ids) > 0 for ids in column])
        grams = tg.bag(*tg.word_grams(tg.flatten(column), table, (1, 2, 3)), models)
        alike = tg.cosine(grams, np.log((present.sum() + 1) / grams.use))
        found[place] = np.where(np.outer(present, present), alike, np.nan)
    return found
