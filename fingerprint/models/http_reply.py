"""What servers answer, in every dialect that we know, as bytes and natural logarithms.

Three shapes of log-probabilities exist: the chat shape (``content``: entries with ``bytes``; llama.cpp uses it for
completions too), the older shape of completions (``tokens``, ``token_logprobs``, ``top_logprobs``, ``text_offset``;
OpenAI and vLLM), and vLLM's ``prompt_logprobs`` (a dictionary of token ids for each place of the prompt).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fingerprint.models.http_faults import Fault
from fingerprint.recording import END, Distribution, Finish

#: Special tokens as servers print them; like the special tokens of a local tokenizer they all mean that the text ends.
_SPECIAL = re.compile(r"^(?:<\|[^<>|]{1,60}\|>|<｜[^<>]{1,60}｜>|</?s>|<(?:bos|eos|pad|unk|start_of_turn|end_of_turn)>)$")
#: The older OpenAI API's way to write a token that is no whole character.
_ESCAPED = re.compile(r"^bytes:((?:\\x[0-9a-fA-F]{2}| )+)$")
_LEAST = -60.0  # as local models: a probability of zero has no logarithm that JSON could hold
_MOST = 50.0  # nonsense, but its exponential is still a number, so that the handshake can say what it found


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token that was read or written: its text, its bytes as latin-1, and the likeliest tokens at its place."""

    text: str
    symbol: str
    logprob: float | None
    top: tuple[tuple[str, float], ...]


def choice(value: dict[str, Any]) -> dict[str, Any]:
    """The one choice of an answer."""
    found = value.get("choices")
    if not isinstance(found, list) or len(found) != 1 or not isinstance(found[0], dict):
        raise Fault("the answer does not hold one choice")
    return found[0]


def text_of(found: dict[str, Any]) -> str:
    """The text of a choice, of chat or of completions. A refusal counts as text, no content at all as an empty one."""
    if isinstance(found.get("text"), str):
        return str(found["text"])
    message = found.get("message")
    if not isinstance(message, dict):
        raise Fault("the answer holds no text")
    said = message.get("content") or message.get("refusal") or ""
    if not isinstance(said, str):
        raise Fault("the answer holds something else than text")
    return said


def finish_of(found: dict[str, Any]) -> Finish:
    """Why the text ended."""
    reason = found.get("finish_reason")
    return "stop" if reason == "stop" else "length" if reason == "length" else "unknown"


def tokens_used(value: dict[str, Any]) -> tuple[int, int]:
    """Prompt tokens and generated tokens as the server counts them; zeros where it does not."""
    usage = value.get("usage")
    if not isinstance(usage, dict):
        return 0, 0
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    read, written = (count if isinstance(count, int) and 0 <= count < 1 << 40 else 0 for count in counts)
    return read, written


def written_tokens(found: dict[str, Any]) -> list[Token]:
    """The tokens of a choice with their log-probabilities; empty where the server gives none."""
    given = found.get("logprobs")
    if not isinstance(given, dict):
        return []
    if isinstance(given.get("content"), list):
        return [_chat_token(entry) for entry in given["content"]]
    if isinstance(given.get("tokens"), list):
        return _legacy_tokens(given)
    return []


def prompt_tokens(value: dict[str, Any]) -> list[Token]:
    """VLLM's log-probabilities of the prompt, in the choice (completions) or beside the choices (chat)."""
    given = value.get("prompt_logprobs")
    if given is None:
        given = choice(value).get("prompt_logprobs")
    if not isinstance(given, list):
        return []
    return [_prompt_token(entry) for entry in given]


def distribution(token: Token, *, prompt: str, at: int, draw: int, topk: int) -> Distribution:
    """The next-token distribution at a token's place, longest probabilities first; what is not listed is the tail."""
    rows = sorted(token.top, key=lambda row: (-row[1], row[0]))[:topk]
    total = sum(math.exp(value) for _, value in rows)
    return Distribution(
        prompt=prompt,
        at=at,
        draw=draw,
        tokens=tuple(symbol for symbol, _ in rows),
        logprobs=tuple(round(max(value, _LEAST), 4) for _, value in rows),
        tail=round(max(0.0, 1 - total), 6),
    )


def spans(tokens: Sequence[Token], text: str) -> dict[int, Token]:
    """Tokens by the character at which each starts in ``text``, found from its end backwards.

    Stops where a token is no whole character, or where the tokens leave the text; from the end, because how a
    prompt starts (a special token, a chat template) is the server's secret.
    """
    found: dict[int, Token] = {}
    start = len(text)
    for token in reversed(tokens):
        if not token.text or not text.endswith(token.text, 0, start):
            break
        start -= len(token.text)
        found[start] = token
        if start == 0:
            break
    return found


def suffix_score(tokens: Sequence[Token], text: str) -> tuple[float, int] | None:
    """Log-likelihood and number of the last tokens that make up ``text``; a token across its start counts whole."""
    total, covered = 0.0, ""
    for count, token in enumerate(reversed(tokens), start=1):
        if token.logprob is None or "�" in token.text:
            return None
        covered = token.text + covered
        total += max(token.logprob, _LEAST)
        if len(covered) >= len(text):
            return (total, count) if covered.endswith(text) else None
    return None


def symbol_of(text: str, given: Any = None) -> str:
    """A token's bytes as latin-1 characters: from the server's list of bytes, or from its text. Special ones are `END`."""
    if _SPECIAL.match(text):
        return END
    if isinstance(given, list) and all(isinstance(byte, int) and 0 <= byte < 256 for byte in given):
        return bytes(given).decode("latin-1")
    escaped = _ESCAPED.match(text)
    if escaped:
        return re.sub(r"\\x([0-9a-fA-F]{2})", lambda match: chr(int(match.group(1), 16)), escaped.group(1))
    return text.encode("utf-8", "replace").decode("latin-1")


def _chat_token(entry: Any) -> Token:
    if not isinstance(entry, dict):
        raise Fault("the log-probabilities have a strange shape")
    others = entry.get("top_logprobs")
    text = _text(entry.get("token"))
    return Token(
        text=text,
        symbol=symbol_of(text, entry.get("bytes")),
        logprob=_logprob(entry.get("logprob")),
        top=tuple(_chat_row(other) for other in others) if isinstance(others, list) else (),
    )


def _chat_row(entry: Any) -> tuple[str, float]:
    if not isinstance(entry, dict):
        raise Fault("the log-probabilities have a strange shape")
    return symbol_of(_text(entry.get("token")), entry.get("bytes")), _needed(_logprob(entry.get("logprob")))


def _legacy_tokens(given: dict[str, Any]) -> list[Token]:
    texts, values, tops = given["tokens"], given.get("token_logprobs"), given.get("top_logprobs")
    if not isinstance(values, list) or len(values) != len(texts):
        raise Fault("the log-probabilities do not fit the tokens")
    if not isinstance(tops, list) or len(tops) != len(texts):
        tops = [None] * len(texts)
    found = []
    for raw, value, top in zip(texts, values, tops, strict=True):
        text = _text(raw)
        rows = top.items() if isinstance(top, dict) else ()
        found.append(
            Token(
                text=text,
                symbol=symbol_of(text),
                logprob=None if value is None else _logprob(value),
                top=tuple((symbol_of(other), _needed(_logprob(number))) for other, number in rows),
            )
        )
    return found


def _prompt_token(entry: Any) -> Token:
    """One place of vLLM's list: the token that stands there comes first, the likeliest ones follow."""
    if entry is None:
        return Token(text="", symbol=END, logprob=None, top=())
    if not isinstance(entry, dict) or not entry:
        raise Fault("the log-probabilities of the prompt have a strange shape")
    rows = []
    for row in entry.values():
        if not isinstance(row, dict):
            raise Fault("the log-probabilities of the prompt have a strange shape")
        rows.append((_text(row.get("decoded_token")), _needed(_logprob(row.get("logprob")))))
    text, value = rows[0]
    return Token(text=text, symbol=symbol_of(text), logprob=value, top=tuple((symbol_of(t), v) for t, v in rows))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Fault("a token is no text")
    return value


def _logprob(value: Any) -> float | None:
    """A log-probability; servers write minus infinity as null, -9999 or a word."""
    if value is None or value == "-Infinity":
        return _LEAST
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise Fault("a log-probability is no number")
    return min(max(float(value), _LEAST), _MOST)


def _needed(value: float | None) -> float:
    return _LEAST if value is None else value


def mass(row: Distribution) -> float:
    """The probability that a distribution lists."""
    return sum(math.exp(value) for value in row.logprobs)
