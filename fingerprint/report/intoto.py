"""in-toto statements (Attestation Framework v1): a decision as a test result, a report under a type of our own.

A statement says of a model, by its digest, what was found; signing it is left to the tools that hold keys. ``sha256`` is
the digest of the weights (of the file, where they are one), ``fingerprintModel`` that of weights, configuration, tokenizer
and template together; both are lower-case hexadecimal SHA-256.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from fingerprint._version import __version__
from fingerprint.errors import OutputError
from fingerprint.policy import Decision, Outcome
from fingerprint.report.ci import pair
from fingerprint.report.cyclonedx import sha256
from fingerprint.report.schema import Access, Direction, Hypotheses, Kind, ModelPart, Report, SkippedPart
from fingerprint.report.sides import both
from fingerprint.text import json_text, safe_text

STATEMENT = "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
#: Not registered anywhere: a name that nobody else uses.
LINEAGE = "urn:x-fingerprint:lineage:v1"
_RESULTS: dict[Outcome, str] = {"passed": "PASSED", "failed": "FAILED", "undecided": "WARNED", "error": "WARNED"}
_LONG = 1000


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Described(_Part):
    """A model that took part: its name, and its digests by algorithm."""

    name: str
    digest: dict[str, str]


class Weighed(_Part):
    """One method's finding and the hypothesis it speaks for."""

    method: str
    access: Access
    speaks_for: Literal["h1", "h2", "neither"]
    sentence: str
    effect: FiniteFloat
    interval: tuple[FiniteFloat, FiniteFloat] | None
    pvalue: FiniteFloat | None
    n: int


class Lineage(_Part):
    """The predicate ``urn:x-fingerprint:lineage:v1``: what a comparison of the subject with a reference found."""

    schema_version: Literal["1.0"] = "1.0"
    reference: Described
    controls: tuple[Described, ...]
    kind: Kind
    direction: Direction
    sentence: str
    hypotheses: Hypotheses
    log10_lr: FiniteFloat = Field(description="Capped; the number to quote.")
    log10_lr_interval: tuple[FiniteFloat, FiniteFloat]
    log10_lr_bounds: tuple[FiniteFloat, FiniteFloat]
    evidence: tuple[Weighed, ...] = Field(description="Evidence for both sides, counter-evidence included.")
    skipped: tuple[SkippedPart, ...]
    limits: tuple[str, ...]
    calibration: str = Field(description="Digest of the calibration.")
    report: str = Field(description="Digest of the report that this was taken from.")
    tool_version: str
    started: str


def to_statement(report: Report) -> str:
    """A report as a statement about the suspect.

    Raises:
        OutputError: the report holds no digest of the suspect.

    """
    result = report.result
    subject = _described(result.suspect)
    if not subject.digest:
        raise OutputError("The report holds no digest of the suspect, so nothing can be attested of it.")
    predicate = Lineage(
        reference=_described(result.reference),
        controls=tuple(_described(control) for control in result.controls),
        kind=result.verdict.kind,
        direction=result.verdict.direction,
        sentence=_line(result.verdict.sentence),
        hypotheses=Hypotheses(h1=_line(result.hypotheses.h1), h2=_line(result.hypotheses.h2)),
        log10_lr=result.log10_lr,
        log10_lr_interval=result.log10_lr_interval,
        log10_lr_bounds=result.log10_lr_bounds,
        evidence=tuple(_weighed(report)),
        skipped=tuple(SkippedPart(method=_line(part.method), reason=_line(part.reason)) for part in result.skipped),
        limits=tuple(_line(limit) for limit in result.limits),
        calibration=result.calibration.digest,
        report=report.content_digest(),
        tool_version=_line(report.run.tool_version),
        started=_line(report.run.started),
    )
    return _text([subject.model_dump()], LINEAGE, predicate.model_dump(mode="json"))


def decision_statement(decision: Decision, reports: Mapping[tuple[str, str], Report], path: str) -> str:
    """A decision as a test result about the models that its rules are about.

    Args:
        decision: what was decided. ``WARNED`` stands for undecided and for a model out of reach: neither passed.
        reports: the comparisons behind it, which know the subjects' digests.
        path: the policy's path, as readers know it.

    Raises:
        OutputError: no model was compared, so there is no digest to attest anything of.

    """
    subjects = {part.digest: _described(part) for part in (report.result.suspect for report in reports.values())}
    known = [subject.model_dump() for subject in subjects.values() if subject.digest]
    if not known:
        raise OutputError("No model was compared, so nothing can be attested.", hint="Leave .intoto.json out.")
    file = decision.file
    tests: dict[str, list[str]] = {"PASSED": [], "WARNED": [], "FAILED": []}
    for finding in decision.findings:
        tests[_RESULTS[finding.outcome]].append(f"{finding.rule.id}: {pair(finding)}")
    predicate = {
        "result": _RESULTS[decision.outcome],
        "configuration": [
            {
                "name": safe_text(path),
                "digest": {"sha256": file.sha256},
                "annotations": {"policy": file.policy.digest, "exitCode": decision.exit_code, "tool": __version__},
            }
        ],
        "passedTests": tests["PASSED"],
        "warnedTests": tests["WARNED"],
        "failedTests": tests["FAILED"],
    }
    return _text(known, TEST_RESULT, predicate)


def lineage_schema() -> dict[str, Any]:
    """JSON Schema of our own predicate."""
    return Lineage.model_json_schema()


def _text(subject: list[dict[str, Any]], kind: str, predicate: dict[str, Any]) -> str:
    statement = {"_type": STATEMENT, "subject": subject, "predicateType": kind, "predicate": predicate}
    return json_text(statement, indent=2)


def _described(part: ModelPart) -> Described:
    found = {"sha256": sha256(part.weights), "fingerprintModel": sha256(part.digest)}
    return Described(name=safe_text(part.name), digest={name: digits for name, digits in found.items() if digits})


def _weighed(report: Report) -> Iterable[Weighed]:
    found = both(report.result)
    sides: dict[Literal["h1", "h2", "neither"], Any] = {"h1": found.for_h1, "h2": found.for_h2, "neither": found.open}
    for side, items in sides.items():
        for item in items:
            part = item.part
            yield Weighed(
                method=_line(part.method),
                access=part.access,
                speaks_for=side,
                sentence=item.sentence,
                effect=part.effect,
                interval=part.interval,
                pvalue=part.pvalue,
                n=part.n,
            )


def _line(text: str) -> str:
    return safe_text(text, limit=_LONG)
