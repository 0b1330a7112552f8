"""Sample logs of EleutherAI's lm-evaluation-harness (``--log_samples``): one JSON object a line, one document each.

``arguments`` holds the requests of a document and ``resps`` the answers to each: texts for generation, and pairs of
log-likelihood and "would be greedy" for choices, often written as strings.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fingerprint.imports.rows import Answered


def recognises(row: Mapping[str, Any]) -> bool:
    """Whether a row is of such a log."""
    return "resps" in row and "arguments" in row and "doc" in row


def model_of(path: Path) -> str:
    """The harness writes into a folder named after the model, with a slash as two underscores."""
    return path.parent.name.replace("__", "/") if "__" in path.parent.name else ""


def answers(rows: Iterable[Mapping[str, Any]]) -> Iterator[Answered]:
    """The answers of a log, and the scores of its choices."""
    for row in rows:
        answered = row["resps"] if isinstance(row["resps"], list) else []
        for place, (prompt, second) in enumerate(_requests(row["arguments"])):
            given = answered[place] if place < len(answered) else []
            yield from _answers(prompt, second, given if isinstance(given, list) else [given], str(row.get("doc_id", "")))


def _answers(prompt: str, second: Any, given: list[Any], name: str) -> Iterator[Answered]:
    texts = [text for text in given if isinstance(text, str)]
    if texts:
        for text in texts:
            yield Answered(prompt=prompt, output=text, name=name, raw=True)
        return
    value = _loglikelihood(given)
    if isinstance(second, str) and value is not None:
        yield Answered(prompt=prompt, scores=((second, value),), name=name, raw=True)


def _requests(arguments: Any) -> Iterator[tuple[str, Any]]:
    """Prompt and second argument of each request, in the older shape (lists) and the newer one (named)."""
    if isinstance(arguments, dict):
        arguments = [[value.get("arg_0"), value.get("arg_1")] for value in arguments.values() if isinstance(value, dict)]
    for argument in arguments if isinstance(arguments, list) else []:
        if isinstance(argument, list) and len(argument) > 1 and isinstance(argument[0], str):
            yield argument[0], argument[1]


def _loglikelihood(given: list[Any]) -> float | None:
    inner = given[0] if given and isinstance(given[0], list) else given
    try:
        value = float(inner[0])
    except (IndexError, TypeError, ValueError):
        return None
    return value if math.isfinite(value) and value <= 0 else None
