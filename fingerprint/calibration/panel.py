"""The calibration of panels: from the two scores of a pair of texts to one log10 likelihood ratio.

H1 is a mixture, for two models may be related in two ways that look different: by descent (they say alike what
others do not say) or by imitation (one writes in the manner of the other). With even odds between them,
LR = ½ LR_descent + ½ LR_imitation, a mean of two likelihood ratios against the same H2 and so one itself.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from fingerprint.calibration.model import Tier
from fingerprint.canonical import digest

SHIPPED = "panel.json"
#: One related pair in ten is a student and its teacher: an assumption, stated in docs/calibration.md.
IMITATORS = 0.1
_LN10 = math.log(10)
Floats = NDArray[np.float64]


class PanelCalibration(BaseModel):
    """Two tiers with one feature each, the bounds of their mixture, and what unlisted pairs of real panels scored.

    ``exceedance`` holds log10 LRs in rising order, and for each the share (1 + b)/(1 + B) of unlisted calibration
    pairs that reached it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    date: str
    population: str
    descent: Tier
    imitation: Tier
    bounds: tuple[float, float]
    cllr: float
    exceedance: tuple[tuple[float, float], ...]

    @property
    def digest(self) -> str:
        return digest(self.model_dump(mode="json"))

    def log10_lr(self, panel_z: float, imitation_z: float) -> float:
        """Uncapped log10 LR of the mixture."""
        first = self.descent.log10_lr({"panel_z": panel_z})
        second = self.imitation.log10_lr({"imitation_z": imitation_z})
        return float(mixture(np.array(first) * _LN10, np.array(second) * _LN10)) / _LN10

    def pvalue(self, log10_lr: float) -> float:
        """Share of unlisted calibration pairs that reach a log10 LR, never 0; rounded up to the next stored value."""
        place = bisect_left(self.exceedance, (log10_lr, 2.0)) - 1
        return self.exceedance[place][1] if place >= 0 else 1.0


def mixture(descent: Floats, imitation: Floats) -> Floats:
    """Natural-log LR of the mixture from those of its two parts, of any one shape."""
    return np.asarray(np.logaddexp(math.log1p(-IMITATORS) + descent, math.log(IMITATORS) + imitation), np.float64)


@cache
def shipped() -> PanelCalibration:
    """The panel calibration that comes with the package."""
    path = resources.files("fingerprint.calibration") / "data" / SHIPPED
    return PanelCalibration.model_validate(json.loads(path.read_text("utf-8")))
