"""A library that was downloaded as one file: unpacked once, into a folder named after the file's digest."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from fingerprint.canonical import sha256
from fingerprint.collection.store import default_root
from fingerprint.errors import LibraryError
from fingerprint.library import LIST, Library

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")
#: An archive that unpacks to more than this is refused: a hostile one can hold a disk full of zeros.
MAX_BYTES = 20 * 2**30
_PIECE = 2**20
_KEPT = (".jsonl", ".jsonl.zst", ".card.json")


def is_archive(path: Path) -> bool:
    return path.name.endswith(ENDINGS) and path.is_file()


def open_archive(path: Path) -> Library:
    """Unpack an archive of a library into the cache and open it.

    Only recordings, cards and the list are taken, each by its bare name: a path in the archive leads nowhere.

    Raises:
        LibraryError: it is no archive, holds no library, or unpacks to too much.

    """
    try:
        key = sha256(path.read_bytes())[7:23]
    except OSError as error:
        raise LibraryError(f"The archive {path} cannot be read: {error.strerror}.") from error
    target = default_root() / "libraries" / key
    if not (target / LIST).is_file():
        draft = target.with_name(f".{key}")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            _unpack(path, draft)
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
            raise LibraryError(f"The archive {path} is damaged: {error}.", hint="Download it again.") from error
        if not (draft / LIST).is_file():
            raise LibraryError(f"The archive {path} holds no {LIST}, so it is no library.")
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)
    return Library.open(target)


def _unpack(path: Path, target: Path) -> None:
    left = MAX_BYTES
    with ExitStack() as stack:
        for name, file in _members(path, stack):
            with (target / name).open("wb") as out:
                while piece := file.read(_PIECE):
                    left -= len(piece)
                    if left < 0:
                        raise LibraryError(f"The archive {path} unpacks to more than {MAX_BYTES // 2**30} GiB.")
                    out.write(piece)


def _members(path: Path, stack: ExitStack) -> Iterator[tuple[str, IO[bytes]]]:
    """(bare name, open file) of everything in the archive that belongs to a library."""
    if path.name.endswith(".zip"):
        archive = stack.enter_context(zipfile.ZipFile(path))
        for info in archive.infolist():
            if _wanted(Path(info.filename).name) and not info.is_dir():
                yield Path(info.filename).name, stack.enter_context(archive.open(info))
        return
    tape = stack.enter_context(tarfile.open(path))  # noqa: SIM115  # the stack closes it
    for member in tape:
        if member.isfile() and _wanted(Path(member.name).name):
            file = tape.extractfile(member)
            if file is not None:
                yield Path(member.name).name, file


def _wanted(name: str) -> bool:
    return not name.startswith(".") and (name == LIST or name.endswith(_KEPT))
