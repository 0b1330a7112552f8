"""The store: every answer ever collected, under sha256 of (model identity, request, draw).

One append-only file per model. A batch is appended in one write and synced; a line that was cut off by a
crash is dropped when the file is opened again, so that running the same command resumes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fingerprint.canonical import digest, dumps
from fingerprint.errors import StorageError
from fingerprint.models.base import Backend, Remote


def default_root() -> Path:
    """``FINGERPRINT_CACHE``, or the cache folder of the user."""
    given = os.environ.get("FINGERPRINT_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fingerprint"


def request_key(identity: str, request: dict[str, Any], draw: int) -> str:
    """The name of one answer. ``identity`` comes first: no model can receive another's."""
    return digest({"model": identity, "request": request, "draw": draw})


def identity_of(backend: Backend) -> str:
    """Whose answers these are. A server is trusted with no more than its address: its name for a model proves nothing."""
    if isinstance(backend, Remote):
        return digest([backend.info.digest, backend.origin])
    return backend.info.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much a store holds."""

    models: int
    answers: int
    bytes: int

    @property
    def told(self) -> str:
        return f"{self.answers:,} answers of {self.models:,} models, {self.bytes / 1e6:,.1f} MB"


class Store:
    """Answers of one model, in a file of its own."""

    @staticmethod
    def size(root: Path) -> Size:
        """How much lies in a folder of stores."""
        models = answers = size = 0
        for path in sorted((root / "answers").glob("*.jsonl")):
            models += 1
            size += path.stat().st_size
            with path.open("rb") as file:
                answers += sum(1 for _ in file)
        return Size(models=models, answers=answers, bytes=size)

    @staticmethod
    def clear(root: Path) -> None:
        """Delete all stores of a folder, and nothing else that lies there."""
        for path in (root / "answers").glob("*.jsonl"):
            path.unlink(missing_ok=True)

    def __init__(self, root: Path, identity: str) -> None:
        self._path = root / "answers" / f"{identity.removeprefix('sha256:')}.jsonl"
        self._rows: dict[str, list[Any]] = {}
        with self._guard("opened"):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._read()

    def _read(self) -> None:
        if not self._path.exists():
            return
        whole = 0
        data = self._path.read_bytes()
        for line in data.splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            try:
                entry = json.loads(line)
                self._rows.setdefault(entry["key"], entry["rows"])
            except (ValueError, KeyError, TypeError):
                break
            whole += len(line)
        if whole < len(data):
            with self._path.open("r+b") as file, _locked(file.fileno()):
                # Only the torn end goes; another process may have appended since.
                if file.seek(0, os.SEEK_END) == len(data):
                    file.truncate(whole)

    def get(self, key: str) -> list[Any] | None:
        """The rows stored under a key, or None."""
        return self._rows.get(key)

    def put(self, entries: Iterable[tuple[str, list[dict[str, Any]]]]) -> None:
        """Append answers: all of them are on disk when this returns, or StorageError is raised."""
        fresh = [(key, rows) for key, rows in entries if key not in self._rows]
        if not fresh:
            return
        if len({key for key, _ in fresh}) < len(fresh):
            fresh = list(dict(reversed(fresh)).items())
        data = "".join(dumps({"key": key, "rows": rows}) + "\n" for key, rows in fresh)
        with self._guard("written"), self._path.open("ab") as file, _locked(file.fileno()):
            before = file.seek(0, os.SEEK_END)
            try:
                file.write(data.encode("utf-8", "surrogatepass"))
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(before)
                raise
        self._rows.update(fresh)

    @contextlib.contextmanager
    def _guard(self, verb: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"The store {self._path.parent.parent} could not be {verb}: {error.strerror or error}.",
                hint="Everything collected before is kept; free some space or set FINGERPRINT_CACHE, and run again.",
            ) from error


@contextlib.contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
