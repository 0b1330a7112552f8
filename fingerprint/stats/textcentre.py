"""Similarity of what is left of the answers when the mean answer of all models to the prompt is taken away.

A prompt decides most of what is said to it. With x_i the unit vector of model i's answer and x̄ the mean over the
models that answered, the centred cosine is cos(x_i − x̄, x_j − x̄). It needs the inner products only: the Gram
matrix G of the answers becomes HGH with H = I − 11ᵀ/n (the double centring of Torgerson 1952).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FEWEST = 3
"""Models from which a mean is worth subtracting: of two, each is the other's opposite."""
_TINY = 1e-12


def centred_cosine(cosines: Floats, present: Bools) -> Floats:
    """Centred cosines of one prompt, (models × models); 0 for models that did not answer, and where nothing is left."""
    found = np.zeros_like(cosines)
    rows = np.flatnonzero(present)
    if len(rows) < FEWEST:
        return found
    gram = cosines[np.ix_(rows, rows)]
    mean = gram.mean(axis=0)
    gram = gram - mean[None] - mean[:, None] + mean.mean()
    size = np.sqrt(np.maximum(np.diag(gram), 0.0))
    scale = size[:, None] * size[None]
    found[np.ix_(rows, rows)] = np.divide(gram, scale, out=np.zeros_like(gram), where=scale > _TINY)
    return found
