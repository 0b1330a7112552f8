"""Sealed pre-registration: what was fixed before collection, as digests, and whether a comparison kept to it.

A seal holds no answers, models or names, so it can be published (or timestamped by somebody else) before anybody is asked.
Models that are asked under a seal are asked everything anew, and their recordings carry its digest, which nobody could
write before it existed. When it came to exist is shown by its publication, not by the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from fingerprint import verdict
from fingerprint.calibration.model import Calibration
from fingerprint.canonical import digest
from fingerprint.code import source_digest
from fingerprint.errors import UsageError
from fingerprint.evidence.case import Case
from fingerprint.evidence.protocol import mismatches
from fingerprint.recording import ProbeSetRef, Recording
from fingerprint.report.schema import SealPart
from fingerprint.text import safe_text

#: Rooms whose source files are the methods.
_OTHER_CALIBRATION = "The calibration is not the sealed one."
_METHODS = ("evidence", "stats", "tensors")


class Seal(BaseModel):
    """The file: items by name, their common digest, and when the writer says that it was written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal["1.0"] = "1.0"
    created: str
    items: dict[str, str]
    digest: str


def make_seal(
    sets: Sequence[ProbeSetRef], calibration: Calibration, *, temperature: float, system: str, seed: int, created: str
) -> Seal:
    """The seal of an analysis that is about to be made."""
    items = {**_program(calibration), "probes": _probes(sets), **_protocol(temperature, system, seed)}
    return Seal(created=created, items=items, digest=digest(items))


def read_seal(path: Path) -> Seal:
    """A seal from its file.

    Raises:
        UsageError: it cannot be read, is none, or was changed after it was written.

    """
    try:
        seal = Seal.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"The seal {path} cannot be read: {error.strerror or error}.") from error
    except ValidationError as error:
        raise UsageError(f"{path} is not a seal: {safe_text(error.errors()[0]['msg'])}.") from error
    if digest(seal.items) != seal.digest:
        raise UsageError(f"The seal {path} was changed after it was written: its digest is not that of its items.")
    return seal


def seal_part(seal: Seal, case: Case, calibration: Calibration) -> SealPart:
    """The seal as a report shows it, with every departure from it."""
    return SealPart(digest=seal.digest, sealed=seal.items, deviations=deviations(seal.items, case, calibration))


def deviations(items: Mapping[str, str], case: Case, calibration: Calibration) -> tuple[str, ...]:
    """Where a comparison departs from what was sealed, in sentences."""
    found = []
    for name, value in _program(calibration).items():
        if items.get(name) != value:
            found.append(_OTHER_CALIBRATION if name == "calibration" else f"The {name} are not as they were sealed.")
    for side in (case.suspect, case.reference):
        found += _departures(items, side, case)
    sealed = digest(dict(items))
    for each in (case.suspect, case.reference, *case.controls):
        if each.seal != sealed:
            under = "another seal" if each.seal else "no seal"
            found.append(f"{each.model.name} was recorded under {under}: its answers may be older than this one.")
    if mismatches(case.suspect, case.reference):
        found.append("The two sides were not asked alike.")
    return tuple(found)


def _departures(items: Mapping[str, str], side: Recording, case: Case) -> list[str]:
    asked = _protocol(side.protocol.temperature, side.protocol.system, case.seed)
    found = [
        f"{side.model.name} was asked with another {name} than the sealed one."
        for name, value in asked.items()
        if items.get(name) != value
    ]
    if _probes(side.probe_sets) != items.get("probes"):
        found.append(f"{side.model.name} was asked other probes than the sealed ones.")
    return found


def _program(calibration: Calibration) -> dict[str, str]:
    constants = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in vars(verdict).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, int | float | str | tuple)
    }
    return {
        "methods": source_digest(_METHODS),
        "thresholds": digest(constants),
        "calibration": calibration.digest,
    }


def _probes(sets: Sequence[ProbeSetRef]) -> str:
    return digest(sorted([each.name, each.version, each.digest] for each in sets))


def _protocol(temperature: float, system: str, seed: int) -> dict[str, str]:
    return {"temperature": f"{temperature:g}", "system prompt": digest(system), "seed": str(seed)}
