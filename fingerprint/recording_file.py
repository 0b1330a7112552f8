"""Recordings as files: JSON lines, plain or zstd-compressed, our own rows or anybody's minimal ones."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import zstandard
from pydantic import TypeAdapter, ValidationError

from fingerprint.canonical import digest
from fingerprint.errors import OutputError, RecordingError, StorageError
from fingerprint.recording import (
    FORMAT,
    ROWS,
    Drift,
    ModelInfo,
    Note,
    ProbeSetRef,
    Prompt,
    Protocol,
    Recording,
    Sample,
    lines,
)
from fingerprint.text import safe_text, whole_text

_ADAPTERS: dict[str, TypeAdapter[Any]] = {kind: TypeAdapter(row_type) for kind, (_, row_type) in ROWS.items()}
_MODEL = TypeAdapter(ModelInfo)
_PROTOCOL = TypeAdapter(Protocol)
_PROBE_SETS = TypeAdapter(tuple[ProbeSetRef, ...])
_NOTES = TypeAdapter(tuple[Note, ...])
_DRIFT = TypeAdapter(Drift | None)
_SEAL = TypeAdapter(str)
#: A single answer longer than this is cut: no statistic reads further, and a hostile file must not fill memory.
MAX_ANSWER = 200_000
#: No row is longer; a packed file of a few bytes could otherwise fill memory with one line.
MAX_LINE = 256 * 2**20
_ZSTD_WINDOW = 2**31


def parse_row(value: dict[str, Any]) -> tuple[str, Any]:
    """Inverse of `row_line` on parsed JSON: (kind, row object). Raises ValueError on anything else."""
    kind = value.pop("row", None)
    if not isinstance(kind, str) or kind not in _ADAPTERS:
        raise ValueError(f"unknown kind of row {kind!r}")
    return kind, _ADAPTERS[kind].validate_python(value)


def write(recording: Recording, path: Path) -> None:
    """Write atomically: the file is whole or not there. ``.zst`` compresses.

    Raises:
        OutputError: the folder does not exist or is not writable.
        StorageError: the disk is full.

    """
    data = ("\n".join(lines(recording)) + "\n").encode("utf-8", "surrogatepass")
    if path.suffix == ".zst":
        data = zstandard.ZstdCompressor(level=12).compress(data)
    write_bytes(data, path)


def write_bytes(data: bytes, path: Path) -> None:
    """Write a file atomically by way of a neighbour with another name."""
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: there is no folder {path.parent}.", hint="Create it first.")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(data)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        if error.errno in {28, 122}:
            raise StorageError(
                f"{path} could not be written: {error.strerror}.", hint="Free some space and run again."
            ) from error
        raise OutputError(f"{path} cannot be written: {error.strerror}.") from error


def read(path: Path | None) -> Recording:
    """Read a recording; ``None`` is standard input.

    Raises:
        RecordingError: the file is missing, empty, cut off or holds other things than recorded answers.

    """
    name = "standard input" if path is None else str(path)
    stem = "stdin" if path is None else path.name.removesuffix(".zst").removesuffix(".jsonl")
    return _build(_numbered_rows(_raw_lines(path, name), name), name, stem)


def read_objects(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file of lines, whatever they are. Raises as `read`."""
    name = str(path)
    return (row for _, row in _numbered_rows(_raw_lines(path, name), name))


def _raw_lines(path: Path | None, name: str) -> Iterator[bytes]:
    if path is None:
        yield from _whole_lines(sys.stdin.buffer, name)
        return
    try:
        with path.open("rb") as file:
            if path.suffix == ".zst":
                reader = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).stream_reader(file)
                yield from _whole_lines(io.BufferedReader(reader), name)
            else:
                yield from _whole_lines(file, name)
    except OSError as error:
        raise RecordingError(f"The recording {name} cannot be read: {error.strerror or error}.") from error
    except zstandard.ZstdError as error:
        raise RecordingError(
            f"The recording {name} is not a whole zstd file: {error}.", hint="Copy or collect it again."
        ) from error


def _whole_lines(file: BinaryIO | io.BufferedIOBase, name: str) -> Iterator[bytes]:
    while line := file.readline(MAX_LINE + 1):
        if len(line) > MAX_LINE:
            raise RecordingError(f"The recording {name} has a line longer than {MAX_LINE // 2**20} MiB: no answer is.")
        yield line


def _numbered_rows(raw: Iterable[bytes], name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(raw, start=1):
        text = _decoded(line).strip()
        if not text:
            continue
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RecordingError(
                f"Line {number} of the recording {name} is not JSON: {safe_text(text, limit=60)}",
                hint="A recording holds one JSON object a line; run collect again if it was cut off.",
            ) from error
        if not isinstance(value, dict):
            raise RecordingError(f"Line {number} of the recording {name} is not a JSON object.")
        yield number, value


def _decoded(line: bytes) -> str:
    """As `write` encodes: half characters, which some models say, come back as they were."""
    try:
        return line.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return line.decode("utf-8", "replace")


def _build(rows: Iterator[tuple[int, dict[str, Any]]], name: str, stem: str) -> Recording:
    first = next(rows, None)
    if first is None:
        raise RecordingError(f"The recording {name} is empty.", hint="Collect it again, or name another file.")
    _, head = first
    if head.get("row") == "header":
        return _build_own(head, rows, name)
    return _build_minimal(_chain(first, rows), name, stem)


def _chain(
    first: tuple[int, dict[str, Any]], rest: Iterator[tuple[int, dict[str, Any]]]
) -> Iterator[tuple[int, dict[str, Any]]]:
    yield first
    yield from rest


def _build_own(head: dict[str, Any], rows: Iterator[tuple[int, dict[str, Any]]], name: str) -> Recording:
    if head.get("format") != FORMAT:
        raise RecordingError(
            f"The recording {name} has the format {safe_text(head.get('format'))}, which this version cannot read.",
            hint=f"It reads {FORMAT} and minimal rows.",
        )
    found: dict[str, list[Any]] = {kind: [] for kind in ROWS}
    number = 1
    try:
        model = _MODEL.validate_python(head.get("model"))
        model = replace(model, name=whole_text(model.name))
        protocol = _PROTOCOL.validate_python(head.get("protocol"))
        probe_sets = _PROBE_SETS.validate_python(head.get("probe_sets"))
        notes, drift = _NOTES.validate_python(head.get("notes", ())), _DRIFT.validate_python(head.get("drift"))
        seal = _SEAL.validate_python(head.get("seal", ""))
        for number, value in rows:  # noqa: B007  # the handler below names the line
            kind, row = parse_row(value)
            found[kind].append(row)
    except (ValidationError, ValueError) as error:
        raise RecordingError(f"Line {number} of the recording {name} is not valid: {_first_fault(error)}") from error
    known = {prompt.id for prompt in found["prompt"]}
    for kind in ("sample", "distribution", "score"):
        for row in found[kind]:
            if row.prompt not in known:
                raise RecordingError(f"The recording {name} answers a prompt it does not hold: {safe_text(row.prompt)}.")
    fields: dict[str, Any] = {attribute: tuple(found[kind]) for kind, (attribute, _) in ROWS.items()}
    return Recording(model=model, protocol=protocol, probe_sets=probe_sets, notes=notes, drift=drift, seal=seal, **fields)


def _first_fault(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"])
        return safe_text(f"{place}: {fault['msg']}")
    return safe_text(str(error))


def _build_minimal(rows: Iterator[tuple[int, dict[str, Any]]], name: str, stem: str) -> Recording:
    prompts: dict[str, Prompt] = {}
    samples: list[Sample] = []
    draws: dict[str, int] = {}
    names: set[str] = set()
    for number, row in rows:
        text, output = row.get("prompt"), row.get("output")
        if not isinstance(text, str) or not isinstance(output, str):
            missing = "prompt" if not isinstance(text, str) else "output"
            raise RecordingError(
                f'Line {number} of the recording {name} has no text under "{missing}".',
                hint='A minimal row is {"prompt": "…", "output": "…"}.',
            )
        if isinstance(row.get("model"), str) and row["model"]:
            names.add(whole_text(row["model"]))
        if len(names) > 1:
            raise RecordingError(
                f"The recording {name} holds answers of several models: {', '.join(map(safe_text, sorted(names)))}.",
                hint="Write the rows of each model into a file of its own.",
            )
        prompt = Prompt(id=_prompt_id(row, text), text=text, system=str(row.get("system") or ""))
        known = prompts.setdefault(prompt.id, prompt)
        if known.text != text:
            prompt = replace(prompt, id="p-" + prompt.key)
            prompts.setdefault(prompt.id, prompt)
        draw = draws.get(prompt.id, 0)
        draws[prompt.id] = draw + 1
        samples.append(Sample(prompt=prompt.id, draw=draw, text=output[:MAX_ANSWER]))
    content = digest([[sample.prompt, sample.draw, sample.text] for sample in samples])
    info = ModelInfo(name=next(iter(names), whole_text(stem)), kind="rows", digest=content)
    return Recording(model=info, prompts=tuple(prompts.values()), samples=tuple(samples))


def _prompt_id(row: dict[str, Any], text: str) -> str:
    given = row.get("prompt_id")
    return str(given) if isinstance(given, str | int) and str(given) else "p-" + digest(text)[7:19]
