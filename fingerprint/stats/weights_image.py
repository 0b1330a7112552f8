"""Do logits lie in the column space of an output head? (Finlayson et al. 2024, "Logits of API-protected LLMs leak".)"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def image_residual(logprobs: Floats, head: Floats) -> float:
    """Share of the size of log-probabilities (k,) of some tokens that their head rows (k, d) and a constant leave.

    Log-probabilities are W h minus a constant, so for the model that owns the head the residual is 0 up to rounding,
    whatever h is. For a vector that knows nothing of the head it is √((k − d − 1) / (k − 1)); needs k > d + 1.
    """
    centred = (logprobs - logprobs.mean()).astype(np.float64)
    size = float(np.linalg.norm(centred))
    if size == 0 or len(centred) <= head.shape[1] + 1:
        return 1.0
    design = (head - head.mean(axis=0)).astype(np.float64)
    basis, spread, _ = np.linalg.svd(design, full_matrices=False)
    basis = basis[:, spread > 1e-9 * spread[0]]
    return float(np.linalg.norm(centred - basis @ (basis.T @ centred)) / size)
