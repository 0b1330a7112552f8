"""What was compared before: reports under a key of all that went into them, so that only what changed is compared."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fingerprint.errors import UsageError
from fingerprint.report.schema import Report
from fingerprint.text import safe_text


class Baseline(BaseModel):
    """Reports by key. Each is verified again before it is believed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal["1.0"] = "1.0"
    reports: dict[str, Report] = Field(default_factory=dict)


def read_baseline(path: Path) -> Baseline:
    """The baseline in a file; an empty one if there is no file yet.

    Raises:
        UsageError: the file cannot be read or is no baseline.

    """
    if not path.exists():
        return Baseline()
    try:
        return Baseline.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"The baseline {path} cannot be read: {error.strerror or error}.") from error
    except ValidationError as error:
        raise UsageError(
            f"{path} is not a baseline: {safe_text(error.errors()[0]['msg'])}.",
            hint="Delete it to compare everything again.",
        ) from error


def to_text(baseline: Baseline) -> str:
    """The file's text, in order of the keys."""
    # Only what was said: an old report that gained fields here would no longer have its digest.
    ordered = Baseline(schema_version=baseline.schema_version, reports=dict(sorted(baseline.reports.items())))
    return ordered.model_dump_json(indent=1, exclude_unset=True) + "\n"
