"""The path of the data, on one page.

    specs → recordings → case → evidence → likelihood ratio → verdict → report

`compare` is the whole program; everything else is one of its steps done alone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fingerprint import library, library_archive, recording_file, shipped, sources
from fingerprint._version import __version__
from fingerprint.calibration.model import shipped as shipped_calibration
from fingerprint.collection.plan import plan_like
from fingerprint.errors import RecordingError, UsageError
from fingerprint.evidence.base import NOT_EVIDENCE
from fingerprint.evidence.case import Case
from fingerprint.evidence.methods import examine
from fingerprint.evidence.protocol import without_system
from fingerprint.lineage import recall_findings, with_findings
from fingerprint.models.spec import parse_spec
from fingerprint.options import Options as Options  # noqa: PLC0414  # part of this page
from fingerprint.recording import ModelInfo, Recording
from fingerprint.sources import Memory
from fingerprint.verdict import decide

if TYPE_CHECKING:
    from fingerprint.calibration.panel import PanelCalibration
    from fingerprint.identify import Identification
    from fingerprint.matrix import PairRow
    from fingerprint.report.schema import Report
    from fingerprint.sequential import Outcome


def compare(
    suspect: str,
    reference: str,
    *,
    controls: Sequence[str] = (),
    panel: Path | None = None,
    options: Options | None = None,
    save_to: Path | None = None,
    memory: Memory | None = None,
) -> Report:
    """Compare a suspect with a reference and report what the evidence supports.

    Args:
        suspect: model spec of the model in question.
        reference: model spec of the model that it may derive from.
        controls: specs of models of the same kind that are known not to derive from the reference.
        panel: a folder of recordings as population; the package's own models are used without one.
        options: probes, sampling, budget, store, calibration, prior.
        save_to: a folder for the recordings, from which the same result can be computed again.
        memory: shared by comparisons of one run, which then record each model once.

    Raises:
        FingerprintError: with one sentence; everything that was collected is kept in the store.

    """
    from fingerprint.code import library_versions, source_digest
    from fingerprint.report.build import build_result, make_report
    from fingerprint.report.schema import Run
    from fingerprint.report.seal import seal_part

    options, started, clock = options or Options(), datetime.now(UTC), time.monotonic()
    population = read_folder(panel) if panel else shipped.recordings()
    outcome = None
    specs = [suspect, reference, *controls]
    if options.sequential is None:
        recordings = record(specs, options, memory)
    else:
        recordings, outcome = record_in_turn(specs, options, population)
    base = None if options.base is None else record_base(options.base, recordings, options, memory)
    case = with_findings(make_case(recordings, population, seed=options.settings.seed, base=base), specs)
    if save_to is not None:
        kept = [replace(recordings[0], findings=case.suspect.findings), *recordings[1:]]
        save(kept if base is None else [*kept, base], save_to)
    evidence, skipped = examine(case)
    tensors, closed = recall_findings(case)
    evidence, skipped = (*(item.rounded() for item in tensors), *evidence), (*closed, *skipped)
    calibration = options.calibration or shipped_calibration()
    verdict = decide(case, evidence, calibration)
    result = build_result(case, evidence, skipped, verdict, calibration, prior=options.prior, sequential=outcome)
    if options.seal is not None:
        result = result.model_copy(update={"seal": seal_part(options.seal, case, calibration)})
    run = Run(
        tool_version=__version__,
        started=started.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - clock, 3),
        settings={"probes": options.probes, "temperature": options.settings.temperature, "seed": options.settings.seed},
        code=source_digest(),
        versions=library_versions(),
    )
    return make_report(result, run)


def make_case(
    recordings: Sequence[Recording], panel: Sequence[Recording], *, seed: int = 0, base: Recording | None = None
) -> Case:
    """Suspect, reference and controls, seen against the panel members that are none of them.

    Raises:
        RecordingError: suspect and reference have no prompt in common.
        UsageError: the suspect's base is also named as a control.

    """
    if _keys(recordings[0]).isdisjoint(_keys(recordings[1])):
        # The same words under other system prompts: compared, and the verdict says what that is worth.
        recordings, panel = [without_system(r) for r in recordings], [without_system(r) for r in panel]
        base = None if base is None else without_system(base)
    suspect, reference, *controls = recordings
    if _keys(suspect).isdisjoint(_keys(reference)):
        raise RecordingError(
            f"{suspect.model.name} and {reference.model.name} have no prompt in common.",
            hint="Record both with the same probe sets.",
        )
    if base is not None and base.model.digest in {control.model.digest for control in controls}:
        raise UsageError(
            f"{base.model.name} is named as the suspect's base and as a control.",
            hint="A base has an ancestor's likeness to the suspect: name other models as controls.",
        )
    known = recordings if base is None else [*recordings, base]
    others = strangers([recording.model for recording in known], panel)
    return Case(suspect=suspect, reference=reference, controls=tuple(controls), panel=others, seed=seed, base=base)


def _keys(recording: Recording) -> set[str]:
    return {prompt.key for prompt in recording.prompts}


def strangers(models: Sequence[ModelInfo], panel: Sequence[Recording]) -> tuple[Recording, ...]:
    """The panel members that are none of these models, nor known to descend from the second, the reference."""
    taken = {model.digest for model in models}
    weights = {model.weights for model in models if model.weights} | shipped.descendants(models[1].weights)
    found = []
    for other in panel:
        if other.model.digest not in taken and other.model.weights not in weights:
            found.append(other)
            taken.add(other.model.digest)
    return tuple(found)


def record(specs: Sequence[str], options: Options, memory: Memory | None = None) -> list[Recording]:
    """A recording of each model: read where the spec is one, collected where it is a model."""
    memory = memory or Memory()
    given, collectors = memory.gather(specs, options)
    recordings = given | memory.collect_all(collectors, sources.plan_for(list(given.values()), options))
    return sources.cross_scored([recordings[place] for place in range(len(specs))], collectors)


def record_base(spec: str, recordings: Sequence[Recording], options: Options, memory: Memory | None = None) -> Recording:
    """A recording of the suspect's base: read, or asked what the suspect was asked."""
    given, collectors = (memory or Memory()).gather([spec], options)
    if given:
        return given[0]
    plan, asked = sources.plan_for(recordings[:2], options), _keys(recordings[0])
    return collectors[0].recording(replace(plan, probes=tuple(p for p in plan.probes if p.prompt.key in asked)))


def record_in_turn(
    specs: Sequence[str], options: Options, population: Sequence[Recording]
) -> tuple[list[Recording], Outcome]:
    """As `record`, but asking in the order of the probes' information and stopping once it is decided."""
    from fingerprint.evidence.information import rank_probes
    from fingerprint.sequential import ask_in_turn

    given, collectors = Memory().gather(specs, options)
    plan = sources.plan_for(list(given.values()), options)
    if not collectors:
        # Nobody is asked: what was recorded is looked at in turn.
        plan = plan_like(list(given.values())[:2], options.settings)
    models = [given[i].model if i in given else collectors[i].backend.info for i in range(len(specs))]
    others = strangers(models, population)
    order = {item.prompt.key: place for place, item in enumerate(rank_probes(others))}
    probes = [probe for probe in plan.probes if probe.set != NOT_EVIDENCE]
    probes.sort(key=lambda probe: order.get(probe.prompt.key, len(order)))
    assert options.sequential is not None
    recordings, outcome = ask_in_turn(
        given, collectors, replace(plan, probes=tuple(probes)), alpha=options.sequential, population=others
    )
    return sources.cross_scored(recordings, collectors), outcome


def collect(spec: str, options: Options, score: Sequence[Recording] = ()) -> Recording:
    """Record one model; ``score`` are recordings whose answers it shall also score."""
    collector = sources.open_collector(parse_spec(spec), options)
    recording = collector.recording(sources.plan_for([], options))
    return sources.with_scores(recording, collector, score)


def save(recordings: Sequence[Recording], folder: Path) -> list[Path]:
    """Write recordings into a folder, named after their models."""
    from fingerprint.text import safe_file_name

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for recording in recordings:
        path = folder / f"{safe_file_name(recording.model.name)}-{recording.model.digest[7:15]}.jsonl.zst"
        recording_file.write(recording, path)
        paths.append(path)
    return paths


def read_folder(folder: Path) -> list[Recording]:
    """All recordings of a folder, of a reference library or of the archive of one, in order of name.

    Raises:
        UsageError: it is no folder or holds none; a library is damaged.

    """
    if opened := open_library(folder):
        return opened.recordings()
    return [recording_file.read(path) for path in folder_files(folder)]


def open_library(folder: Path) -> library.Library | None:
    """The library that a folder or an archive is, if it is one.

    Raises:
        UsageError: it is empty or damaged.

    """
    if library_archive.is_archive(folder):
        opened = library_archive.open_archive(folder)
    elif library.is_library(folder):
        opened = library.Library.open(folder)
    else:
        return None
    if not opened.entries:
        raise UsageError(f"The library {folder} holds no recording.", hint="Add some with `fingerprint library add`.")
    return opened


def folder_files(folder: Path) -> list[Path]:
    """The files of recordings in a plain folder, in order of name."""
    if not folder.is_dir():
        raise UsageError(f"There is no folder of recordings {folder}.")
    paths = sorted(path for path in folder.iterdir() if path.name.endswith((".jsonl", ".jsonl.zst")))
    if not paths:
        raise UsageError(f"The folder {folder} holds no recording (.jsonl or .jsonl.zst).")
    return paths


def matrix(folder: Path, calibration: PanelCalibration | None = None) -> tuple[tuple[str, ...], list[PairRow]]:
    """All pairs of the recordings in a folder, by their answers: model names, and one row per pair."""
    names, rows, _ = matrix_with_limits(folder, calibration)
    return names, rows


def matrix_with_limits(
    folder: Path, calibration: PanelCalibration | None = None
) -> tuple[tuple[str, ...], list[PairRow], tuple[str, ...]]:
    """As `matrix`, and why less is claimed of some pairs than their scores suggest."""
    from fingerprint.calibration.panel import shipped as shipped_panel
    from fingerprint.matrix import compare_all, limits

    recordings = read_folder(folder)
    if len(recordings) < 2:
        raise UsageError(f"The folder {folder} holds one recording only.", hint="A pair needs two.")
    names, rows = compare_all(recordings, calibration or shipped_panel())
    return names, rows, limits(recordings, rows)


def identify(suspect: str, folder: Path, options: Options | None = None) -> Identification:
    """Who of a folder of recordings may be behind the suspect; a live suspect is asked what the panel was asked."""
    from fingerprint.calibration.panel import shipped as shipped_panel
    from fingerprint.identify import identify as rank

    options, spec, panel = options or Options(), parse_spec(suspect), read_folder(folder)
    if spec.scheme == "rec":
        return rank(sources.read(spec), panel, shipped_panel())
    plan, known = sources.plan_for(panel, options), {prompt.key for member in panel for prompt in member.prompts}
    asked = replace(plan, probes=tuple(probe for probe in plan.probes if probe.prompt.key in known))
    if not asked.probes:
        raise RecordingError(f"No member of {folder} was asked any of these probes.", hint="Choose --probes that it was.")
    return rank(sources.open_collector(spec, options).recording(asked), panel, shipped_panel())
