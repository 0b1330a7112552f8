"""From a decided case to a report: copies and words, no decisions."""

from __future__ import annotations

import numpy as np

from fingerprint.calibration.model import Calibration
from fingerprint.canonical import finite
from fingerprint.evidence.align import contexts, dense
from fingerprint.evidence.base import Evidence, Skipped
from fingerprint.evidence.case import Case
from fingerprint.evidence.text import opening
from fingerprint.recording import Recording
from fingerprint.report.guardrails import guardrail_part
from fingerprint.report.schema import (
    CalibrationPart,
    EvidencePart,
    Hypotheses,
    ModelPart,
    NoiseFloor,
    Result,
    SkippedPart,
    VerdictPart,
)
from fingerprint.report.sequential import sequential_part
from fingerprint.sequential import Outcome
from fingerprint.stats.divergence import jensen_shannon
from fingerprint.verdict import Verdict

_DIGITS = 6


def build_result(
    case: Case,
    evidence: tuple[Evidence, ...],
    skipped: tuple[Skipped, ...],
    verdict: Verdict,
    calibration: Calibration,
    *,
    prior: float | None = None,
    sequential: Outcome | None = None,
) -> Result:
    """The ``result`` part of a report; floats are rounded so that last bits do not matter."""
    log_lr = verdict.log_lr
    return Result(
        suspect=_model(case.suspect),
        reference=_model(case.reference),
        controls=tuple(_model(control) for control in case.controls),
        panel=tuple(recording.model.name for recording in case.panel),
        verdict=VerdictPart(kind=verdict.kind, direction=verdict.direction, sentence=verdict.sentence),
        log10_lr=log_lr.value,
        log10_lr_interval=log_lr.interval,
        log10_lr_bounds=log_lr.bounds,
        log10_lr_uncapped=log_lr.uncapped,
        evidence=tuple(_evidence(item, calibration) for item in evidence),
        skipped=tuple(SkippedPart(method=item.method, reason=item.reason) for item in skipped),
        noise_floor=_noise_floor(case.reference),
        guardrails=guardrail_part(case),
        calibration=_calibration(calibration, log_lr.tier),
        hypotheses=Hypotheses(
            h1=f"one of {case.suspect.model.name} and {case.reference.model.name} derives from the other, "
            "by weights or by learning",
            h2=f"{case.suspect.model.name} and {case.reference.model.name} are unrelated but otherwise alike",
        ),
        limits=verdict.limits,
        prior=prior,
        posterior=None if prior is None else _posterior(prior, log_lr.value),
        sequential=None if sequential is None else sequential_part(case, sequential),
    )


def _posterior(prior: float, log10_lr: float) -> float:
    odds = prior / (1 - prior) * 10**log10_lr
    return round(odds / (1 + odds), _DIGITS)


def _round(value: float) -> float:
    return finite(float(f"{value:.{_DIGITS}g}"))


def _model(recording: Recording) -> ModelPart:
    info = recording.model
    return ModelPart(
        name=info.name,
        digest=info.digest,
        kind=info.kind,
        architecture=info.architecture,
        parameters=info.parameters,
        tokenizer=info.tokenizer,
        template=info.template,
        weights=info.weights,
        runtime=recording.protocol.runtime,
        access=recording.access,
        recording=recording.digest,
        prompts=len(recording.prompts),
        samples=len(recording.samples),
        distributions=len(recording.distributions),
    )


def _evidence(item: Evidence, calibration: Calibration) -> EvidencePart:
    alone = [tier for tier in calibration.tiers.values() if tier.features and set(tier.features) <= set(item.features)]
    return EvidencePart(
        method=item.method,
        title=item.title,
        access=item.access,
        statistic=_round(item.statistic),
        pvalue=None if item.pvalue is None else _round(item.pvalue),
        effect=_round(item.effect),
        interval=None if item.interval is None else (_round(item.interval[0]), _round(item.interval[1])),
        n=item.n,
        log10_lr=_round(alone[0].log10_lr(item.features)) if alone else None,
        note=item.note,
        controls={name: _round(value) for name, value in item.controls.items()},
    )


def _noise_floor(reference: Recording) -> NoiseFloor:
    first, again = contexts(reference), contexts(reference, draw=1)
    shared = sorted(set(first) & set(again))
    value = None
    if shared:
        rows = [dense([table[key] for key in shared]).astype(np.float64) for table in (first, again)]
        value = _round(float(jensen_shannon(rows[0], rows[1]).mean()))
    drawn = [texts for texts in reference.answers.values() if len(texts) > 1]
    matches = [float(opening(texts[0]) == opening(texts[1])) for texts in drawn]
    return NoiseFloor(
        divergence_bits=value, repeated=len(shared), text_match=_round(float(np.mean(matches))) if matches else None
    )


def _calibration(calibration: Calibration, name: str) -> CalibrationPart:
    tier = calibration.tiers.get(name)
    return CalibrationPart(
        id=calibration.id,
        digest=calibration.digest,
        tier=name,
        cllr=tier.cllr if tier else None,
        related_pairs=tier.related_pairs if tier else 0,
        unrelated_pairs=tier.unrelated_pairs if tier else 0,
        families=tier.families if tier else 0,
        note=calibration.population,
    )
