"""What one server understands: how to put a request to it, and what it can be asked for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from fingerprint.recording import Note, Prompt
from fingerprint.text import whole_text

Inside = Literal["", "prompt_logprobs", "echo", "prefix"]
Scoring = Literal["", "tokens", "prompt_logprobs", "echo"]
#: Filters on top of the model's distribution that servers apply unasked; each dialect's way to turn them off.
NEUTRAL: dict[str, dict[str, Any]] = {
    "llama.cpp": {"top_k": 0, "min_p": 0.0},
    # Tokens by their text, even where the server was started to name them by number.
    "vllm": {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "return_tokens_as_token_ids": False},
    # `transformers serve` is greedy at any temperature, and keeps 50 tokens, where a model's own settings say so.
    "transformers": {"generation_config": '{"do_sample": true, "top_k": 0, "repetition_penalty": 1.0}'},
    "other": {},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms of a server, as far as it could be found out before any work.

    ``inside`` is how distributions inside a prompt are had: from the log-probabilities of the prompt, from an echo, or by
    sending each beginning of it. ``scoring`` is how the likelihood of a given text is had.
    """

    dialect: str = "other"
    model: str = ""
    chat: bool = False
    raw: bool = False
    chat_topk: int = 0
    raw_topk: int = 0
    inside: Inside = ""
    scoring: Scoring = ""
    limit: str = "max_tokens"
    seeded: bool = True
    extra: dict[str, Any] = field(default_factory=dict)
    unique_ids: bool = False
    echoes_request_id: bool = False
    notes: tuple[Note, ...] = ()

    def noted(self, topic: Literal["samples", "topk", "scores"], text: str) -> Terms:
        """The same terms, with the reason why something is not among them."""
        return replace(self, notes=(*self.notes, Note(topic=topic, text=text)))

    def body(
        self, prompt: Prompt, *, model: str, tokens: int, temperature: float = 1.0, seed: int | None = None
    ) -> dict[str, Any]:
        """The request for one answer to a prompt, without log-probabilities."""
        body: dict[str, Any] = {"model": model, self.limit: tokens, "temperature": temperature, "top_p": 1.0, **self.extra}
        if self.seeded and seed is not None:
            body["seed"] = seed
        if prompt.channel == "raw":
            body["prompt"] = sendable(prompt.text)
        else:
            messages = [{"role": "user", "content": sendable(prompt.text)}]
            if prompt.system:
                messages.insert(0, {"role": "system", "content": sendable(prompt.system)})
            body["messages"] = messages
        return body

    def topk(self, prompt: Prompt) -> int:
        """The longest list of next-token log-probabilities on a prompt's channel."""
        return self.raw_topk if prompt.channel == "raw" else self.chat_topk


def path(prompt: Prompt) -> str:
    """Where a prompt is sent."""
    return "/completions" if prompt.channel == "raw" else "/chat/completions"


def with_topk(body: dict[str, Any], prompt: Prompt, topk: int) -> dict[str, Any]:
    """The request, asking for the ``topk`` likeliest tokens at each place."""
    if prompt.channel == "raw":
        return {**body, "logprobs": topk}
    return {**body, "logprobs": True, "top_logprobs": topk}


def sendable(text: str) -> str:
    """Text that every server can read."""
    return whole_text(text)
