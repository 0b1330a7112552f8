"""Normalise similarities against a panel: how far does a pair stand out from what both sides have with the others?

After AS-norm in speaker verification (Matejka et al. 2017), with two differences: everybody in the panel is the
cohort, and what is expected of a pair may depend on a covariate of the models, such as how much they write.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MIN_PANEL = 6
"""Models that it takes before a pair can be normalised against the others."""
_TINY = 1e-9
_FLOOR = 0.25  # a row's spread is not believed below this part of the panel's middle spread
_REACH = 0.6  # bandwidth in the covariate; for log lengths, models within a factor of about two count as alike
_PRIOR = 1.0  # the row's own middle counts like this many models at no distance
_CLIP = 3.0


def panel_normalise(matrix: Floats, *, per_model: bool = True, apart: Floats | None = None) -> Floats:
    """How far each pair stands out, (models × models); the diagonal is 0.

    Per model: z_ij = ½[(s_ij − m_ij)/d_i + (s_ij − m_ji)/d_j]. m_ij is the median of row i without the
    diagonal; or, if ``apart`` tells how far the models are from each other in a covariate (models × models), the kernel
    mean of row i over the models near j (Nadaraya 1964, Watson 1964), outliers clipped, j itself left out: a terse
    model is like all terse models.
    d_i is the geometric mean of the row's standard deviation and its scaled median absolute deviation. The latter
    alone sees a crowd in every large family, the former alone hides the family behind its size.
    Otherwise, and below `MIN_PANEL` models, m and d are those of all pairs.
    """
    models = len(matrix)
    if models < 2:
        return np.zeros((models, models))
    off = ~np.eye(models, dtype=bool)
    everyone = matrix[off][None]
    if not per_model or models < MIN_PANEL:
        overall = float(_spread(everyone)[0])
        plain = (matrix - np.median(everyone)) / (overall if overall > _TINY else 1.0)
        return np.asarray(np.where(off, plain, 0.0), np.float64)
    rows = matrix[off].reshape(models, models - 1)
    expected = np.repeat(np.median(rows, axis=1)[:, None], models, axis=1)
    if apart is not None:
        expected = _expected(matrix, apart)
    left = (matrix - expected)[off].reshape(models, models - 1)
    middle, spread = np.median(left, axis=1), _spread(left)
    spread = np.maximum(spread, _FLOOR * np.median(spread))
    spread = np.where(spread > _TINY, spread, 1.0)
    one_sided = (matrix - expected - middle[:, None]) / spread[:, None]
    return np.asarray(np.where(off, (one_sided + one_sided.T) / 2, 0.0), np.float64)


def _expected(matrix: Floats, apart: Floats) -> Floats:
    """What row i has with models like j: kernel mean over k ≠ i, j of clipped s_ik, drawn to the row's median."""
    models = len(matrix)
    kernel = np.exp(-(apart**2) / (2 * _REACH**2))
    np.fill_diagonal(kernel, 0.0)
    off = ~np.eye(models, dtype=bool)
    rows = matrix[off].reshape(models, models - 1)
    middle = np.median(rows, axis=1, keepdims=True)
    reach = _CLIP * 1.4826 * np.median(np.abs(rows - middle), axis=1, keepdims=True)
    clipped = np.where(off, np.clip(matrix, middle - reach, middle + reach), 0.0)
    weight = kernel.sum(axis=0)[None] - kernel
    return np.asarray((clipped @ kernel + _PRIOR * middle) / (weight + _PRIOR), np.float64)


def _spread(rows: Floats) -> Floats:
    """Geometric mean of two spreads; where over half the values are equal, the standard deviation."""
    deviation = rows.std(axis=1)
    robust = 1.4826 * np.median(np.abs(rows - np.median(rows, axis=1, keepdims=True)), axis=1)
    return np.asarray(np.where(robust > _TINY, np.sqrt(robust * deviation), deviation), np.float64)
