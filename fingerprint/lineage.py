"""Open weights on this disk: a comparison of tensors alone, and the same as a part of every comparison.

    specs → weights → evidence → verdict → report

No model is run, nothing is sampled and torch is not imported.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from fingerprint._version import __version__
from fingerprint.calibration.model import Calibration
from fingerprint.calibration.model import shipped as shipped_calibration
from fingerprint.canonical import digest, dumps
from fingerprint.errors import ModelError, RecordingError, SpecError
from fingerprint.evidence.base import Evidence, Skipped
from fingerprint.evidence.case import Case
from fingerprint.evidence.tensors.image import NAME as IMAGE
from fingerprint.evidence.tensors.image import output_image
from fingerprint.evidence.tensors.lineage import PLACES, Sides, tensor_evidence
from fingerprint.models.identity import weights_digest
from fingerprint.models.spec import parse_spec
from fingerprint.models.weight_files import OPEN_SCHEMES, open_weights
from fingerprint.recording import Finding, ModelInfo, Recording, as_row
from fingerprint.tensors.model import Weights
from fingerprint.text import safe_text
from fingerprint.verdict import decide, weights_say

if TYPE_CHECKING:
    from fingerprint.report.schema import Report

_EVIDENCE = TypeAdapter(list[Evidence])
_SKIPPED = TypeAdapter(list[Skipped])


def compare_weights(
    suspect: str,
    reference: str,
    *,
    others: Sequence[str] = (),
    seed: int = 0,
    calibration: Calibration | None = None,
) -> Report:
    """Compare two models by their tensors alone.

    Args:
        suspect: spec of open weights: a folder, a GGUF file, ``zoo:name``, or ``hf:org/name`` in the hub's cache.
        reference: the same, of the model that the suspect may derive from.
        others: open weights that may be a parent of both, or a second parent of a merge.
        seed: seed of the relabellings and of the split into dimensions.
        calibration: bounds of the likelihood ratio; those of the package by default.

    Raises:
        SpecError: a spec names no open weights.
        ModelError: weights are missing, damaged, not whole, in an unknown format, pickled, or hold NaN.

    """
    from fingerprint.code import library_versions, source_digest
    from fingerprint.report.build import build_result, make_report
    from fingerprint.report.schema import Run

    started, clock = datetime.now(UTC), time.monotonic()
    models = [open_weights(spec) for spec in (suspect, reference, *others)]
    case = Case(suspect=_stand_in(models[0]), reference=_stand_in(models[1]), seed=seed)
    sides = Sides(suspect=models[0], reference=models[1], others=tuple(models[2:]), seed=seed)
    found, skipped = tensor_evidence(sides)
    evidence = [item.rounded() for item in found]
    skipped.append(
        Skipped(method="behaviour", reason="weights alone were compared; `fingerprint compare` asks both models")
    )
    calibration = calibration or shipped_calibration()
    verdict = decide(case, evidence, calibration)
    result = build_result(case, tuple(evidence), tuple(skipped), verdict, calibration)
    run = Run(
        tool_version=__version__,
        started=started.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - clock, 3),
        settings={"route": "weights", "seed": seed},
        code=source_digest(),
        versions=library_versions(),
    )
    return make_report(result, run)


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """What two models' weights say, in the words of `verdict.weights_say`; the smallest log10 p-value; the verdict."""

    kind: str
    log10_p: float
    verdict: str
    evidence: tuple[Evidence, ...] = ()


def weights_relation(suspect: str, reference: str, *, seed: int = 0) -> Relation:
    """The short form of `compare_weights`, for those who only ask whether a claim holds."""
    models = [open_weights(spec) for spec in (suspect, reference)]
    case = Case(suspect=_stand_in(models[0]), reference=_stand_in(models[1]), seed=seed)
    evidence, _ = tensor_evidence(Sides(suspect=models[0], reference=models[1], seed=seed))
    found = {item.method: item for item in evidence}
    powers = [item.features["log10_p"] for item in evidence if "log10_p" in item.features]
    return Relation(
        kind=weights_say(case, found),
        log10_p=min(powers, default=0.0),
        verdict=decide(case, evidence, shipped_calibration()).kind,
        evidence=tuple(evidence),
    )


def with_findings(case: Case, specs: Sequence[str]) -> Case:
    """The case, with what whole tensors show written into the suspect's recording, so that it can be read again.

    ``specs`` name the suspect, the reference and the controls. A finding that the recording brought along is kept.
    """
    if _known(case) is not None:
        return case
    evidence, skipped = open_tensor_evidence(case, specs)
    if not evidence and not all(parse_spec(spec).scheme in OPEN_SCHEMES for spec in specs[:2]):
        return case
    finding = Finding(
        against=_against(case),
        seed=case.seed,
        evidence=tuple(_as_read(item) for item in evidence),
        skipped=tuple(_as_read(item) for item in skipped),
    )
    return replace(case, suspect=replace(case.suspect, findings=(*case.suspect.findings, finding)))


def recall_findings(case: Case) -> tuple[list[Evidence], list[Skipped]]:
    """The tensor evidence that the suspect's recording holds for exactly this case.

    Raises:
        RecordingError: what it holds is no evidence.

    """
    known = _known(case)
    if known is None:
        return [], [Skipped(method=PLACES, reason="the tensors of one side are not on this disk")]
    try:
        return _EVIDENCE.validate_python(known.evidence), _SKIPPED.validate_python(known.skipped)
    except ValidationError as error:
        raise RecordingError(
            f"The recording of {safe_text(case.suspect.model.name)} holds findings on tensors that cannot be read.",
            hint="Compare the models again, or remove the rows called finding.",
        ) from error


def _as_read(item: Evidence | Skipped) -> dict[str, Any]:
    """Its fields as they come out of a file: names in order, tuples as lists."""
    found: dict[str, Any] = json.loads(dumps(as_row(item)))
    return found


def _known(case: Case) -> Finding | None:
    fits = (item for item in case.suspect.findings if item.against == _against(case) and item.seed == case.seed)
    return next(fits, None)


def _against(case: Case) -> tuple[str, ...]:
    return tuple(side.model.digest for side in (case.reference, *case.controls))


def open_tensor_evidence(case: Case, specs: Sequence[str]) -> tuple[list[Evidence], list[Skipped]]:
    """Evidence on suspect and reference, the first two of the specs, as a part of a larger comparison.

    Where only the reference is open, the suspect's log-probabilities are held against its output head. A fault of the
    weights is a reason for skipping here: what was collected from the models must not be lost.
    """
    parsed = [parse_spec(spec) for spec in specs]
    is_open = [spec.scheme in OPEN_SCHEMES for spec in parsed]
    try:
        if not all(is_open[:2]):
            closed = Skipped(method=PLACES, reason="the tensors of one side are not on this disk")
            if not is_open[1]:
                return [], [closed, Skipped(method=IMAGE, reason="the reference's weights are not on this disk")]
            found = output_image(case, open_weights(parsed[1]))
            return ([found], [closed]) if isinstance(found, Evidence) else ([], [closed, found])
        models = [open_weights(spec) for spec in parsed[:2]]
        others = [open_weights(spec) for spec, known in zip(parsed[2:], is_open[2:], strict=True) if known]
        return tensor_evidence(Sides(suspect=models[0], reference=models[1], others=tuple(others), seed=case.seed))
    except (ModelError, SpecError) as error:
        return [], [Skipped(method=PLACES, reason=f"the weights cannot be compared: {error}")]


def _stand_in(model: Weights) -> Recording:
    """A recording without answers, so that weights alone go through the same verdict and the same report."""
    weights = weights_digest(model.checkpoint.files)
    vocabulary = model.checkpoint.vocabulary
    tokenizer = digest(sorted(vocabulary.items())) if vocabulary else ""
    return Recording(
        model=ModelInfo(
            name=model.name,
            kind=model.checkpoint.container,
            digest=digest([weights, tokenizer]),
            architecture=model.shape.kind,
            parameters=model.parameters,
            vocabulary=len(vocabulary or ()),
            weights=weights,
            tokenizer=tokenizer,
        )
    )
