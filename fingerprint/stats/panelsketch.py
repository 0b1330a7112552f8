"""A panel of sketches: scores of all pairs, of one model against all, and their bootstrap over prompts.

Scores are those of `textsim` with the panel's middle and spread taken from a cohort (the population that rarity was counted
on), as in AS-norm of speaker verification: a model's numbers then depend on the cohort alone, and models can be
added one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fingerprint.stats import textgrams as tg
from fingerprint.stats.sketches import BLOCKS, POPULATION, VIEWS, Sketch, population, sketch

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
_TINY = 1e-9
_FLOOR = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelSketch:
    """Sketches of n models: ``values`` (n, views, blocks, places), ``answered`` (n, prompts), cohort places."""

    values: Singles
    answered: Singles
    cohort: npt.NDArray[np.int64]

    @staticmethod
    def of(answers: tg.Table) -> PanelSketch:
        """Sketch a models × prompts table."""
        chosen = cohort_of(len(answers))
        known = population([answers[place] for place in chosen])
        return PanelSketch.stack([sketch(row, known) for row in answers], chosen)

    @staticmethod
    def stack(found: Sequence[Sketch], cohort: npt.NDArray[np.int64]) -> PanelSketch:
        return PanelSketch(
            values=np.stack([each.values for each in found]),
            answered=np.stack([each.answered for each in found]).astype(np.float32),
            cohort=cohort,
        )

    def common(self) -> Singles:
        """Prompts that two models share, (n, n)."""
        return np.asarray(self.answered @ self.answered.T, np.float32)

    def similarities(self, view: int) -> Singles:
        """Mean cosine over common prompts, (n, n); pairs without any get the middle of the others."""
        flat = self.values[:, view].reshape(len(self.values), -1)
        return _over(flat @ flat.T, self.common())

    def against(self, others: PanelSketch, view: int) -> Singles:
        """The same with the models of another panel of the same population, (n, m)."""
        mine, theirs = (each.values[:, view].reshape(len(each.values), -1) for each in (self, others))
        return _over(mine @ theirs.T, np.asarray(self.answered @ others.answered.T, np.float32))

    def scores(self) -> Floats:
        """Panel score of all pairs, (n, n), diagonal 0."""
        total = np.zeros((len(self.values),) * 2)
        weights = view_weights()
        for view in range(len(VIEWS)):
            matrix = self.similarities(view).astype(np.float64)
            middle, spread = row_statistics(matrix[:, self.cohort], self.cohort)
            one_sided = (matrix - middle[:, None]) / spread[:, None]
            total += weights[view] * (one_sided + one_sided.T) / 2
        np.fill_diagonal(total, 0.0)
        return total

    def deviations(self, draws: int, rng: np.random.Generator) -> Singles:
        """How the scores move when blocks of prompts are drawn again: (draws, pairs), in the order of triu_indices.

        Middle and spread of each model are held, and its common movement is taken out, as normalising would.
        """
        models = len(self.values)
        upper = np.triu_indices(models, 1)
        parts = np.zeros((BLOCKS, len(upper[0])), np.float32)
        common = np.maximum(self.common(), 1)
        weights = view_weights()
        for view in range(len(VIEWS)):
            matrix = self.similarities(view).astype(np.float64)
            _, spread = row_statistics(matrix[:, self.cohort], self.cohort)
            unit = weights[view] * (1 / spread[:, None] + 1 / spread[None]) / 2
            for block in range(BLOCKS):
                rows = self.values[:, view, block]
                parts[block] += (unit * _centred(rows @ rows.T / common))[upper].astype(np.float32)
        times = rng.multinomial(BLOCKS, np.full(BLOCKS, 1 / BLOCKS), size=draws).astype(np.float32)
        return np.asarray((times - 1) @ parts, np.float32)


def cohort_of(models: int) -> npt.NDArray[np.int64]:
    """Which models a panel is normalised against: all, or `POPULATION` of them, spread evenly."""
    if models <= POPULATION:
        return np.arange(models)
    return np.linspace(0, models - 1, POPULATION).astype(np.int64)


def view_weights() -> Floats:
    """Weights of the views in a score: equal ones, as in the lineage score of `textsim`."""
    return np.full(len(VIEWS), 1 / len(VIEWS))


def row_statistics(
    rows: Floats, cohort: npt.NDArray[np.int64], own: npt.NDArray[np.int64] | None = None
) -> tuple[Floats, Floats]:
    """Middle and spread of each model against the cohort, itself left out: those of `textsim.panel_normalise`.

    ``rows`` (n, cohort) holds similarities; ``own`` are the models' places in the panel (default 0 … n − 1).
    """
    places = np.arange(len(rows)) if own is None else own
    kept = np.where(places[:, None] == cohort[None], np.nan, rows)
    middle = np.nanmedian(kept, axis=1)
    deviation = np.nanstd(kept, axis=1)
    robust = 1.4826 * np.nanmedian(np.abs(kept - middle[:, None]), axis=1)
    spread = np.where(robust > _TINY, np.sqrt(robust * deviation), deviation)
    spread = np.maximum(spread, _FLOOR * np.median(spread))
    return middle, np.where(spread > _TINY, spread, 1.0)


def _over(total: Singles, common: Singles) -> Singles:
    mean = np.divide(total, common, out=np.zeros_like(total), where=common > 0)
    known = (common > 0) & ~np.eye(*mean.shape, dtype=np.bool_)
    middle = np.median(mean[known]) if known.any() else np.float32(0)
    return np.asarray(np.where(common > 0, mean, middle), np.float32)


def _centred(matrix: Singles | Floats) -> Floats:
    off = matrix.astype(np.float64)
    np.fill_diagonal(off, 0.0)
    level = off.sum(axis=1) / max(len(off) - 1, 1)
    return np.asarray(off - (level[:, None] + level[None]) / 2, np.float64)
