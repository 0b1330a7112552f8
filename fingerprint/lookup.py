"""One suspect against a large panel: ranked from kept sketches, in seconds for thousands of models.

Sketches rank; they accuse nobody. Among thousands some stranger is always near, and no p-value from sketches has been
calibrated, so what comes out is a list to look into with `compare` or with a smaller panel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fingerprint import api, recording_file, sketch_store, sources
from fingerprint.calibration.model import LogLR
from fingerprint.calibration.ties import TEXT
from fingerprint.calibration.ties import shipped as shipped_ties
from fingerprint.collection.execution import Engine
from fingerprint.errors import RecordingError
from fingerprint.evidence.base import MIN_PROMPTS
from fingerprint.identify import Candidate, Identification, LeftOut, identical
from fingerprint.many import LARGE, recording_files, shown_name, sketch_folder, sketch_names
from fingerprint.matrix import comparable
from fingerprint.models.spec import parse_spec
from fingerprint.recording import Recording
from fingerprint.verdict import panel_bounds, panel_kind

#: So many of the nearest are read in full: is one the suspect itself, was it asked as the suspect was?
READ = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """A model of a panel by its sketched score with a suspect; ``log10_lr`` is uncapped and ranks, no more.

    ``copy``: the answers are word for word those of the suspect, as far as a sketch can tell.
    """

    name: str
    file: Path
    score: float
    log10_lr: float
    shared_prompts: int
    copy: bool


def nearest(suspect: Recording, folder: Path, engine: Engine, top: int | None = 20) -> list[Near]:
    """The models of a panel by their nearness to a suspect, from kept sketches; those that are missing are made."""
    names = sketch_names(recording_files(folder), folder)
    sketch_store.index(names, engine)
    found, tier = sketch_store.rank(suspect, names), shipped_ties().tiers[TEXT]
    return [
        Near(
            name=shown_name(names.files[place]),
            file=names.files[place],
            score=round(float(found.scores[place]), 4),
            log10_lr=round(tier.log10_lr({"sketch_z": float(found.scores[place])}), 4),
            shared_prompts=int(found.shared[place]),
            copy=bool(found.copies[place]),
        )
        # A score from few prompts is noise, however high.
        for place in np.lexsort((-found.scores, found.shared < MIN_PROMPTS))[:top]
    ]


def index(folder: Path, engine: Engine) -> tuple[int, int]:
    """Make the index of a panel and, inside a library, delete what belongs to earlier states of it.

    Returns (models, files deleted).
    """
    names = sketch_names(recording_files(folder), folder)
    sketch_store.index(names, engine)
    # The user's cache is shared by many panels; a library's index is its own.
    old = sketch_store.clear_earlier(names) if folder in names.folder.parents else 0
    return len(names.files), old


def has_index(folder: Path) -> bool:
    """Whether a library has sketches already, and so is worth keeping up when a model is added."""
    return any(sketch_folder(folder).glob("*.likeness.npz"))


def identify(suspect: str, folder: Path, options: api.Options, engine: Engine) -> Identification:
    """Who of a panel may be behind the suspect: `api.identify` up to `LARGE` models, beyond that from sketches."""
    files = recording_files(folder)
    if len(files) <= LARGE:
        return api.identify(suspect, folder, options)
    recording = _suspect(suspect, folder, options, engine)
    near, left_out, odd = _without_itself(recording, nearest(recording, folder, engine, top=None))
    candidates = tuple(_candidate(rank, each, len(files), each.file in odd) for rank, each in enumerate(near, start=1))
    return Identification(
        suspect=recording.model.name,
        candidates=candidates,
        answer="undecided",
        sentence=f"Undecided: {len(candidates):,} models are ranked from sketches of their answers, which accuse nobody.",
        log10_lr_none=0.0,
        left_out=tuple(left_out),
        limits=_limits(candidates, len(odd)),
    )


def _suspect(text: str, folder: Path, options: api.Options, engine: Engine) -> Recording:
    """The suspect's recording; a live one is asked what the panel was asked."""
    spec, files = parse_spec(text), recording_files(folder)
    if spec.scheme == "rec":
        return sources.read(spec)
    names = sketch_names(files, folder)
    sketch_store.make(names, engine)
    known, plan = sketch_store.prompts(names), sources.plan_for([recording_file.read(files[0][0])], options)
    asked = replace(plan, probes=tuple(probe for probe in plan.probes if probe.prompt.key in known))
    if not asked.probes:
        raise RecordingError(f"No member of {folder} was asked any of these probes.", hint="Choose --probes that it was.")
    return sources.open_collector(spec, options).recording(asked)


def _without_itself(suspect: Recording, near: list[Near]) -> tuple[list[Near], list[LeftOut], set[Path]]:
    """The candidates, those that are the suspect itself, and the files of those that were asked in another way."""
    kept, left_out, odd = [], [], set()
    for place, each in enumerate(near):
        other = recording_file.read(each.file) if place < READ else None
        if each.copy or (other is not None and identical(suspect, other)):
            left_out.append(LeftOut(name=each.name, reason="the suspect itself, or an exact copy of it"))
            continue
        kept.append(each)
        if other is not None and not comparable(suspect, other):
            odd.add(each.file)
    return kept, left_out, odd


def _candidate(rank: int, near: Near, models: int, odd: bool) -> Candidate:
    bounds = panel_bounds(
        shipped_ties().tiers[TEXT].bounds, models=models, shared_prompts=near.shared_prompts, alike=not odd
    )
    log_lr = LogLR.bounded("panel", near.log10_lr, (near.log10_lr, near.log10_lr), bounds)
    kind = panel_kind(log_lr, near.shared_prompts)
    return Candidate(
        rank=rank,
        name=near.name,
        log10_lr=log_lr.value,
        log10_lr_uncapped=log_lr.uncapped,
        # Without a p-value that is corrected for the whole panel, nobody of thousands is called related.
        kind="inconclusive" if kind == "related" else kind,
        pvalue=1.0,
        pvalue_holm=1.0,
        accused=False,
        shared_prompts=near.shared_prompts,
    )


def _limits(candidates: tuple[Candidate, ...], odd: int) -> tuple[str, ...]:
    few = sum(candidate.shared_prompts < MIN_PROMPTS for candidate in candidates)
    limits = [
        "Among thousands some stranger is always near, and sketches have no p-value: nobody is accused.",
        f"Look into the first few with `compare`, or with `identify` on a panel of at most {LARGE} models.",
        f"Only the {READ} nearest were read in full; of the others the protocol was not compared.",
    ]
    if few:
        limits.append(f"{few:,} candidates have fewer than {MIN_PROMPTS} answered prompts in common with the suspect.")
    if odd:
        limits.append(
            f"{odd} of the {READ} nearest were asked under another temperature, system prompt or channel than the suspect, "
            "or changed while they were recorded: nothing is claimed of them."
        )
    return tuple(limits)
