"""Rows of any origin: which of their fields are the prompt, the answer, the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fingerprint.canonical import digest
from fingerprint.errors import RecordingError
from fingerprint.recording import Distribution, Finish, ModelInfo, Note, Prompt, Protocol, Recording, Sample, Score
from fingerprint.recording_file import MAX_ANSWER
from fingerprint.text import safe_text, whole_text

#: What people call these things, best name first.
PROMPT = ("prompt", "instruction", "question", "input", "query", "text")
ANSWER = ("output", "response", "completion", "answer", "generation", "prediction")
MODEL = ("model", "generator", "model_name", "model_id")
IDENTITY = ("prompt_id", "id", "question_id", "doc_id", "idx")
SYSTEM = ("system", "system_prompt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One answer to one prompt, from anywhere. ``distributions`` and ``scores`` are made once the prompt has its name."""

    prompt: str
    output: str | None = None
    system: str = ""
    model: str = ""
    name: str = ""
    finish: Finish = "unknown"
    raw: bool = False
    scores: tuple[tuple[str, float], ...] = ()
    first: Distribution | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file of answers: its rows, and what it says of how the model was asked."""

    rows: Iterable[Answered]
    name: str
    model: str = ""
    protocol: Protocol = field(default_factory=Protocol)
    notes: tuple[Note, ...] = ()


def build(source: Source, wanted: str = "") -> Recording:
    """The recording of a file's rows; ``wanted`` chooses one of several models.

    Raises:
        RecordingError: there are no rows, or they are of several models and none was chosen.

    """
    rows = list(source.rows)
    models = dict.fromkeys(row.model for row in rows if row.model)
    if wanted and models:
        rows = [row for row in rows if row.model == wanted]
    if not rows:
        known = f" of {safe_text(wanted)}; it has {', '.join(map(safe_text, models))}" if wanted and models else ""
        raise RecordingError(f"{source.name} holds no answers{known}.")
    if not wanted and len(models) > 1:
        raise RecordingError(
            f"{source.name} holds answers of several models: {', '.join(map(safe_text, list(models)[:8]))}.",
            hint="Choose one: fingerprint import --model NAME, or rec:FILE?model=NAME.",
        )
    named = _named(rows)
    samples, scores, distributions = _answers(named)
    content = [[row.prompt, row.draw, row.text] for row in samples] + [
        [row.prompt, row.text, row.logprob] for row in scores
    ]
    return Recording(
        model=ModelInfo(name=whole_text(wanted or next(iter(models), source.model)), kind="rows", digest=digest(content)),
        protocol=source.protocol,
        prompts=tuple({prompt.id: prompt for prompt, _ in named}.values()),
        samples=tuple(samples),
        distributions=tuple(distributions),
        scores=tuple(scores),
        notes=source.notes,
    )


def _named(rows: Iterable[Answered]) -> list[tuple[Prompt, Answered]]:
    """Each answer with its prompt; the same words get the same name, and no name means two things."""
    by_key: dict[str, Prompt] = {}
    taken: dict[str, str] = {}
    found = []
    for row in rows:
        prompt = Prompt(id="", text=row.prompt, system=row.system, channel="raw" if row.raw else "chat")
        key = prompt.key
        if key not in by_key:
            name = row.name if row.name and taken.setdefault(row.name, key) == key else f"p-{key[:12]}"
            by_key[key] = replace(prompt, id=name)
        found.append((by_key[key], row))
    return found


def _answers(named: Iterable[tuple[Prompt, Answered]]) -> tuple[list[Sample], list[Score], list[Distribution]]:
    samples: list[Sample] = []
    scores: list[Score] = []
    distributions: dict[str, Distribution] = {}
    draws: dict[str, int] = {}
    for prompt, row in named:
        if row.output is not None:
            draw = draws.get(prompt.id, 0)
            draws[prompt.id] = draw + 1
            samples.append(Sample(prompt=prompt.id, draw=draw, text=row.output[:MAX_ANSWER], finish=row.finish))
        if row.first is not None and prompt.id not in distributions:
            at = len(prompt.text.encode("utf-8", "surrogatepass"))
            distributions[prompt.id] = replace(row.first, prompt=prompt.id, at=at)
        for text, value in row.scores:
            size = len(text.encode("utf-8", "surrogatepass"))
            scores.append(Score(prompt=prompt.id, text=digest(text)[7:31], logprob=round(value, 4), tokens=0, bytes=size))
    return samples, scores, list(distributions.values())


def from_mappings(rows: Iterable[Mapping[str, Any]], origin: str, fields: Mapping[str, str]) -> Iterator[Answered]:
    """Answers from rows with named fields; ``fields`` may say which field is the ``prompt`` and which the ``answer``.

    Raises:
        RecordingError: a row has no prompt or no answer.

    """
    for number, row in enumerate(rows, start=1):
        prompt = _text(row, (fields["prompt"],) if fields.get("prompt") else PROMPT)
        answer = _text(row, (fields["answer"],) if fields.get("answer") else ANSWER)
        if prompt is None and answer is None and isinstance(row.get("messages"), list):
            yield _conversation(row)
            continue
        if prompt is None or answer is None:
            what, names = ("prompt", PROMPT) if prompt is None else ("answer", ANSWER)
            there = ", ".join(safe_text(name, limit=40) for name in list(row)[:8])
            raise RecordingError(
                f"Row {number} of {origin} has no {what}: its fields are {there or 'none'}.",
                hint=f"Call the field {names[0]}, or name it with --{what}-field.",
            )
        extra = row.get("input") if "instruction" in row and isinstance(row.get("input"), str) else ""
        yield Answered(
            prompt=f"{prompt}\n\n{extra}" if extra and extra != prompt else prompt,
            output=answer,
            system=_text(row, SYSTEM) or "",
            model=_text(row, MODEL) or "",
            name=_text(row, IDENTITY) or "",
        )


def _conversation(row: Mapping[str, Any]) -> Answered:
    """A list of messages: the last answer, and the question before it."""
    said = {"system": "", "user": "", "assistant": ""}
    for message in row["messages"]:
        if isinstance(message, dict) and message.get("role") in said:
            said[message["role"]] = text_of(message.get("content"))
    return Answered(prompt=said["user"], output=said["assistant"], system=said["system"], model=_text(row, MODEL) or "")


def text_of(content: Any) -> str:
    """The text of a message: a string, or a list of parts of which some are text."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(
            str(part.get("text") or "") for part in content if isinstance(part, dict) and part.get("type") == "text"
        )
    return ""


def _text(row: Mapping[str, Any], names: Iterable[str]) -> str | None:
    for name in names:
        value = row.get(name)
        if isinstance(value, str):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
    return None
