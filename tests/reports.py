"""Reports that tests share: real ones from the shipped recordings, computed once, and real ones from files."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from fingerprint import api, shipped
from fingerprint.calibration.model import shipped as calibration
from fingerprint.code import source_digest
from fingerprint.evidence.methods import examine
from fingerprint.report.build import build_result, make_report
from fingerprint.report.schema import Report, Run, load_report
from fingerprint.verdict import decide


@cache
def real(suspect: str, reference: str, *controls: str) -> Report:
    """The report on two shipped models, as `compare` makes it."""
    known = {recording.model.name: recording for recording in shipped.recordings()}
    case = api.make_case([known[name] for name in (suspect, reference, *controls)], shipped.recordings())
    evidence, skipped = examine(case)
    verdict = decide(case, evidence, calibration())
    result = build_result(case, evidence, skipped, verdict, calibration(), prior=0.5)
    run = Run(
        tool_version="0", started="2026-11-25T05:00:00+00:00", seconds=1.5, settings={"seed": 0}, code=source_digest()
    )
    return make_report(result, run)


#: One of each kind that the shipped models can show.
PAIRS = {
    "distilled": ("student", "teacher", "twin", "twin-gpt2"),
    "derived": ("finetune", "teacher"),
    "same": ("teacher", "teacher"),
    "unrelated": ("student", "unrelated"),
    "inconclusive": ("student-text", "teacher"),
}

COMPAT = Path(__file__).parent / "compat"
#: The reports that are stored as files, by kind: real ones, without the time that it takes to make them.
STORED = {path.stem.removeprefix("report-"): path for path in sorted((COMPAT / "2026-11-25-0409669").glob("report-*.json"))}


@cache
def stored(kind: str) -> Report:
    """A real report that an earlier version of the program wrote."""
    return load_report(STORED[kind])
