"""Sample logs of EleutherAI's lm-evaluation-harness (``--log_samples``): one JSON object a line, one document each.

``arguments`` holds the requests of a document and ``resps`` the answers to each: texts for generation, and pairs of
log-likelihood and "would be greedy" for choices, often written as strings. A document with several filters has a row for
each, with the same answers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fingerprint.imports.rows import Answered, text_of


def recognises(row: Mapping[str, Any]) -> bool:
    """Whether a row is of such a log."""
    return "resps" in row and "arguments" in row and "doc" in row


def model_of(path: Path) -> str:
    """The model as its file says it, with a slash as two underscores; empty where it does not.

    Today the folder is named after the model. Before 0.4.3 the file was, ``pretrained__ORG__NAME,more_TASK.jsonl``; where
    nothing ends the name, nobody can tell it from the task's, so both are kept.
    """
    if "__" in path.parent.name:
        return path.parent.name.replace("__", "/")
    _, found, rest = path.name.removesuffix(".zst").removesuffix(".jsonl").partition("pretrained__")
    return rest.partition(",")[0].replace("__", "/") if found else ""


def answers(rows: Iterable[Mapping[str, Any]]) -> Iterator[Answered]:
    """The answers of a log, and the scores of its choices."""
    filters: dict[str, str] = {}
    for row in rows:
        name = json.dumps([row.get("doc_id"), row.get("doc_hash")])
        if filters.setdefault(name, str(row.get("filter"))) != str(row.get("filter")):
            continue  # the same answers once more
        answered = row["resps"] if isinstance(row["resps"], list) else []
        for place, (first, second) in enumerate(_requests(row["arguments"])):
            given = answered[place] if place < len(answered) else []
            yield from _answers(
                _asked(first, str(row.get("doc_id", ""))), second, given if isinstance(given, list) else [given]
            )


def _asked(prompt: str, name: str) -> Answered:
    """The prompt of a request: plain text, or messages as JSON where a chat API was asked."""
    try:
        messages = json.loads(prompt) if prompt.startswith("[{") else None
    except (ValueError, RecursionError):
        messages = None
    if not isinstance(messages, list) or not all(isinstance(each, dict) and "role" in each for each in messages):
        return Answered(prompt=prompt, name=name, raw=True)
    said = {
        role: [text_of(each.get("content")) for each in messages if each["role"] == role] for role in ("system", "user")
    }
    others = len(messages) - len(said["system"])
    # Examples given as earlier turns belong to the question.
    text = said["user"][0] if others == 1 and said["user"] else prompt
    return Answered(prompt=text, system="\n\n".join(said["system"]), name=name)


def _answers(asked: Answered, second: Any, given: list[Any]) -> Iterator[Answered]:
    texts = [text for text in given if isinstance(text, str)]
    value = None if texts else _loglikelihood(given)
    for text in texts:
        yield replace(asked, output=text)
    if isinstance(second, str) and value is not None:
        yield replace(asked, scores=((second, value),))


def _requests(arguments: Any) -> Iterator[tuple[str, Any]]:
    """Prompt and second argument of each request, in the older shape (lists) and the newer one (named)."""
    if isinstance(arguments, dict):
        arguments = [[value.get("arg_0"), value.get("arg_1")] for value in arguments.values() if isinstance(value, dict)]
    for argument in arguments if isinstance(arguments, list) else []:
        if not isinstance(argument, list) or not argument:
            continue
        first = argument[0]
        # Messages for a chat API are one JSON string in a list of its own.
        first = first[0] if isinstance(first, list) and len(first) == 1 else first
        if isinstance(first, str):
            yield first, argument[1] if len(argument) > 1 else None


def _loglikelihood(given: list[Any]) -> float | None:
    inner = given[0] if given and isinstance(given[0], list) else given
    try:
        value = float(inner[0])
    except (IndexError, TypeError, ValueError):
        return None
    return value if math.isfinite(value) and value <= 0 else None
