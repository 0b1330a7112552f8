"""Do two models share deviations that their nearest relatives do not share? The four-model contrast.

For suspect S, reference R and controls K (near S) and J (near R), K ≠ J, the statistic is the inner product
⟨S − K, R − J⟩. Whatever S and R have in common through data, tokenizer or architecture, the controls have too, and it
cancels; what one model has for itself alone is orthogonal to the other difference. So the null value is zero, of
whatever quality the four models are, and it is not zero if R's own deviations are found in S. It is the f4 statistic
of population genetics (Patterson et al. 2012, "Ancient admixture in human history"), with models for populations and
symbols for alleles. One well-matched control on one side is enough for the null to hold.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fingerprint.stats.affinity import distances

Floats = NDArray[np.float64]
Quartet = tuple[int, int]
_SMALL = 1e-12


def quartets(total: Floats, suspect: int, reference: int, groups: Sequence[Sequence[int]]) -> list[Quartet]:
    """Control pairs (near the suspect, near the reference): from each group of models the nearest one to each side.

    Where one control is the nearest to both sides, each side in turn gets the next one. Groups of fewer than two
    models give nothing.
    """
    apart = distances(total)
    found: dict[Quartet, None] = {}
    for group in groups:
        if len(group) < 2:
            continue
        near_suspect = sorted(group, key=lambda model: (apart[suspect, model], model))[:2]
        near_reference = sorted(group, key=lambda model: (apart[reference, model], model))[:2]
        if near_suspect[0] != near_reference[0]:
            found[near_suspect[0], near_reference[0]] = None
        else:
            found[near_suspect[1], near_reference[0]] = None
            found[near_suspect[0], near_reference[1]] = None
    return list(found)


def contrast(total: Floats, suspect: int, reference: int, quartet: Quartet) -> float:
    """Cosine of the two differences, −1 to 1: 0 without a relation; scale-free, so that quality does not matter."""
    near_suspect, near_reference = quartet
    apart = distances(total)
    inner = (
        total[suspect, reference]
        - total[suspect, near_reference]
        - total[near_suspect, reference]
        + total[near_suspect, near_reference]
    )
    scale = float(np.sqrt(apart[suspect, near_suspect] * apart[reference, near_reference]))
    return 0.0 if scale <= _SMALL else float(np.clip(inner / scale, -1, 1))


def least(total: Floats, suspect: int, reference: int, chosen: Sequence[Quartet]) -> float:
    """The smallest contrast over several choices of controls: a relation has to show against each of them."""
    return min(contrast(total, suspect, reference, quartet) for quartet in chosen)
