"""The likelihood of a given text under a served model, by whatever way its server has.

llama.cpp's has no log-probabilities of prompts, but its grammars can name tokens: a grammar that is the text's own
tokens, one after the other, makes the model write exactly that text and report what it thought of each token.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fingerprint.models import http_reply as reply
from fingerprint.models.base import Cost, ScoreRequest
from fingerprint.models.http_faults import Fault, Refusal
from fingerprint.models.http_terms import Terms, path, sendable, with_topk
from fingerprint.models.http_transport import Reply, Transport

Checked = Callable[[Reply], dict[str, Any]]
Scored = tuple[float, int, Cost]


class Scorer:
    """Scores texts on one server."""

    def __init__(self, transport: Transport, model: str, terms: Terms) -> None:
        self._transport, self._model, self._terms = transport, model, terms

    @property
    def requests(self) -> int:
        """Requests on the wire for one text."""
        return 2 if self._terms.scoring == "tokens" else 1

    def written(self, tokens: int) -> int:
        """Tokens written for a text of so many."""
        return tokens if self._terms.scoring == "tokens" else 1

    def score(self, request: ScoreRequest, checked: Checked) -> Scored:
        """Log-likelihood in nats, number of tokens, and cost. Raises as `Transport.ask`."""
        if not request.text:
            return 0.0, 0, Cost(requests=0)
        if self._terms.scoring == "tokens":
            return self._forced(request, checked)
        if self._terms.scoring == "prompt_logprobs":
            return self._read(request, checked)
        if self._terms.scoring == "echo" and request.prompt.channel == "raw":
            return self._echoed(request, checked)
        raise Refusal(0, "this server cannot score an answer to a chat prompt")

    def _forced(self, request: ScoreRequest, checked: Checked) -> Scored:
        ids = self._tokenize(sendable(request.text))
        body = self._terms.body(request.prompt, model=self._model, tokens=len(ids), temperature=0.0)
        body = with_topk(body, request.prompt, 1)
        body["grammar"] = "root ::= " + " ".join(f"<[{token}]>" for token in ids)

        def read(found: Reply) -> Scored:
            value = checked(found)
            picked = reply.choice(value)
            tokens = reply.written_tokens(picked)[: len(ids)]
            written = [entry.get("id") for entry in picked["logprobs"]["content"][: len(ids)]] if tokens else []
            if written != ids:
                raise Refusal(0, "the server does not write the tokens that a grammar asks for")
            _, paid_read, paid_written = 0, *reply.tokens_used(value)
            total = sum(token.logprob if token.logprob is not None else 0.0 for token in tokens)
            return total, len(ids), Cost(requests=2, read=paid_read, written=paid_written)

        return self._transport.ask("POST", path(request.prompt), body, read)

    def _tokenize(self, text: str) -> list[int]:
        def read(found: Reply) -> list[int]:
            rows = found.value.get("tokens")
            if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
                raise Fault("the server's tokens have a strange shape")
            if not all(isinstance(row.get("piece"), str) for row in rows):
                # The grammar of llama.cpp loses its way in a token that ends within a character.
                raise Refusal(0, "some texts have tokens that are no whole characters, which this server cannot score")
            return [int(row.get("id", -1)) for row in rows]

        body = {"content": text, "add_special": False, "parse_special": False, "with_pieces": True}
        return self._transport.ask("POST", "//tokenize", body, read)

    def _read(self, request: ScoreRequest, checked: Checked) -> Scored:
        """The text as the end of a prompt, or as the beginning of the assistant's turn (vLLM)."""
        prompt, text = request.prompt, sendable(request.text)
        if prompt.channel == "raw":
            body = self._terms.body(replace(prompt, text=prompt.text + text), model=self._model, tokens=1)
        else:
            body = self._terms.body(prompt, model=self._model, tokens=1)
            body["messages"] = [*body["messages"], {"role": "assistant", "content": text}]
            body.update(add_generation_prompt=False, continue_final_message=True)

        def read(found: Reply) -> Scored:
            return _scored(checked(found), reply.prompt_tokens(found.value), text)

        return self._transport.ask("POST", path(prompt), {**body, "prompt_logprobs": 1}, read)

    def _echoed(self, request: ScoreRequest, checked: Checked) -> Scored:
        text = sendable(request.text)
        prompt = replace(request.prompt, text=request.prompt.text + text)
        body = with_topk(self._terms.body(prompt, model=self._model, tokens=1), prompt, 1)

        def read(found: Reply) -> Scored:
            value = checked(found)
            return _scored(value, reply.written_tokens(reply.choice(value))[:-1], text)

        return self._transport.ask("POST", path(prompt), {**body, "echo": True}, read)


def _scored(value: dict[str, Any], tokens: list[reply.Token], text: str) -> Scored:
    found = reply.suffix_score(tokens, text)
    if found is None:
        raise Refusal(0, "the server's tokens of a text do not spell it")
    read, written = reply.tokens_used(value)
    return found[0], found[1], Cost(read=read, written=written)
