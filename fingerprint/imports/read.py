"""One door to recordings in foreign formats: the content of a file says what it is, and its ending where that helps."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fingerprint import recording_file
from fingerprint.errors import RecordingError
from fingerprint.imports import harness, inspect_log
from fingerprint.imports.rows import Answered, Source, build, from_mappings
from fingerprint.models.http_faults import Fault
from fingerprint.recording import Recording
from fingerprint.text import safe_text

_LARGEST = 1 << 30
_CELL = 10_000_000


def read(path: Path, *, model: str = "", fields: Mapping[str, str] | None = None) -> Recording:
    """A recording from a file of ours or of another program.

    Args:
        path: ``.jsonl``, ``.jsonl.zst``, ``.json``, ``.eval``, ``.csv`` or ``.tsv``.
        model: which model's answers, where a file holds those of several.
        fields: under ``prompt`` and ``answer``, the names of these fields in a file of rows.

    Raises:
        RecordingError: the file cannot be read, or holds no answers.

    """
    try:
        return _read(path, model, fields or {})
    except Fault as fault:
        raise RecordingError(f"{safe_text(path)} holds something unexpected: {fault}.") from None


def _read(path: Path, model: str, fields: Mapping[str, str]) -> Recording:
    if path.suffix == ".eval":
        return build(inspect_log.from_archive(path), model)
    if path.suffix in {".csv", ".tsv", ".json"}:
        return build((_document if path.suffix == ".json" else _table)(path, fields), model)
    return _lines(path, model, fields)


def _lines(path: Path, model: str, fields: Mapping[str, str]) -> Recording:
    """JSON lines: our own rows, a log of the harness, or anybody's."""
    first = _first_row(path)
    if first is None or first.get("row") == "header":
        return recording_file.read(path)
    if harness.recognises(first):
        rows = harness.answers(recording_file.read_objects(path))
        return build(Source(rows=rows, name=safe_text(path), model=harness.model_of(path) or _stem(path)), model)
    if not fields and not model and isinstance(first.get("prompt"), str) and isinstance(first.get("output"), str):
        return recording_file.read(path)
    rows = from_mappings(recording_file.read_objects(path), safe_text(path), fields)
    return build(Source(rows=rows, name=safe_text(path), model=_stem(path)), model)


def _first_row(path: Path) -> dict[str, Any] | None:
    """The first object of a file of lines; None leaves the complaint to the reader of recordings."""
    try:
        return next(recording_file.read_objects(path), None)
    except RecordingError:
        return None


def _stem(path: Path) -> str:
    return path.name.split(".")[0] or path.name


def _document(path: Path, fields: Mapping[str, str]) -> Source:
    """A JSON document: a log of Inspect, or a list of rows as AlpacaEval writes them."""
    name = safe_text(path)
    try:
        value = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"{name} is not valid JSON: {safe_text(error, limit=100)}.") from error
    if inspect_log.recognises(value):
        return inspect_log.from_json(value, name)
    if isinstance(value, dict):
        value = next((part for part in value.values() if isinstance(part, list)), None)
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise RecordingError(f"{name} is neither a list of answers nor a log of Inspect.")
    return Source(rows=_either(value, name, fields), name=name, model=_stem(path))


def _either(rows: list[dict[str, Any]], name: str, fields: Mapping[str, str]) -> Iterator[Answered]:
    """Rows with one answer each, or AlpacaEval's annotations with two."""
    if rows and "output_1" in rows[0] and "output_2" in rows[0] and not fields:
        for place in ("1", "2"):
            chosen = [
                {
                    **row,
                    "output": row.get(f"output_{place}"),
                    "model": row.get(f"generator_{place}") or f"generator_{place}",
                }
                for row in rows
            ]
            yield from from_mappings(chosen, name, {"prompt": "instruction", "answer": "output"})
        return
    yield from from_mappings(rows, name, fields)


def _table(path: Path, fields: Mapping[str, str]) -> Source:
    before = csv.field_size_limit(min(_CELL, sys.maxsize))
    try:
        rows = list(csv.DictReader(io.StringIO(_text(path), newline=""), delimiter="\t" if path.suffix == ".tsv" else ","))
    except csv.Error as error:
        raise RecordingError(f"{safe_text(path)} is not a valid table: {safe_text(error)}.") from error
    finally:
        csv.field_size_limit(before)
    return Source(rows=from_mappings(rows, safe_text(path), fields), name=safe_text(path), model=_stem(path))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise RecordingError(
                f"{safe_text(path)} is larger than {_LARGEST >> 30} GB.", hint="Split it, or use JSON lines."
            )
        return path.read_text("utf-8-sig", errors="replace")
    except OSError as error:
        raise RecordingError(f"{safe_text(path)} cannot be read: {error.strerror or error}.") from error
