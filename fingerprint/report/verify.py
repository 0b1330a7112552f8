"""Recompute someone else's verdict: from the report alone, and its statistics from the recordings.

From the report alone: likelihood ratio, caps, kind, sentence and limits follow from the stored features and the calibration
with the stated digest. With the recordings the whole ``result`` is computed again. What neither covers (how long the run
took, say) is covered by the report's own digest, which shows a change but not who made it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fingerprint.calibration.model import Calibration
from fingerprint.canonical import digest
from fingerprint.code import source_digest
from fingerprint.errors import UsageError
from fingerprint.evidence.base import Evidence, Skipped
from fingerprint.evidence.case import Case
from fingerprint.evidence.methods import examine
from fingerprint.evidence.protocol import without_system
from fingerprint.lineage import recall_findings
from fingerprint.recording import Drift, ModelInfo, Note, ProbeSetRef, Prompt, Protocol, Recording, TensorSketch
from fingerprint.report.build import build_result
from fingerprint.report.schema import EvidencePart, ModelPart, Report, Result
from fingerprint.report.seal import deviations
from fingerprint.verdict import decide

#: Parts that only the recordings can give again.
_FROM_RECORDINGS = {"suspect", "reference", "controls", "panel", "panel_recordings", "noise_floor", "guardrails"}
_FROM_RECORDINGS |= {"examples", "skipped", "seal", "sequential", "base"}
#: Prompts whose two sides went through different channels are shown by one.
_COMMON = "a prompt in common"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Whether the report is what comes out again, what was computed again, and the first difference."""

    same: bool
    recomputed: str
    difference: str = ""


def verify(report: Report, calibrations: Mapping[str, Calibration]) -> Verification:
    """Recompute the verdict from the report alone.

    Args:
        report: the report in question.
        calibrations: what the likelihood ratio may have come from, by digest.

    Raises:
        UsageError: the report is of an age at which reports did not hold what a verdict needs.

    """
    result = report.result
    sides = (result.suspect, result.reference)
    # What a server's recording noted stood among the limits only: without it they do not come out again.
    older = any(part.kind == "server" and "notes" not in part.model_fields_set for part in sides)
    drifted = older and any("changed while it was recorded" in limit for limit in result.limits)
    if drifted or any(part.protocol is None for part in sides):
        raise UsageError(
            "The report was written before reports held what a verdict needs.",
            hint="Name its recordings with --recordings.",
        )
    what = "the verdict, from the numbers in the report"
    case = outline(result)
    evidence = tuple(_evidence(part) for part in result.evidence)
    skipped = tuple(Skipped(method=part.method, reason=part.reason) for part in result.skipped)
    left_out = _FROM_RECORDINGS | ({"limits"} if older else set())
    return _compared(report, case, evidence, skipped, calibrations, what=what, left_out=left_out)


def verify_from(report: Report, recordings: Sequence[Recording], calibrations: Mapping[str, Calibration]) -> Verification:
    """Recompute the whole result from recordings, which are found by their digests.

    Raises:
        UsageError: a recording that the report names is not among them.

    """
    result = report.result
    case = _case(result, recordings)
    evidence, skipped = examine(case)
    if case.suspect.findings:
        tensors, closed = recall_findings(case)
        evidence, skipped = (*(item.rounded() for item in tensors), *evidence), (*closed, *skipped)
    # Recordings that were made apart hold no findings on tensors: those are taken as the report has them.
    fresh = {item.method for item in evidence} | {item.method for item in skipped}
    evidence = (*(_evidence(part) for part in result.evidence if part.method not in fresh), *evidence)
    stated = [part for part in result.skipped if part.method not in fresh]
    skipped = (*(Skipped(method=part.method, reason=part.reason) for part in stated), *skipped)
    what = f"the whole result, from {2 + len(case.others)} recordings"
    if kept := len(evidence) + len(skipped) - len(fresh):
        what += f", but for {kept} methods that read open weights"
    return _compared(report, case, evidence, skipped, calibrations, what=what, left_out={"seal", "sequential"})


def outline(result: Result) -> Case:
    """The case as far as a verdict looks at it beside the evidence: who, how asked, through which channels."""
    suspect, reference, *controls = (_outline(part) for part in (result.suspect, result.reference, *result.controls))
    if "channel" in result.protocol_differences:
        suspect = replace(suspect, prompts=(Prompt(id=_COMMON, text=_COMMON, channel="chat"),))
        reference = replace(reference, prompts=(Prompt(id=_COMMON, text=_COMMON, channel="raw"),))
    return Case(suspect=suspect, reference=reference, controls=tuple(controls), seed=result.seed)


def _outline(part: ModelPart) -> Recording:
    asked = part.protocol
    protocol = Protocol(runtime=part.runtime)
    if asked is not None:
        protocol = Protocol(
            temperature=asked.temperature, top_k=asked.top_k, system=asked.system, seed=asked.seed, runtime=part.runtime
        )
    info = ModelInfo(
        name=part.name,
        kind=part.kind,
        digest=part.digest,
        architecture=part.architecture,
        parameters=part.parameters,
        vocabulary=part.vocabulary,
        weights=part.weights,
        tokenizer=part.tokenizer,
        template=part.template,
    )
    # An open model is one with a sketch; its values are not in the report, what was computed from them is.
    open_weights = TensorSketch(name="not in the report", shape=(0,), scale=0.0, values="")
    return Recording(
        model=info,
        protocol=protocol,
        probe_sets=tuple(ProbeSetRef(name=s.name, version=s.version, digest=s.digest) for s in part.probe_sets),
        prompts=(Prompt(id=_COMMON, text=_COMMON),),
        sketch=(open_weights,) if "weights" in part.access else (),
        notes=tuple(Note(topic=note.topic, text=note.text) for note in part.notes),
        drift=None if part.drift is None else Drift(**part.drift.model_dump()),
        seal=part.seal,
    )


def _evidence(part: EvidencePart) -> Evidence:
    return Evidence(
        method=part.method,
        title=part.title,
        access=part.access,
        statistic=part.statistic,
        pvalue=part.pvalue,
        effect=part.effect,
        interval=part.interval,
        n=part.n,
        note=part.note,
        controls=part.controls,
        features=part.features,
    )


def _case(result: Result, recordings: Sequence[Recording]) -> Case:
    known = {recording.digest: recording for recording in recordings}
    # Sides under different system prompts are compared by the words of the probes alone.
    known |= {bare.digest: bare for recording in recordings if (bare := without_system(recording)).digest not in known}
    by_name = {recording.model.name: recording for recording in recordings}

    def find(wanted: str, name: str) -> Recording:
        # Reports of the first days name their panel without digests.
        found = known.get(wanted) if wanted else by_name.get(name)
        if found is None:
            raise UsageError(
                f"The recording of {name} ({wanted or 'without a digest'}) is not in the folders given.",
                hint="Name the folder that holds it with --recordings.",
            )
        return found

    digests = result.panel_recordings or ("",) * len(result.panel)
    suspect, reference, *controls = (
        find(part.recording, part.name) for part in (result.suspect, result.reference, *result.controls)
    )
    panel = tuple(find(wanted, name) for wanted, name in zip(digests, result.panel, strict=False))
    base = None if result.base is None else find(result.base.recording, result.base.name)
    return Case(suspect=suspect, reference=reference, controls=tuple(controls), panel=panel, seed=result.seed, base=base)


def _compared(
    report: Report,
    case: Case,
    evidence: tuple[Evidence, ...],
    skipped: tuple[Skipped, ...],
    calibrations: Mapping[str, Calibration],
    *,
    what: str,
    left_out: set[str],
) -> Verification:
    result = report.result
    calibration = calibrations.get(result.calibration.digest)
    if calibration is None:
        return Verification(
            same=False,
            recomputed=what,
            difference=f"no calibration with the digest {result.calibration.digest} is at hand (--calibration names one)",
        )
    try:
        verdict = decide(case, evidence, calibration)
        again = build_result(case, evidence, skipped, verdict, calibration, prior=result.prior)
    except (LookupError, ValueError, ArithmeticError) as error:
        difference = f"no verdict can be computed from its numbers ({type(error).__name__}: {error})"
        return Verification(same=False, recomputed=what, difference=difference)
    # What an older report does not hold cannot differ.
    said = _strata_by_name(result.model_dump(mode="json", exclude_unset=True, exclude=left_out))
    found = _strata_by_name(again.model_dump(mode="json", exclude=left_out))
    difference = next(_differences(said, found, "result"), "") or _seal_difference(report, case, calibration)
    if not difference and report.digest != report.content_digest() and (report.digest or result.suspect.protocol):
        difference = "digest: something in the report was changed after it was written"
    return Verification(same=not difference, recomputed=what, difference=difference)


def _strata_by_name(result: dict[str, Any]) -> dict[str, Any]:
    """The same, with the strata under their names: a calibration may come to count more of them without another digest."""
    used = result["calibration"]
    if "strata" in used:
        used["strata"] = {stratum["name"]: stratum for stratum in used["strata"]}
    return result


def _seal_difference(report: Report, case: Case, calibration: Calibration) -> str:
    """Whether the report's words on its seal are true; methods and thresholds only where this is the same program."""
    seal = report.result.seal
    if seal is None:
        return ""
    if digest(seal.sealed) != seal.digest:
        return "result.seal.digest: it is not the digest of what the report says was sealed"
    again = deviations(seal.sealed, case, calibration)
    if report.run.code == source_digest() and again != seal.deviations:
        return f"result.seal.deviations: the report says {len(seal.deviations)}, there are {len(again)} or other ones"
    return ""


def _differences(said: Any, found: Any, place: str) -> Iterator[str]:
    """Places where two JSON values differ, in the order of the first; keys that only the second has are newer fields."""
    if isinstance(said, dict) and isinstance(found, dict):
        for key, value in said.items():
            yield from _differences(value, found.get(key), f"{place}.{key}")
    elif isinstance(said, list) and isinstance(found, list) and len(said) == len(found):
        for number, (mine, theirs) in enumerate(zip(said, found, strict=True)):
            yield from _differences(mine, theirs, f"{place}[{number}]")
    elif said != found:
        yield f"{place}: the report says {_shown(said)}, it comes out as {_shown(found)}"


def _shown(value: Any) -> str:
    text = str(len(value)) + " items" if isinstance(value, list) else repr(value)
    return text if len(text) <= 120 else text[:120] + "…"
