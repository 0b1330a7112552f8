"""The handshake: before any work, a backend proves on one short prompt that it does what it declares.

A model on this machine that fails is broken, and the run ends. A server that fails in one thing is not asked for that
thing; the reason goes into the recording and from there into the report.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from fingerprint.errors import ModelBroken, ModelError
from fingerprint.models.base import Backend, Capabilities, DistributionRequest, Remote, SampleRequest, ScoreRequest
from fingerprint.recording import Distribution, Note, Prompt
from fingerprint.text import safe_text

_PROMPT = Prompt(id="handshake", text="The first thing I noticed was", channel="raw")
_TEXT = " the light."
_ROUNDING = 0.02
#: Nats by which two answers to the same question may differ on one machine: other batches, other last bits.
SAME = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """What is left of a backend's capabilities, and why some are gone."""

    capabilities: Capabilities
    notes: tuple[Note, ...] = ()


def shake_hands(backend: Backend) -> Handshake:
    """Ask for one of everything declared and check its form.

    Raises:
        ModelBroken: a local model gives probabilities that do not add up, NaN, a wrong count, or a score that is no
            log-likelihood; or a server gives not even answers.

    """
    can, notes = backend.capabilities, []
    checks: tuple[tuple[Literal["samples", "topk", "scores"], bool, Callable[[Backend], str], Capabilities], ...] = (
        ("samples", can.samples, _samples, replace(can, samples=False)),
        ("topk", can.topk > 0, _topk, replace(can, topk=0, inner_positions=False)),
        ("scores", can.scores, _scores, replace(can, scores=False)),
    )
    for topic, declared, check, without in checks:
        fault = _tried(check, backend) if declared else ""
        if not fault:
            continue
        if topic == "samples" or not isinstance(backend, Remote):
            raise ModelBroken(f"The model {backend.info.name} {fault}.")
        lost = {name: getattr(without, name) for name in ("topk", "inner_positions", "scores")}
        can = replace(can, **{name: value for name, value in lost.items() if not value})
        notes.append(Note(topic=topic, text=f"in the handshake, {safe_text(backend.info.name)} {fault}"))
    return Handshake(capabilities=can, notes=tuple(notes))


def _tried(check: Callable[[Backend], str], backend: Backend) -> str:
    """What is wrong, if anything. A server's failure to answer counts as that; a local model's own error is clearer."""
    if not isinstance(backend, Remote):
        return check(backend)
    try:
        return check(backend)
    except ModelError as error:
        return f"fails: {error.args[0]}".rstrip(".")


def _samples(backend: Backend) -> str:
    request = SampleRequest(prompt=backend.asked(_PROMPT), draw=0, max_tokens=2, temperature=1.0, seed=0)
    return "" if len(backend.sample([request])) == 1 else "does not give one answer to one request"


def _topk(backend: Backend) -> str:
    first = _row(backend, 0)
    if first is None:
        return "does not give one distribution for one position"
    total = sum(math.exp(value) for value in first.logprobs) + first.tail
    if not math.isfinite(total) or abs(total - 1) > _ROUNDING or len(first.tokens) != len(first.logprobs):
        return f"gives next-token probabilities that add up to {total:.3g}, not to 1"
    if isinstance(backend, Remote):
        again = _row(backend, 1)
        if again is None or apart(first, again) > SAME:
            return "gives other log-probabilities when the same request is sent again"
    return ""


def _scores(backend: Backend) -> str:
    prompt = backend.asked(_PROMPT)
    scored = backend.score([ScoreRequest(prompt=prompt, text=_TEXT)])[0]
    if not math.isfinite(scored.logprob) or scored.logprob > 0 or scored.bytes != len(_TEXT.encode()):
        return f"scores a text with {scored.logprob:.3g}, which is no log-likelihood"
    return _scores_like_its_lists(backend) if isinstance(backend, Remote) and backend.capabilities.topk else ""


def _scores_like_its_lists(backend: Backend) -> str:
    """The likeliest next word must be scored as the list of next tokens has it, or one of both is not what it says."""
    row = _row(backend, 0)
    if row is None:
        return ""
    words = [(token, value) for token, value in zip(row.tokens, row.logprobs, strict=True) if token[1:].isalpha()]
    if not words:
        return ""
    token, listed = words[0]
    text = token.encode("latin-1").decode("utf-8", "replace")
    scored = backend.score([ScoreRequest(prompt=backend.asked(_PROMPT), text=text)])[0]
    if abs(scored.logprob - listed) > SAME:
        return f"scores a text with {scored.logprob:.3g} that its own next-token list has at {listed:.3g}"
    return ""


def _row(backend: Backend, draw: int) -> Distribution | None:
    prompt = backend.asked(_PROMPT)
    at, topk = (len(prompt.text.encode()),), backend.capabilities.topk
    rows = backend.distributions([DistributionRequest(prompt=prompt, positions=at, draw=draw, topk=topk)])
    return rows[0][0] if len(rows) == 1 and len(rows[0]) == 1 else None


def apart(first: Distribution, second: Distribution) -> float:
    """Largest difference between two lists of log-probabilities, in nats, on the likeliest tokens of the first."""
    known = dict(zip(second.tokens, second.logprobs, strict=True))
    likeliest = list(zip(first.tokens, first.logprobs, strict=True))[:3]
    return max((abs(value - known.get(token, -60.0)) for token, value in likeliest), default=0.0)
