"""A report as a bill of materials: CycloneDX 1.7 (Ecma-424), JSON.

The suspect is the machine-learning model that the document is about. Only where the verdict says that weights are the same
or descend does its pedigree name the reference: as ancestor or descendant if the direction is known, else as variant, which
in CycloneDX is a component whose relation is not known. What was found otherwise is a claim with its evidence and its
counter-evidence. Every value comes from the report.
"""

from __future__ import annotations

import json
import re
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fingerprint.report import words
from fingerprint.report.sides import Item, both
from fingerprint.text import json_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fingerprint.report.schema import GuardrailRate, ModelPart, Report, Result

SCHEMA = "http://cyclonedx.org/schema/bom-1.7.schema.json"
_SHA256 = re.compile(r"sha256:([0-9a-f]{64})")
_DESCENT = ("same", "derived")
_PLACE = {"suspect_from_reference": "ancestors", "reference_from_suspect": "descendants", "undetermined": "variants"}


def to_bom(report: Report) -> str:
    """The bill of materials as JSON; the same report gives the same bytes."""
    result = report.result
    bom = {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.7",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, report.content_digest())}",
        "version": 1,
        "metadata": _metadata(report),
        "components": [
            _component(result.reference, "reference"),
            *(_component(control, f"control-{number}") for number, control in enumerate(result.controls, start=1)),
        ],
        "declarations": _declarations(report),
    }
    return json_text(bom, indent=2)


def sha256(value: str) -> str:
    """The hexadecimal digits of a digest of ours; empty where it is none."""
    found = _SHA256.fullmatch(value)
    return found.group(1) if found else ""


def _metadata(report: Report) -> dict[str, Any]:
    run = report.run
    tool = {"type": "application", "bom-ref": "tool", "name": "fingerprint", "version": words.name(run.tool_version)}
    found: dict[str, Any] = {
        "tools": {"components": [tool | _properties({"code": run.code})]},
        "component": _suspect(report.result),
        **_properties(_summary(report)),
    }
    return ({"timestamp": run.started} if is_time(run.started) else {}) | found


def _summary(report: Report) -> dict[str, str]:
    result = report.result
    return {
        "report": report.content_digest(),
        "verdict": result.verdict.kind,
        "direction": result.verdict.direction,
        "log10_lr": repr(result.log10_lr),
        "calibration": result.calibration.digest,
    }


def is_time(text: str) -> bool:
    """Whether a text is a point in time as RFC 3339 writes it."""
    try:
        return datetime.fromisoformat(text).tzinfo is not None and "T" in text
    except ValueError:
        return False


def _component(part: ModelPart, ref: str = "") -> dict[str, Any]:
    """A model. Its hash is of the weights: of the file where they are one, else of the list of their names and digests."""
    found: dict[str, Any] = {"type": "machine-learning-model"}
    if ref:
        found["bom-ref"] = ref
    found["name"] = words.name(part.name, 200) or "unnamed"
    if digits := sha256(part.weights):
        found["hashes"] = [{"alg": "SHA-256", "content": digits}]
    card = {"modelParameters": {"modelArchitecture": words.name(part.architecture)}} if part.architecture else {}
    told = {
        "identity": part.digest,
        "weights": part.weights,
        "tokenizer": part.tokenizer,
        "recording": part.recording,
        "kind": part.kind,
        "access": ", ".join(part.access),
        "parameters": str(part.parameters) if part.parameters else "",
    }
    return found | ({"modelCard": card} if card else {}) | _properties(told)


def _suspect(result: Result) -> dict[str, Any]:
    found = _component(result.suspect, "suspect")
    if result.verdict.kind in _DESCENT:
        found["pedigree"] = {
            _PLACE[result.verdict.direction]: [_component(result.reference)],
            "notes": words.prose(result.verdict.sentence),
        }
    if metrics := list(_metrics(result)):
        found.setdefault("modelCard", {})["quantitativeAnalysis"] = {"performanceMetrics": metrics}
    return found


def _metrics(result: Result) -> Iterable[dict[str, Any]]:
    rails = result.guardrails
    slices: dict[str, GuardrailRate | None] = {
        "harmful requests": rails.suspect_harmful,
        "harmless twins of harmful requests": rails.suspect_harmless,
    }
    for name, rate in slices.items():
        if rate is None or rate.rate is None:
            continue
        found: dict[str, Any] = {"type": "share of refusals", "value": repr(rate.rate), "slice": name}
        if rate.interval is not None:
            found["confidenceInterval"] = {"lowerBound": repr(rate.interval[0]), "upperBound": repr(rate.interval[1])}
        yield found


def _declarations(report: Report) -> dict[str, Any]:
    result = report.result
    found = both(result)
    refs = {item.part.method: f"evidence-{number}" for number, item in enumerate(_all(result), start=1)}
    sides = [[refs[item.part.method] for item in side] for side in (found.for_h1, found.for_h2)]
    # A verdict of `unrelated` rests on what speaks for H2, every other one on what speaks for H1.
    support, against = reversed(sides) if result.verdict.kind == "unrelated" else sides
    claim = {
        "bom-ref": "claim",
        "target": "suspect",
        "predicate": words.prose(result.verdict.sentence),
        "reasoning": _reasoning(result),
        "evidence": support,
        "counterEvidence": against,
    }
    return {"claims": [claim], "evidence": [_evidence(report, item, refs[item.part.method]) for item in _all(result)]}


def _all(result: Result) -> tuple[Item, ...]:
    found = both(result)
    return (*found.for_h1, *found.for_h2, *found.open)


def _reasoning(result: Result) -> str:
    low, high = result.log10_lr_bounds
    ratio = (
        f"log10 likelihood ratio {words.signed(result.log10_lr)}, 95 % interval "
        f"{words.between(result.log10_lr_interval, 2)}, caps {words.signed(low)} … {words.signed(high)}."
    )
    return " ".join(
        (
            ratio,
            words.ratio_sentence(result),
            f"H1: {words.prose(result.hypotheses.h1)}. H2: {words.prose(result.hypotheses.h2)}.",
            words.calibration_sentence(result),
            *(f"Limit: {words.prose(limit)}" for limit in result.limits),
        )
    )


def _evidence(report: Report, item: Item, ref: str) -> dict[str, Any]:
    part = item.part
    found = both(report.result)
    speaks = "for H1" if item in found.for_h1 else "for H2" if item in found.for_h2 else "for neither hypothesis"
    numbers = part.model_dump(mode="json", include={"statistic", "pvalue", "effect", "interval", "n", "log10_lr"})
    attachment = {"contentType": "application/json", "content": json.dumps(numbers, allow_nan=False)}
    told: dict[str, Any] = {
        "bom-ref": ref,
        "propertyName": f"fingerprint:method:{words.name(part.method)}",
        "description": f"{words.name(part.title)} (access: {part.access}) speaks {speaks}. {item.sentence}",
        "data": [{"name": "numbers", "contents": {"attachment": attachment}}],
    }
    return told | ({"created": report.run.started} if is_time(report.run.started) else {})


def _properties(told: dict[str, str]) -> dict[str, list[dict[str, str]]]:
    rows = [{"name": f"fingerprint:{name}", "value": words.name(value, 200)} for name, value in told.items() if value]
    return {"properties": rows} if rows else {}
