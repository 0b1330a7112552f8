"""From a decided case to a report: copies and words, no decisions."""

from __future__ import annotations

import numpy as np

from fingerprint.calibration.model import Calibration
from fingerprint.canonical import rounded
from fingerprint.evidence.align import contexts, dense
from fingerprint.evidence.base import Evidence, Skipped
from fingerprint.evidence.case import Case
from fingerprint.evidence.protocol import mismatches
from fingerprint.evidence.text import opening
from fingerprint.recording import Recording, as_row
from fingerprint.report.examples import examples
from fingerprint.report.guardrails import guardrail_part
from fingerprint.report.schema import (
    CalibrationPart,
    DriftPart,
    EvidencePart,
    Hypotheses,
    ModelPart,
    NoiseFloor,
    NotePart,
    ProbeSetPart,
    ProtocolPart,
    Report,
    Result,
    Run,
    SkippedPart,
    StratumPart,
    TippettPart,
    VerdictPart,
    whole,
)
from fingerprint.report.sequential import sequential_part
from fingerprint.sequential import Outcome
from fingerprint.stats.divergence import jensen_shannon
from fingerprint.verdict import Verdict


def make_report(result: Result, run: Run) -> Report:
    """The whole report, with the digest that shows whether it was changed afterwards."""
    draft = whole(Report(result=result, run=run))
    return draft.model_copy(update={"digest": draft.content_digest()})


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
        seed=case.seed,
        examples=examples(case),
        protocol_differences=tuple(each.what for each in mismatches(case.suspect, case.reference)),
        panel_recordings=tuple(recording.digest for recording in case.panel),
        base=None if case.base is None else _model(case.base),
    )


def _posterior(prior: float, log10_lr: float) -> float:
    odds = prior / (1 - prior) * 10**log10_lr
    return round(odds / (1 + odds), 6)


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
        vocabulary=info.vocabulary,
        protocol=ProtocolPart(
            temperature=recording.protocol.temperature,
            top_k=recording.protocol.top_k,
            system=recording.protocol.system,
            seed=recording.protocol.seed,
        ),
        channels=tuple(sorted({prompt.channel for prompt in recording.prompts})),
        probe_sets=tuple(
            ProbeSetPart(name=used.name, version=used.version, digest=used.digest) for used in recording.probe_sets
        ),
        seal=recording.seal,
        notes=tuple(NotePart(topic=note.topic, text=note.text) for note in recording.notes),
        drift=None if recording.drift is None else DriftPart(**as_row(recording.drift)),
    )


def _evidence(item: Evidence, calibration: Calibration) -> EvidencePart:
    alone = [tier for tier in calibration.tiers.values() if tier.features and set(tier.features) <= set(item.features)]
    return EvidencePart(
        method=item.method,
        title=item.title,
        access=item.access,
        statistic=item.statistic,
        pvalue=item.pvalue,
        effect=item.effect,
        interval=item.interval,
        n=item.n,
        log10_lr=rounded(alone[0].log10_lr(item.features)) if alone else None,
        note=item.note,
        controls=item.controls,
        features=item.features,
    )


def _noise_floor(reference: Recording) -> NoiseFloor:
    first, again = contexts(reference), contexts(reference, draw=1)
    shared = sorted(set(first) & set(again))
    value = None
    if shared:
        rows = [dense([table[key] for key in shared]).astype(np.float64) for table in (first, again)]
        value = rounded(float(jensen_shannon(rows[0], rows[1]).mean()))
    drawn = [texts for texts in reference.answers.values() if len(texts) > 1]
    matches = [float(opening(texts[0]) == opening(texts[1])) for texts in drawn]
    return NoiseFloor(
        divergence_bits=value, repeated=len(shared), text_match=rounded(float(np.mean(matches))) if matches else None
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
        date=calibration.date,
        cllr_min=tier.cllr_min if tier else None,
        parameters=calibration.parameters,
        tippett=TippettPart(**tier.tippett.model_dump()) if tier and tier.tippett else None,
        strata=tuple(StratumPart(**stratum.model_dump()) for stratum in tier.strata) if tier else (),
    )
