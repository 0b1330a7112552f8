"""A reference library: recordings of many models in one folder, each known by its digest.

The folder holds ``NAME.jsonl.zst``, perhaps ``NAME.card.json``, and ``library.json``: the list of what belongs
to it, with digests. All recordings answer the same version of the same probe sets; another version is
another library. The digest of the list stands for everything, so a library that was downloaded is checked
against one published line. ``index/`` may hold caches, which are never trusted and can be deleted.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from fingerprint import recording_file
from fingerprint.canonical import digest, sha256
from fingerprint.errors import LibraryError, RecordingError
from fingerprint.evidence.base import MIN_PROMPTS
from fingerprint.recording import ProbeSetRef, Protocol, Recording
from fingerprint.text import safe_file_name, safe_text

LIST = "library.json"
FORMAT = "fingerprint.library/1"
ASIDE = "pruned"
#: A card says where a model comes from; what is longer is no card.
MAX_CARD = 64 * 1024


class Entry(BaseModel):
    """One model: its files, their digests, and what the recording can serve."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    file: str
    sha256: str
    recording: str
    model: str
    architecture: str = ""
    parameters: int = 0
    prompts: int
    answers: int
    access: tuple[str, ...]
    protocol: Protocol
    card: str = ""
    card_sha256: str = ""


class Listing(BaseModel):
    """``library.json``. ``probes`` is the version of the library: one digest over its probe sets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: str = FORMAT
    probes: str
    probe_sets: tuple[ProbeSetRef, ...] = ()
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that is wrong with a library: which file, and what."""

    file: str
    what: str


def version_of(refs: Sequence[ProbeSetRef]) -> str:
    """One digest for a list of probe sets, in any order; empty for rows that somebody else recorded."""
    return digest(sorted([ref.name, ref.version, ref.digest] for ref in refs)) if refs else ""


def is_library(path: Path) -> bool:
    return (path / LIST).is_file()


class Library:
    """An open library. Reading checks digests; writing is atomic and takes a lock."""

    def __init__(self, root: Path, listing: Listing) -> None:
        self.root = root
        self.listing = listing

    @classmethod
    def open(cls, root: Path) -> Library:
        """Open a library.

        Raises:
            LibraryError: there is none, or its list cannot be read.

        """
        try:
            listing = Listing.model_validate_json((root / LIST).read_bytes())
        except OSError as error:
            raise LibraryError(
                f"{root} is not a library: it holds no {LIST}.", hint="Make one with `fingerprint library add`."
            ) from error
        except ValidationError as error:
            raise LibraryError(
                f"The list {root / LIST} is damaged: {safe_text(error.errors()[0]['msg'])}.",
                hint="The recordings beside it are untouched; move the list away and add them again.",
            ) from error
        if listing.format != FORMAT:
            raise LibraryError(f"{root} has the format {safe_text(listing.format)}; this version reads {FORMAT}.")
        for entry in listing.entries:
            # A list that came from elsewhere must not make us read or move files outside the folder.
            if any(name and (name != Path(name).name or name.startswith(".")) for name in (entry.file, entry.card)):
                raise LibraryError(f"The list {root / LIST} names a file outside its folder: {safe_text(entry.file)}.")
        return cls(root, listing)

    @property
    def digest(self) -> str:
        """Digest of the list, and so of everything in the library."""
        return digest(self.listing.model_dump(mode="json"))

    @property
    def entries(self) -> tuple[Entry, ...]:
        return self.listing.entries

    def read(self, entry: Entry) -> Recording:
        """One recording, checked against its digest.

        Raises:
            LibraryError: the file is missing or not what the list says.

        """
        fault = self._file_fault(entry.file, entry.sha256)
        if fault is None:
            with contextlib.suppress(RecordingError):
                return recording_file.read(self.root / entry.file)
            fault = "cannot be read"
        raise self._damaged(entry, fault)

    def recordings(self) -> list[Recording]:
        """All recordings, in order of name.

        Raises:
            LibraryError: one is damaged, or a recording lies in the folder that is not in the list.

        """
        self._refuse_strays()
        return [self.read(entry) for entry in self.entries]

    def checked(self) -> tuple[Entry, ...]:
        """All entries, each file whole by its digest, without reading the recordings.

        Raises:
            LibraryError: as `recordings`.

        """
        self._refuse_strays()
        for entry in self.entries:
            if fault := self._file_fault(entry.file, entry.sha256):
                raise self._damaged(entry, fault)
        return self.entries

    def _refuse_strays(self) -> None:
        if stray := self._strays():
            raise LibraryError(
                f"{safe_text(stray[0])} lies in the library {self.root} but is not in its list.",
                hint="Add it with `fingerprint library add`, or move it away with `fingerprint library prune`.",
            )

    def _damaged(self, entry: Entry, fault: str) -> LibraryError:
        return LibraryError(
            f"{safe_text(entry.file)} in the library {self.root} {fault}.",
            hint="`fingerprint library prune` moves it aside; the other recordings are sound or will be named too.",
        )

    def faults(self) -> list[Fault]:
        """Everything that is wrong with the library; reads every file in full."""
        found = []
        for entry in self.entries:
            fault = self._file_fault(entry.file, entry.sha256) or self._content_fault(entry)
            if fault:
                found.append(Fault(file=entry.file, what=fault))
            if entry.card and (card := self._file_fault(entry.card, entry.card_sha256)):
                found.append(Fault(file=entry.card, what=card))
        found.extend(Fault(file=name, what="is not in the list") for name in self._strays())
        return found

    def _file_fault(self, file: str, expected: str) -> str | None:
        try:
            data = (self.root / file).read_bytes()
        except OSError:
            return "is missing"
        return None if sha256(data) == expected else "is not the file that was added: its digest differs"

    def _content_fault(self, entry: Entry) -> str | None:
        try:
            recording = recording_file.read(self.root / entry.file)
        except RecordingError as error:
            return f"cannot be read: {error}"
        if recording.digest != entry.recording or recording.model.digest != entry.model:
            return "is another recording than the list says"
        if version_of(recording.probe_sets) != self.listing.probes:
            return "answers other probe sets than the library"
        return None

    def _strays(self) -> list[str]:
        listed = {entry.file for entry in self.entries}
        present = (path.name for path in self.root.iterdir() if path.name.endswith((".jsonl", ".jsonl.zst")))
        return sorted(name for name in present if name not in listed and not name.startswith("."))

    def add(self, recording: Recording, *, name: str = "", card: bytes = b"") -> Entry | None:
        """Add a recording under its model's name (or another); None if it is there already.

        Raises:
            LibraryError: it answers other probe sets, the name is taken, it shares too few prompts, or the
                card is no JSON object.

        """
        named = replace(recording, model=replace(recording.model, name=name)) if name else recording
        with self._locked():
            known = {entry.recording for entry in self.entries}
            if named.digest in known:
                return None
            self._check(named)
            about = _card_text(card)
            stem = self._free_stem(named)
            file, beside = f"{stem}.jsonl.zst", f"{stem}.card.json" if about else ""
            recording_file.write(named, self.root / file)
            if about:
                recording_file.write_bytes(about, self.root / beside)
            entry = Entry(
                name=named.model.name,
                file=file,
                sha256=sha256((self.root / file).read_bytes()),
                recording=named.digest,
                model=named.model.digest,
                architecture=named.model.architecture,
                parameters=named.model.parameters,
                prompts=len(named.prompts),
                answers=len(named.samples),
                access=named.access,
                protocol=named.protocol,
                card=beside,
                card_sha256=sha256(about) if about else "",
            )
            self._write(sorted((*self.entries, entry), key=lambda each: each.name))
        return entry

    def _check(self, recording: Recording) -> None:
        name = safe_text(recording.model.name)
        theirs = version_of(recording.probe_sets)
        if theirs != self.listing.probes:
            raise LibraryError(
                f"{name} {_difference(recording.probe_sets, self.listing.probe_sets)}: answers to different questions "
                "cannot be ranked together.",
                hint="Record the model with the library's probe sets, or begin another library.",
            )
        if any(entry.name == recording.model.name for entry in self.entries):
            raise LibraryError(
                f"The library has another recording named {name}.", hint="Give this one a name of its own with --name."
            )
        if self.entries and not recording.probe_sets:
            # Rows of other people have no version, so what they share with the library is counted.
            shared = {prompt.key for prompt in self.read(self.entries[0]).prompts} & {p.key for p in recording.prompts}
            if len(shared) < MIN_PROMPTS:
                raise LibraryError(
                    f"{name} has {len(shared)} prompts in common with {safe_text(self.entries[0].name)}; "
                    f"{MIN_PROMPTS} are needed to compare.",
                    hint="Record it on the same prompts, or begin another library.",
                )

    def _free_stem(self, recording: Recording) -> str:
        stem = safe_file_name(recording.model.name)
        taken = {entry.file for entry in self.entries}
        return stem if f"{stem}.jsonl.zst" not in taken else f"{stem}-{recording.digest[7:15]}"

    def prune(self) -> list[Path]:
        """Move everything that is wrong into ``pruned/`` and take it off the list; nothing is deleted.

        Returns the new places of the files that were moved.
        """
        with self._locked():
            faults = self.faults()
            bad = {fault.file for fault in faults}
            kept = [entry for entry in self.entries if not {entry.file, entry.card} & bad]
            dropped = {name for e in self.entries if e not in kept for name in (e.file, e.card) if name}
            moved = []
            for name in sorted(bad | dropped):
                source = self.root / name
                if source.is_file():
                    (self.root / ASIDE).mkdir(exist_ok=True)
                    moved.append(source.replace(_free_path(self.root / ASIDE / name)))
            self._write(kept)
        return moved

    def _write(self, entries: Sequence[Entry]) -> None:
        self.listing = self.listing.model_copy(update={"entries": tuple(entries)})
        text = json.dumps(self.listing.model_dump(mode="json"), indent=1, ensure_ascii=False, sort_keys=True)
        recording_file.write_bytes((text + "\n").encode("utf-8", "surrogatepass"), self.root / LIST)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time; the list is read again inside, since another process may have added to it."""
        descriptor = os.open(self.root / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if is_library(self.root):
                self.listing = Library.open(self.root).listing
            yield
        finally:
            os.close(descriptor)


def create(root: Path, first: Recording) -> Library:
    """A new, empty library in the version of a recording; the folder may hold nothing but what is added later."""
    root.mkdir(parents=True, exist_ok=True)
    library = Library(root, Listing(probes=version_of(first.probe_sets), probe_sets=first.probe_sets))
    if library._strays():  # noqa: SLF001  # its own class, before it has a list
        raise LibraryError(
            f"{root} holds recordings but no {LIST}.", hint="Choose an empty folder, and add those recordings to it."
        )
    library._write([])  # noqa: SLF001
    return library


def _difference(own: Sequence[ProbeSetRef], library: Sequence[ProbeSetRef]) -> str:
    """In words: by which probe sets a recording differs from the library."""
    if not own or not library:
        return f"was recorded {'on' if own else 'without'} a probe set, the library {'on one' if library else 'without'}"
    mine, theirs = ({ref.name: ref for ref in refs} for refs in (own, library))
    parts = [f"lacks {name} {theirs[name].version}" for name in sorted(set(theirs) - set(mine))]
    parts += [f"has {name} {mine[name].version}, which the library lacks" for name in sorted(set(mine) - set(theirs))]
    for name in sorted(set(mine) & set(theirs)):
        if mine[name].digest != theirs[name].digest:
            old, new = theirs[name], mine[name]
            parts.append(
                f"answers {name} {new.version} ({new.digest[7:13]}), the library {old.version} ({old.digest[7:13]})"
            )
    return safe_text("; ".join(parts), limit=400)


def _card_text(card: bytes) -> bytes:
    if not card:
        return b""
    try:
        value = json.loads(card) if len(card) <= MAX_CARD else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise LibraryError("The card is not a JSON object of at most 64 KiB.")
    return card


def _free_path(path: Path) -> Path:
    place, count = path, 0
    while place.exists():
        count += 1
        place = path.with_name(f"{path.name}.{count}")
    return place
