"""Find out what a server offers, with a handful of one-token requests: nothing is believed that was not seen."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from fingerprint.canonical import digest
from fingerprint.errors import ModelError
from fingerprint.models import http_reply as reply
from fingerprint.models.base import ScoreRequest
from fingerprint.models.http_faults import Exhausted, Fault, Refusal, locked_out
from fingerprint.models.http_options import ServerOptions
from fingerprint.models.http_score import Scorer
from fingerprint.models.http_terms import NEUTRAL, Inside, Scoring, Terms, path, with_topk
from fingerprint.models.http_transport import Reply, Transport
from fingerprint.recording import ModelInfo, Prompt
from fingerprint.text import safe_text

_CHAT = Prompt(id="hello", text="Say one word.", channel="chat")
_RAW = Prompt(id="hello", text="The first thing I noticed was", channel="raw")
#: Lengths of next-token lists to ask for, longest first: llama.cpp and long lists, OpenAI and vLLM, older completions.
_LENGTHS = (256, 20, 5)
_TOKENS = 3
_TRIALS = 3
_ROUNDING = 0.02
_NOT_HERE = {404, 405, 501}
#: VLLM started with ``--return-tokens-as-token-ids``.
_NUMBERED = re.compile(r"token_id:\d+$")
#: What a server says of its model that is not about the model.
_VOLATILE = {"created", "permission", "aliases", "tags", "status", "n_ctx", "path", "root"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listing:
    dialect: str = "other"
    entry: dict[str, Any]
    ids: tuple[str, ...] = ()


def discover(transport: Transport, options: ServerOptions) -> tuple[ModelInfo, Terms]:
    """The model's identity as reported, and the terms of its server.

    Raises:
        ModelError: the server cannot be reached, has no such model, or answers neither chat nor completions.

    """
    listing = _listing(transport, options)
    terms = Terms(dialect=listing.dialect, extra=NEUTRAL[listing.dialect])
    seen: list[Reply] = []
    said: list[Refusal] = []
    for prompt, name in ((_CHAT, "chat"), (_RAW, "completions")):
        if options.api in {"auto", name}:
            terms = _channel(transport, options, terms, prompt, seen, said)
    if not terms.chat and not terms.raw:
        _give_up(options, listing, said)
    terms = _reported(terms, seen)
    for prompt in (_CHAT, _RAW):
        terms = _lists(transport, options, terms, prompt)
    terms = replace(terms, inside=_inside(transport, options, terms))
    terms = replace(terms, scoring=_scoring(transport, options, terms))
    if not terms.scoring:
        terms = terms.noted("scores", "the server has no way to score a given text")
    return _identity(options, listing, terms), terms


def _listing(transport: Transport, options: ServerOptions) -> _Listing:
    try:
        found = transport.get("/models")
    except Refusal as refusal:
        if refusal.status in {401, 403}:
            raise locked_out(options, refusal) from None
        return _Listing(entry={})
    given = found.value.get("data")
    rows = [row for row in given if isinstance(row, dict)] if isinstance(given, list) else []
    owners = {str(row.get("owned_by", "")).lower() for row in rows} | {found.headers.get("server", "").lower()}
    dialect = "llama.cpp" if owners & {"llamacpp", "llama.cpp"} else "vllm" if "vllm" in owners else "other"
    if dialect == "other" and any(isinstance(row.get("status"), dict) and "value" in row["status"] for row in rows):
        dialect = "transformers"
    ids = tuple(str(row.get("id", "")) for row in rows)
    fitting = [row for row in rows if row.get("id") == options.model] or (rows if len(rows) == 1 else [])
    return _Listing(dialect=dialect, entry=fitting[0] if fitting else {}, ids=ids)


def _channel(
    transport: Transport, options: ServerOptions, terms: Terms, prompt: Prompt, seen: list[Reply], said: list[Refusal]
) -> Terms:
    """Try one channel, a few times for comparison, dropping what the server does not understand."""
    for variant in _variants(terms):
        body = variant.body(prompt, model=options.model, tokens=1, seed=0)
        try:
            replies = [transport.ask("POST", path(prompt), body, _with_text) for _ in range(_TRIALS)]
        except Refusal as refusal:
            said.append(refusal)
            if refusal.status in _NOT_HERE or refusal.status in {401, 402, 403, 429}:
                return terms
            continue
        except Exhausted as failure:  # one channel may be broken for a model, as chat is for one without a template
            said.append(Refusal(500, str(failure.args[0])))
            return terms.noted("samples", f"{prompt.channel} prompts are left out: {failure.args[0]}")
        seen.extend(replies)
        return replace(variant, chat=True) if prompt.channel == "chat" else replace(variant, raw=True)
    return terms


def _variants(terms: Terms) -> Iterator[Terms]:
    yield terms
    if terms.extra:
        yield replace(terms, extra={})
    yield replace(terms, extra={}, limit="max_completion_tokens")
    yield replace(terms, extra={}, seeded=False)


def _with_text(found: Reply) -> Reply:
    reply.text_of(reply.choice(found.value))
    return found


def _give_up(options: ServerOptions, listing: _Listing, said: list[Refusal]) -> None:
    name = safe_text(options.model)
    closed = next((refusal for refusal in said if refusal.status in {401, 402, 403, 429}), None)
    if closed is not None:
        raise locked_out(options, closed)
    if listing.ids and options.model not in listing.ids:
        known = ", ".join(safe_text(each, limit=60) for each in listing.ids[:8])
        raise ModelError(f"The server has no model {name}.", hint=f"It has: {known}.")
    reason = str(said[-1]) if said else "no answer"
    raise ModelError(
        f"The server answers neither chat nor completions for {name}: {reason}.",
        hint="Check the model's name and that base_url ends where /chat/completions begins, often in /v1.",
    )


def _reported(terms: Terms, seen: list[Reply]) -> Terms:
    """What the answers so far show, by majority: the network may have spoilt one of them already."""
    models = Counter(str(found.value.get("model") or "") for found in seen)
    names = {found.value.get("id") for found in seen}
    echoed = sum(found.headers.get("x-request-id") == found.request_id for found in seen)
    return replace(
        terms,
        model=models.most_common(1)[0][0],
        unique_ids=all(isinstance(name, str) and name for name in names) and 2 * len(names) > len(seen),
        echoes_request_id=2 * echoed > len(seen),
    )


def _lists(transport: Transport, options: ServerOptions, terms: Terms, prompt: Prompt) -> Terms:
    """The longest list of log-probabilities that the server really gives on a channel."""
    if not (terms.chat if prompt.channel == "chat" else terms.raw):
        return terms
    for length in _LENGTHS:
        body = with_topk(terms.body(prompt, model=options.model, tokens=_TOKENS, seed=0), prompt, length)
        try:
            value = transport.ask("POST", path(prompt), body, _with_text).value
            tokens = reply.written_tokens(reply.choice(value))
        except Refusal:
            continue
        except Fault as fault:
            return terms.noted("topk", f"the server's log-probabilities make no sense: {fault}")
        unsound = _unsound(value, tokens)
        if unsound:
            return terms.noted("topk", f"the server {unsound}")
        count = min(length, *(len(token.top) for token in tokens))
        return replace(terms, chat_topk=count) if prompt.channel == "chat" else replace(terms, raw_topk=count)
    return terms.noted("topk", "the server refuses to give log-probabilities")


def _unsound(value: dict[str, Any], tokens: list[reply.Token]) -> str:
    """What is wrong with a list of log-probabilities, if anything."""
    if not tokens or not any(token.top for token in tokens):
        return "gives no log-probabilities"
    if any(_NUMBERED.match(name) for token in tokens for name, _ in token.top):
        return "names tokens by number and not by text"
    _, written = reply.tokens_used(value)
    # The token that ends the text is counted by some servers and listed by others.
    if len(tokens) > _TOKENS + 1 or (written and abs(written - len(tokens)) > 1):
        return f"lists {len(tokens)} tokens for an answer of {written}"
    most = max(sum(math.exp(number) for _, number in token.top) for token in tokens)
    if most > 1 + _ROUNDING:
        return f"gives probabilities that add up to {most:.3g}"
    return ""


def _inside(transport: Transport, options: ServerOptions, terms: Terms) -> Inside:
    """How to look inside a raw prompt."""
    if not terms.raw or not terms.raw_topk:
        return ""
    body = with_topk(terms.body(_RAW, model=options.model, tokens=1, seed=0), _RAW, terms.raw_topk)
    text = _RAW.text
    tries: tuple[tuple[Inside, dict[str, Any], Callable[[Reply], list[reply.Token]]], ...] = (
        ("prompt_logprobs", {"prompt_logprobs": terms.raw_topk}, lambda found: reply.prompt_tokens(found.value)),
        ("echo", {"echo": True}, lambda found: reply.written_tokens(reply.choice(found.value))[:-1]),
    )
    for name, more, read in tries:
        try:
            tokens = transport.ask("POST", path(_RAW), {**body, **more}, read)
        except Refusal:
            continue
        spans = reply.spans(tokens, text)
        if len(spans) > 2 and any(token.top for token in spans.values()):
            return name
    return "prefix"


def _scoring(transport: Transport, options: ServerOptions, terms: Terms) -> Scoring:
    """How to have a text scored: each way is tried on a short one."""
    if not terms.raw and not terms.chat:
        return ""
    ways: list[Scoring] = []
    if terms.dialect == "llama.cpp":
        ways.append("tokens")
    if terms.inside in {"prompt_logprobs", "echo"}:
        ways.append("prompt_logprobs" if terms.inside == "prompt_logprobs" else "echo")
    request = ScoreRequest(prompt=_RAW if terms.raw else _CHAT, text=" the quiet light.")
    for way in ways:
        scorer = Scorer(transport, options.model, replace(terms, scoring=way))
        try:
            scorer.score(request, lambda found: found.value)
        except Refusal:
            continue
        return way
    return ""


def _identity(options: ServerOptions, listing: _Listing, terms: Terms) -> ModelInfo:
    """Who the server says its model is. Nothing of where it runs: a path or host is not the model."""
    reported = PurePosixPath(terms.model or options.model).name
    meta = listing.entry.get("meta")
    facts = meta if isinstance(meta, dict) else {}
    kept = {name: value for name, value in facts.items() if name not in _VOLATILE and isinstance(value, str | int)}
    return ModelInfo(
        name=safe_text(PurePosixPath(options.model).name or reported, limit=120),
        kind="server",
        digest=digest(["server", reported, kept]),
        architecture="",
        parameters=_count(facts.get("n_params")),
        vocabulary=_count(facts.get("n_vocab")),
    )


def _count(value: Any) -> int:
    return value if isinstance(value, int) and 0 <= value < 1 << 60 else 0
