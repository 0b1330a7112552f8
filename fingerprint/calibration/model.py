"""A calibration: few numbers, a date, a digest, and the population that they were fitted on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fingerprint.canonical import digest
from fingerprint.errors import UsageError
from fingerprint.text import safe_text

SHIPPED = "zoo.json"
#: The one feature of a tier in which several methods must agree: the smallest log10 LR of its parts.
WEAKEST = "weakest"
#: Such tiers: their parts, each a tier of its own with one feature. Ratios of methods on the same answers are not
#: independent, so they are never added; the smallest is calibrated once more.
PARTS: dict[str, dict[str, str]] = {"agreed": {"overlap": "overlap_margin", "contrast": "contrast"}}
#: The tiers that decided before calibrations said which do.
DECIDES: tuple[str, ...] = ("topk", "text")
#: Log10 LRs at which the pairs of a stratum are counted: from a hundredth to a thousand, a factor of 1.12 apart.
STEPS: tuple[float, ...] = tuple(round(-2 + 0.05 * step, 2) for step in range(101))
#: The package's own population stretches this far in model size before a likelihood ratio is refused.
_REACH = 10.0


class Tippett(BaseModel):
    """Left-out log10 LRs of the pairs behind a tier: equally spaced quantiles from the smallest to the largest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    related: tuple[float, ...]
    unrelated: tuple[float, ...]


class Stratum(BaseModel):
    """Pairs of one kind without descent between them, and how many left-out LRs among them mislead.

    ``kin``: they share an origin (siblings, fellow students), so they are neither hypothesis and nothing was fitted on
    them. ``reached``: pairs whose log10 LR is at least each of `STEPS`, as far as there are any; empty in calibrations
    that were written before it was counted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    pairs: int
    lr_above_1: int
    lr_above_10: int
    kin: bool = False
    reached: tuple[int, ...] = ()


class Tier(BaseModel):
    """Logistic calibration of standardised features to log10 LR, for one tier of access."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float
    bounds: tuple[float, float]
    cllr: float | None = None
    cllr_min: float | None = None
    related_pairs: int
    unrelated_pairs: int
    families: int
    tippett: Tippett | None = None
    strata: tuple[Stratum, ...] = ()
    lineages: tuple[int, int] | None = None
    """Ties of a panel: of how many lineages the smallest and the largest panel were that they were fitted on."""

    def log10_lr(self, features: Mapping[str, float]) -> float:
        """Uncapped log10 likelihood ratio of a score vector."""
        total = self.intercept
        for name, mean, scale, weight in zip(self.features, self.mean, self.scale, self.coefficients, strict=True):
            total += weight * (features[name] - mean) / scale
        return total / math.log(10)


class Calibration(BaseModel):
    """All tiers, and the range of model sizes that they were fitted on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    date: str
    population: str
    parameters: tuple[int, int]
    tiers: dict[str, Tier] = Field(default_factory=dict)
    decides: tuple[str, ...] = Field(
        default=DECIDES,
        description="Tiers of behaviour, the strongest first: the first that a case has all features of gives the ratio. "
        "Only the strongest can show learning.",
    )

    @property
    def digest(self) -> str:
        # The curves describe how the formula did; what a comparison computes does not depend on them, nor on the panels.
        content = self.model_dump(mode="json", exclude={"tiers": {"__all__": {"tippett", "strata", "lineages"}}})
        if self.decides == DECIDES:  # calibrations from before there was a choice keep their digest
            del content["decides"]
        return digest(content)

    def needs(self, name: str) -> frozenset[str]:
        """The features that a tier is computed from; none where there is no such tier."""
        if name not in self.tiers:
            return frozenset()
        own = frozenset(self.tiers[name].features)
        return frozenset(PARTS[name].values()) if own == {WEAKEST} else own

    def log10_lr(self, name: str, features: Mapping[str, float]) -> float:
        """Uncapped log10 likelihood ratio of a tier, from all features that it needs."""
        tier = self.tiers[name]
        if tier.features == (WEAKEST,):
            features = {WEAKEST: min(self.tiers[part].log10_lr(features) for part in PARTS[name])}
        return tier.log10_lr(features)

    def covers(self, parameters: int) -> bool:
        """Whether a model of this size (0: unknown) is like those of the population."""
        low, high = self.parameters
        return low / _REACH <= parameters <= high * _REACH


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLR:
    """A log10 likelihood ratio: uncapped, and within the bounds, with its interval over prompts.

    ``spread`` is the interval before the caps, over ``prompts`` prompts; 0 of them where it was not measured.
    """

    tier: str
    value: float
    uncapped: float
    interval: tuple[float, float]
    bounds: tuple[float, float]
    spread: tuple[float, float] = (0.0, 0.0)
    prompts: int = 0

    @staticmethod
    def bounded(
        tier: str, uncapped: float, interval: tuple[float, float], bounds: tuple[float, float], *, prompts: int = 0
    ) -> LogLR:
        low, high = bounds

        def cap(value: float) -> float:
            return round(min(max(value, low), high), 4)

        ends = sorted((cap(interval[0]), cap(interval[1])))
        return LogLR(
            tier=tier,
            value=cap(uncapped),
            uncapped=round(uncapped, 4),
            interval=(ends[0], ends[1]),
            bounds=(round(low, 4), round(high, 4)),
            spread=(min(interval), max(interval)),
            prompts=prompts,
        )


@cache
def shipped() -> Calibration:
    """The calibration that comes with the package."""
    path = resources.files("fingerprint.calibration") / "data" / SHIPPED
    return Calibration.model_validate(json.loads(path.read_text("utf-8")))


def read(path: Path) -> Calibration:
    """A calibration from its file.

    Raises:
        UsageError: it cannot be read or is none.

    """
    try:
        return Calibration.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"The calibration {path} cannot be read: {error.strerror or error}.") from error
    except ValidationError as error:
        raise UsageError(f"{path} is not a calibration: {safe_text(error.errors()[0]['msg'])}.") from error


@cache
def known() -> dict[str, Calibration]:
    """All calibrations that the package holds, superseded ones too, by digest: old reports are read with their own."""
    files = sorted((resources.files("fingerprint.calibration") / "data").iterdir(), key=lambda file: file.name)
    texts = [file.read_text("utf-8") for file in files if file.name.startswith("zoo") and file.name.endswith(".json")]
    found = [Calibration.model_validate(json.loads(text)) for text in texts]
    return {calibration.digest: calibration for calibration in found}
