"""Work on many models, a shard each, on any engine: record them, sketch their answers, train them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fingerprint import api, library, recording_file, sketch_store
from fingerprint.calibration.model import LogLR, Tier
from fingerprint.calibration.ties import TEXT
from fingerprint.calibration.ties import shipped as shipped_ties
from fingerprint.canonical import sha256
from fingerprint.collection.collect import silent
from fingerprint.collection.execution import Engine, Here
from fingerprint.collection.store import default_root
from fingerprint.errors import FingerprintError, UsageError
from fingerprint.matrix import PairRow
from fingerprint.text import safe_file_name, safe_text
from fingerprint.tree.grow import grow, grow_from_sketches
from fingerprint.tree.model import FamilyTree
from fingerprint.tree.panel import Settings
from fingerprint.verdict import panel_kind

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What became of one model: the file of its recording, or why there is none."""

    spec: str
    path: str = ""
    digest: str = ""
    error: str = ""
    exit_code: int = 0


def record_many(
    specs: Sequence[str], options: api.Options, folder: Path, engine: Engine, say: Callable[[str], None]
) -> list[Recorded]:
    """Record models into a folder, each in a file of its own; one that fails does not stop the others.

    The store and the folder must be the same place for all workers (on many machines: a shared one). A worker
    that is lost loses one model's turn; what it had collected is in the store, and the turn is taken again.
    """
    _refuse_shared_limits(options, engine)
    folder.mkdir(parents=True, exist_ok=True)
    # A progress display belongs to this terminal and cannot travel.
    work = partial(_record, options=replace(options, progress=silent), folder=str(folder.absolute()))
    found = []
    for place, each in enumerate(engine.map(work, list(specs)), start=1):
        found.append(each)
        what = each.path or f"failed: {safe_text(each.error, limit=400)}"
        say(f"{place} of {len(specs)}: {safe_text(each.spec)}: {what}")
    return found


def _record(spec: str, *, options: api.Options, folder: str) -> Recorded:
    try:
        recording = api.record([spec], options)[0]
        path = Path(folder) / f"{safe_file_name(recording.model.name)}-{recording.model.digest[7:15]}.jsonl.zst"
        recording_file.write(recording, path)
    except FingerprintError as error:
        return Recorded(spec=spec, error=str(error), exit_code=error.exit_code)
    return Recorded(spec=spec, path=str(path), digest=recording.digest)


def fill_store(specs: Sequence[str], options: api.Options, engine: Engine) -> None:
    """Have models answer the probes into the store, a model a shard; whoever compares them then finds the answers there.

    A model that fails is left to whoever compares it, and meets the same error there.
    """
    _refuse_shared_limits(options, engine)
    for _ in engine.map(partial(_fill, options=replace(options, progress=silent)), list(specs)):
        pass


def _fill(spec: str, *, options: api.Options) -> str:
    try:
        return api.record([spec], options)[0].digest
    except FingerprintError as error:
        return str(error)


def _refuse_shared_limits(options: api.Options, engine: Engine) -> None:
    limits = (options.budget.requests, options.budget.tokens, options.budget.minutes)
    if not isinstance(engine, Here) and any(limit is not None for limit in limits):
        raise UsageError(
            "A limit on requests, tokens or minutes is counted in one process, and this engine has several.",
            hint="Use --engine here, or leave the limit out.",
        )


#: From this many models on, pairs are scored from sketches: comparing every n-gram of every pair would take hours.
LARGE = 300


def recording_files(folder: Path) -> list[tuple[Path, str]]:
    """The recordings of a folder, a library or an archive of one, with their digests where a list gives them."""
    opened = api.open_library(folder)
    if opened is None:
        return [(path, sha256(path.read_bytes())) for path in api.folder_files(folder)]
    return [(opened.root / entry.file, entry.sha256) for entry in opened.checked()]


def matrix(folder: Path, engine: Engine) -> tuple[tuple[str, ...], list[PairRow]]:
    """All pairs of a folder: as `api.matrix` up to `LARGE` models, from sketches, with their own calibration, beyond."""
    names, rows, _ = matrix_with_limits(folder, engine)
    return names, rows


def matrix_with_limits(folder: Path, engine: Engine) -> tuple[tuple[str, ...], list[PairRow], tuple[str, ...]]:
    """As `matrix`, and why less is claimed of some pairs than their scores suggest."""
    files = recording_files(folder)
    if len(files) <= LARGE:
        return api.matrix_with_limits(folder)
    names = sketch_names(files, folder)
    sketch_store.make(names, engine)
    panel = sketch_store.load(names)
    scores, common, tier = panel.scores(), panel.common(), shipped_ties().tiers[TEXT]
    shown = [shown_name(path) for path in names.files]
    rows = [_row(shown, scores, common, tier, pair) for pair in combinations(range(len(shown)), 2)]
    told = f"Beyond {LARGE} models protocols, versions of probes and changes during a recording are not compared."
    return tuple(shown), rows, (told,)


def tree(folder: Path, settings: Settings, engine: Engine) -> FamilyTree:
    """The family tree of a folder: from recordings up to `LARGE` models, from sketches of their answers beyond.

    Raises:
        UsageError: it holds one recording only, or none.

    """
    files = recording_files(folder)
    if len(files) < 2:
        raise UsageError(f"{folder} holds one recording only.", hint="A tree needs two; add more with collect.")
    if len(files) <= LARGE:
        return grow(api.read_folder(folder), shipped_ties(), settings)
    names = sketch_names(files, folder)
    sketch_store.make(names, engine)
    shown = [shown_name(path) for path in names.files]
    found = grow_from_sketches(sketch_store.load(names), shown, shipped_ties(), settings)
    note = f"Beyond {LARGE} models only what they wrote is compared: no weights, no distributions, no direction."
    return replace(found, notes=(*found.notes, note))


def _row(
    names: Sequence[str], scores: Floats, common: npt.NDArray[np.float32], tier: Tier, pair: tuple[int, int]
) -> PairRow:
    score, shared = float(scores[pair]), int(common[pair])
    uncapped = tier.log10_lr({"sketch_z": score})
    log_lr = LogLR.bounded("panel", uncapped, (uncapped, uncapped), tier.bounds if shared else (0.0, 0.0))
    return PairRow(
        a=names[pair[0]],
        b=names[pair[1]],
        log10_lr=log_lr.value,
        log10_lr_uncapped=log_lr.uncapped,
        kind=panel_kind(log_lr, shared),
        score=round(score, 4),
        # Manner is not sketched; the likelihood ratio above rests on descent alone.
        imitation=0.0,
        shared_prompts=shared,
    )


def sketch_names(files: Sequence[tuple[Path, str]], folder: Path) -> sketch_store.Names:
    """The sketches of a panel's `recording_files`: what they are called and where they are kept."""
    return sketch_store.name_panel([path for path, _ in files], sketch_folder(folder), [known for _, known in files])


def shown_name(path: Path) -> str:
    """A model of a large panel by the name of its file."""
    return safe_text(path.name.removesuffix(".zst").removesuffix(".jsonl"))


def sketch_folder(folder: Path) -> Path:
    """Where the sketches of a panel are kept: inside a library, else in the user's cache."""
    return folder / "index" if library.is_library(folder) else default_root() / "sketches"
