"""Sketches of recordings on disk: each recording is read and reduced once, thousands are compared in seconds.

A sketch is named by what it depends on: the bytes of the recording, the population that rarity was counted on, the version
of the method. So it is made once, by whichever process comes first; a lost one is made again with the same bytes; and the
folder can be deleted at any time.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fingerprint import recording_file
from fingerprint.canonical import digest, sha256
from fingerprint.collection.execution import Engine, Here
from fingerprint.errors import UsageError
from fingerprint.evidence.base import MIN_PROMPTS
from fingerprint.evidence.text import usable_answers
from fingerprint.recording import Recording
from fingerprint.recording_file import write_bytes
from fingerprint.stats.panelsketch import PanelSketch, row_statistics, view_weights
from fingerprint.stats.sketches import (
    BLOCKS,
    MOST_PROMPTS,
    POPULATION,
    SIZE,
    VIEWS,
    Keys,
    Population,
    Sketch,
    counted,
    grams,
    sketch,
)

VERSION = 1
_SHARD = 8  # recordings in a shard
_GROUPS = ("body", "lines", "closings")
_LEVELS = 127
_CHUNK = 128
_COPY = 0.95  # mean cosine that only the same answers reach
Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Files of one panel, ordered by the digest of their content, and what its sketches are called."""

    folder: Path
    files: tuple[Path, ...]
    digests: tuple[str, ...]
    population: str

    def sketch(self, place: int) -> Path:
        return self.folder / f"{self.population}-{self.digests[place][7:31]}.sketch"

    @property
    def cohort(self) -> npt.NDArray[np.int64]:
        """The models that rarity is counted on: those of the smallest digests, which are as good as drawn by lot.

        A model that is added to n others changes them, and with them every sketch, only with probability 128/n.
        """
        return np.arange(min(len(self.files), POPULATION))


def name_panel(files: Sequence[Path], folder: Path, digests: Sequence[str] | None = None) -> Names:
    """Order a panel's files by content, so that nothing depends on when a model was added."""
    known = list(digests or (sha256(path.read_bytes()) for path in files))
    order = sorted(range(len(files)), key=lambda place: known[place])
    cohort = [known[place] for place in order[:POPULATION]]
    return Names(
        folder=folder,
        files=tuple(files[place] for place in order),
        digests=tuple(known[place] for place in order),
        population=digest([VERSION, cohort])[7:23],
    )


def make(names: Names, engine: Engine | None = None) -> None:
    """Make the sketches that are missing; ``names.folder`` must be the same place for all workers.

    Raises:
        UsageError: the models have too few prompts in common, or too many prompts for a sketch.

    """
    engine = engine or Here()
    names.folder.mkdir(parents=True, exist_ok=True)
    counts = _population_path(names.folder, names.population)
    if not counts.is_file():
        _write_population([names.files[place] for place in names.cohort], counts, engine)
    missing = [place for place in range(len(names.files)) if not names.sketch(place).is_file()]
    shards = [
        [(str(names.files[place]), str(names.sketch(place))) for place in missing[first : first + _SHARD]]
        for first in range(0, len(missing), _SHARD)
    ]
    for _ in engine.map(partial(_sketch_files, counts=str(counts)), shards):
        pass


def load(names: Names) -> PanelSketch:
    """All sketches of a panel (made before), as numbers in memory: 1 MiB a model."""
    return PanelSketch.stack([_read(names.sketch(place)) for place in range(len(names.files))], names.cohort)


def index(names: Names, engine: Engine | None = None) -> None:
    """Make everything that ranking a suspect needs: the sketches, and their likeness to the cohort. Raises as `make`."""
    make(names, engine)
    _likeness(names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """A suspect against the models of a panel, each (models,): ``scores``; prompts in common; the same answers."""

    scores: Floats
    shared: Floats
    copies: Bools


def rank(suspect: Recording, names: Names) -> Ranked:
    """Panel score of a recording with every model of a panel (made before), in the order of ``names``.

    Only bytes are read from disk, one model at a time, so that memory does not grow with the panel.
    """
    own = _rounded(_sketch(suspect, str(_population_path(names.folder, names.population))))
    flat = own.values.reshape(len(VIEWS), SIZE)
    found, shared = np.zeros((len(names.files), len(VIEWS))), np.zeros(len(names.files))
    for place in range(len(names.files)):
        other = _packed_at(names.sketch(place))
        shared[place] = common = float(np.sum(other.answered & own.answered))
        products = np.einsum("vs,vs->v", other.values.reshape(len(VIEWS), SIZE), flat, dtype=np.float32)
        found[place] = products * other.scale / common if common else np.nan
    found = np.where(np.isnan(found), np.nanmedian(found, axis=0), found)
    middle, spread = _statistics(names)
    # If the suspect is in the panel itself, its likeness to itself says nothing of how it resembles others.
    others = np.where(found[names.cohort] > _COPY, np.nan, found[names.cohort])
    mine, width = row_statistics(others.T, np.arange(len(names.cohort)), own=np.full(len(VIEWS), -1))
    one_sided = (found - middle) / spread + (found - mine) / width
    scores = np.asarray(one_sided @ view_weights() / 2, np.float64)
    return Ranked(scores=scores, shared=shared, copies=np.all(found > _COPY, axis=1))


def _statistics(names: Names) -> tuple[Floats, Floats]:
    """Middle and spread of every model against the cohort, (models, views)."""
    rows, places = _likeness(names).astype(np.float64), np.arange(len(names.files))
    found = [row_statistics(rows[:, view], names.cohort, own=places) for view in range(len(VIEWS))]
    middle, spread = (np.stack(each, axis=1) for each in zip(*found, strict=True))
    return middle, spread


def _likeness(names: Names) -> Singles:
    """Mean cosine of every model with the cohort, (models, views, cohort); kept, and only new models are compared.

    Pairs without a prompt in common get the middle of the others, as in `PanelSketch.similarities`.
    """
    target = names.folder / f"{names.population}.likeness.npz"
    known: dict[str, Singles] = {}
    if target.is_file():
        with np.load(target) as kept:
            known = dict(zip(kept["digests"].tolist(), kept["rows"], strict=True))
    missing = [place for place in range(len(names.files)) if names.digests[place] not in known]
    if missing:
        cohort = _Side.of([_packed_at(names.sketch(place)) for place in names.cohort])
        for first in range(0, len(missing), _CHUNK):
            few = missing[first : first + _CHUNK]
            rows = _Side.of([_packed_at(names.sketch(place)) for place in few]).likeness(cohort)
            known |= {names.digests[place]: row for place, row in zip(few, rows, strict=True)}
        _write(target, {"digests": np.array(sorted(known)), "rows": np.stack([known[key] for key in sorted(known)])})
    rows = np.stack([known[key] for key in names.digests])
    lacking = np.isnan(rows)
    return np.where(lacking, np.nanmedian(rows, axis=(0, 2), keepdims=True), rows) if lacking.any() else rows


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """Sketches as whole numbers, (views, models, places), and their scales: fewer numbers to scale after the product."""

    values: Singles
    scale: Singles
    answered: Singles

    @staticmethod
    def of(some: Sequence[_Packed]) -> _Side:
        values = np.empty((len(VIEWS), len(some), SIZE), np.float32)
        for model, each in enumerate(some):
            values[:, model] = each.values.reshape(len(VIEWS), SIZE)
        return _Side(
            values=values,
            scale=np.stack([each.scale for each in some]),
            answered=np.stack([each.answered for each in some]).astype(np.float32),
        )

    def likeness(self, others: _Side) -> Singles:
        """Mean cosine over common prompts, (models, views, others), NaN where there is none.

        Rounded, so that the last bits do not tell in which company a model was compared.
        """
        common = self.answered @ others.answered.T
        common[common == 0] = np.nan
        found = np.zeros((len(self.scale), len(VIEWS), len(others.scale)), np.float32)
        for view in range(len(VIEWS)):
            scale = np.outer(self.scale[:, view], others.scale[:, view])
            found[:, view] = self.values[view] @ others.values[view].T * scale / common
        return np.round(found, 6)


def prompts(names: Names) -> frozenset[str]:
    """Keys of the prompts that the population answered (made before)."""
    return frozenset(_population(str(_population_path(names.folder, names.population)))[1])


def clear_earlier(names: Names) -> int:
    """Delete the sketches of earlier populations; the folder must be this panel's alone. Returns how many files went."""
    old = [path for path in names.folder.iterdir() if path.is_file() and not path.name.startswith(names.population)]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def forget() -> None:
    """Drop the populations that are kept in memory."""
    _population.cache_clear()


def _population_path(folder: Path, population: str) -> Path:
    return folder / f"{population}.population.npz"


def _write_population(files: Sequence[Path], target: Path, engine: Engine) -> None:
    prompts = sorted({key for keys in engine.map(_prompt_keys, [str(path) for path in files]) for key in keys})
    if not MIN_PROMPTS <= len(prompts) <= MOST_PROMPTS:
        raise UsageError(f"The models answered {len(prompts)} prompts; {MIN_PROMPTS} to {MOST_PROMPTS} can be compared.")
    parts: dict[str, list[Keys]] = {group: [] for group in _GROUPS}
    answered = np.zeros(len(prompts))
    for data in engine.map(partial(_grams_of, prompts=tuple(prompts)), [str(path) for path in files]):
        with np.load(io.BytesIO(data)) as found:
            answered += found["answered"]
            for group in _GROUPS:
                parts[group].append(found[group])
    tables = {group: counted(parts[group]) for group in _GROUPS}
    arrays: dict[str, npt.NDArray[Any]] = {f"keys_{group}": keys for group, (keys, _) in tables.items()}
    arrays |= {f"counts_{group}": counts for group, (_, counts) in tables.items()}
    _write(target, {**arrays, "answered": answered, "prompts": np.array(prompts)})


def _answers(recording: Recording, prompts: Sequence[str]) -> list[str | None]:
    found = usable_answers(recording)
    return [found[key][0] if key in found else None for key in prompts]


def _prompt_keys(path: str) -> list[str]:
    return list(usable_answers(recording_file.read(Path(path))))


def _grams_of(path: str, *, prompts: Sequence[str]) -> bytes:
    keys, answered = grams(_answers(recording_file.read(Path(path)), prompts))
    buffer = io.BytesIO()
    np.savez(buffer, answered=answered, body=keys["body"], lines=keys["lines"], closings=keys["closings"])
    return buffer.getvalue()


@cache
def _population(path: str) -> tuple[Population, tuple[str, ...]]:
    with np.load(path) as found:
        known = Population(
            keys={group: found[f"keys_{group}"] for group in _GROUPS},
            counts={group: found[f"counts_{group}"] for group in _GROUPS},
            answered=found["answered"],
        )
        return known, tuple(found["prompts"].tolist())


def _sketch(recording: Recording, counts: str) -> Sketch:
    known, prompts = _population(counts)
    return sketch(_answers(recording, prompts), known)


def _sketch_files(shard: Sequence[tuple[str, str]], *, counts: str) -> int:
    """Sketch some recordings into files; the number of them is all that travels back."""
    for source, target in shard:
        made = _sketch(recording_file.read(Path(source)), counts)
        kept = _Packed.of(made)
        parts = (kept.scale.astype("<f4").tobytes(), kept.values.tobytes(), kept.answered.tobytes())
        write_bytes(b"".join(parts), Path(target))
    return len(shard)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Packed:
    """A sketch as it is kept: bytes in units of one scale per view, which rounds far below the sketch's own error."""

    values: Bytes
    scale: npt.NDArray[np.float32]
    answered: npt.NDArray[np.bool_]

    @staticmethod
    def of(made: Sketch) -> _Packed:
        scale = np.abs(made.values).max(axis=(1, 2)) / np.float32(_LEVELS)
        scale = np.where(scale > 0, scale, 1).astype(np.float32)
        return _Packed(
            values=np.round(made.values / scale[:, None, None]).astype(np.int8), scale=scale, answered=made.answered
        )

    def sketch(self) -> Sketch:
        return Sketch(values=self.values.astype(np.float32) * self.scale[:, None, None], answered=self.answered)


def _rounded(made: Sketch) -> Sketch:
    return _Packed.of(made).sketch()


def _packed_at(path: Path) -> _Packed:
    data = path.read_bytes()
    shape = (len(VIEWS), BLOCKS, SIZE // BLOCKS)
    head, body = 4 * len(VIEWS), len(VIEWS) * SIZE
    return _Packed(
        scale=np.frombuffer(data, "<f4", len(VIEWS)),
        values=np.frombuffer(data, np.int8, body, head).reshape(shape),
        answered=np.frombuffer(data, np.bool_, offset=head + body),
    )


def _read(path: Path) -> Sketch:
    return _packed_at(path).sketch()


def _write(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    write_bytes(buffer.getvalue(), path)
