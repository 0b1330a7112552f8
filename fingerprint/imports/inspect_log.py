"""Logs of the UK AI Security Institute's Inspect: one JSON file, or an ``.eval`` archive with a file for each sample."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import zstandard

from fingerprint.errors import RecordingError
from fingerprint.imports.rows import Answered, Source, text_of
from fingerprint.models import http_reply as reply
from fingerprint.recording import Distribution, Finish, Protocol
from fingerprint.text import safe_text

#: A hostile archive may unfold without end.
_LARGEST, _MOST = 1 << 26, 1_000_000
_ZSTD = 93
_FINISHED: dict[str, Finish] = {"stop": "stop", "max_tokens": "length", "model_length": "length"}


def recognises(value: Any) -> bool:
    """Whether a JSON document is such a log."""
    return isinstance(value, dict) and isinstance(value.get("eval"), dict) and "samples" in value


def from_json(value: Mapping[str, Any], name: str) -> Source:
    """A log in one piece."""
    samples = value["samples"] if isinstance(value["samples"], list) else []
    return _source(value, samples, name)


def from_archive(path: Path) -> Source:
    """An ``.eval`` archive.

    Raises:
        RecordingError: it is no archive, is compressed in a way that this Python cannot read, or a part is too large.

    """
    name = safe_text(path)
    try:
        with zipfile.ZipFile(path) as archive:
            parts = [part for part in archive.infolist() if part.filename.startswith("samples/")]
            header = next((part for part in archive.infolist() if part.filename == "header.json"), None)
            head = _read(archive, header, name) if header is not None else _start(archive, name)
            samples = [_read(archive, part, name) for part in parts[:_MOST] if part.filename.endswith(".json")]
    except (zipfile.BadZipFile, EOFError, OSError, struct.error) as error:
        raise RecordingError(f"The log {name} cannot be read: {safe_text(error)}.") from error
    except NotImplementedError as error:
        raise RecordingError(
            f"The log {name} is compressed in a way that this Python cannot read.",
            hint="Write it as JSON: inspect log convert --to json.",
        ) from error
    return _source(head, samples, name)


def _start(archive: zipfile.ZipFile, name: str) -> Any:
    """The description of a run that did not end: it is written first."""
    start = next((part for part in archive.infolist() if part.filename == "_journal/start.json"), None)
    if start is None:
        raise RecordingError(f"The archive {name} is no log of Inspect: it has no header.")
    return _read(archive, start, name)


def _read(archive: zipfile.ZipFile, part: zipfile.ZipInfo, name: str) -> Any:
    if part.compress_type == _ZSTD:
        data = _unfolded(archive, part, name)
    else:
        with archive.open(part) as file:
            data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise RecordingError(f"A part of the log {name} is larger than {_LARGEST >> 20} MB.")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"The part {safe_text(part.filename)} of the log {name} is not JSON.") from error


def _unfolded(archive: zipfile.ZipFile, part: zipfile.ZipInfo, name: str) -> bytes:
    """A part that is compressed with zstd, as Inspect does now and `zipfile` cannot read before Python 3.14."""
    file = archive.fp
    if file is None or part.flag_bits & 1:
        raise RecordingError(f"The log {name} is encrypted.")
    file.seek(part.header_offset + 26)
    lengths = struct.unpack("<HH", file.read(4))
    file.seek(sum(lengths), 1)
    packed = io.BytesIO(file.read(min(part.compress_size, _LARGEST)))
    try:
        return zstandard.ZstdDecompressor().stream_reader(packed).read(_LARGEST + 1)
    except zstandard.ZstdError as error:
        raise RecordingError(f"The part {safe_text(part.filename)} of the log {name} is damaged.") from error


def _source(head: Any, samples: Iterable[Any], name: str) -> Source:
    facts = head.get("eval") if isinstance(head, dict) else None
    facts = facts if isinstance(facts, dict) else {}
    config = facts.get("model_generate_config")
    plan = head.get("plan") if isinstance(head, dict) else None
    configs = [config, plan.get("config") if isinstance(plan, dict) else None]
    given = {key: value for each in configs if isinstance(each, dict) for key, value in each.items() if value is not None}
    protocol = Protocol(
        temperature=_number(given.get("temperature"), 1.0),
        top_k=int(_number(given.get("top_k"), 0)),
        seed=int(_number(given.get("seed"), 0)),
        runtime="inspect",
    )
    model = str(facts.get("model") or "")
    return Source(rows=_answers(samples), name=name, model=model or Path(name).stem, protocol=protocol)


def _number(value: Any, default: float) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default


def _answers(samples: Iterable[Any]) -> Iterator[Answered]:
    for sample in samples:
        output = sample.get("output") if isinstance(sample, dict) else None
        choices = output.get("choices") if isinstance(output, dict) else None
        if not isinstance(output, dict) or not isinstance(choices, list):
            continue  # the sample failed or was never asked
        system, prompt = _question(sample)
        for choice in choices:
            if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
                continue
            yield Answered(
                prompt=prompt,
                output=text_of(choice["message"].get("content")),
                system=system,
                model=str(output.get("model") or ""),
                name=str(sample.get("id", "")),
                finish=_FINISHED.get(str(choice.get("stop_reason")), "unknown"),
                first=_first(choice),
            )


def _question(sample: Mapping[str, Any]) -> tuple[str, str]:
    """System prompt and question as they were really asked, if the conversation has one question; else the input."""
    messages = sample.get("messages")
    asked = [each for each in messages if isinstance(each, dict)] if isinstance(messages, list) else []
    if not asked and isinstance(sample.get("input"), list):
        asked = [each for each in sample["input"] if isinstance(each, dict)]
    system = "\n\n".join(text_of(each.get("content")) for each in asked if each.get("role") == "system")
    users = [text_of(each.get("content")) for each in asked if each.get("role") == "user"]
    if len(users) == 1:
        return system, users[0]
    given = sample.get("input")
    return system, given if isinstance(given, str) else "\n\n".join(users)


def _first(choice: Mapping[str, Any]) -> Distribution | None:
    """The distribution of the answer's first token, where log-probabilities were asked for."""
    tokens = reply.written_tokens(dict(choice))
    if not tokens or not tokens[0].top:
        return None
    return reply.distribution(tokens[0], prompt="", at=0, draw=0, topk=len(tokens[0].top))
