"""Models behind OpenAI-compatible servers as a backend: chat and completions, with what each server adds.

One request is one answer, so that each can be retried, counted and resumed alone; threads run many at a time. Servers are
not believed: an answer from another model, an answer seen before, or one to somebody else's request is asked again.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from fingerprint.canonical import digest
from fingerprint.errors import ModelError
from fingerprint.models import http_reply as reply
from fingerprint.models.base import Answer, Capabilities, Cost, DistributionRequest, Request, SampleRequest, ScoreRequest
from fingerprint.models.http_faults import Exhausted, Fault, Refusal, locked_out
from fingerprint.models.http_options import ServerOptions
from fingerprint.models.http_score import Scorer
from fingerprint.models.http_terms import Terms, path, with_topk
from fingerprint.models.http_transport import Reply, Transport
from fingerprint.recording import Distribution, ModelInfo, Note, Prompt, Sample, Score, TensorSketch
from fingerprint.text import safe_text

R = TypeVar("R", SampleRequest, DistributionRequest, ScoreRequest)
#: An answer longer than this is cut, as in files.
MAX_ANSWER = 200_000
_BYTES_PER_TOKEN = 4.0
_ABOVE_ONE = 0.02  # what rounding may add to a sum of probabilities
_FEW = 20
_DEAD = 3  # as many requests in a row that failed in every attempt are no bad luck of single ones
_LOCKED_OUT = {401, 402, 403}


class HttpModel:
    """One model of one server."""

    def __init__(self, transport: Transport, options: ServerOptions, info: ModelInfo, terms: Terms) -> None:
        self._transport, self._options, self._terms = transport, options, terms
        self.info = info
        self._lock = threading.Lock()
        self._fingerprints: dict[str, int] = {}
        self._asked = self._refused = self._exhausted = 0
        self._reasons: dict[str, int] = {}
        self._bytes_per_token = _BYTES_PER_TOKEN
        self._origin = digest([options.base_url, options.model, terms.model])
        self._scorer = Scorer(transport, options.model, terms)

    @property
    def terms(self) -> Terms:
        """What was found out about the server."""
        return self._terms

    @property
    def options(self) -> ServerOptions:
        """What the spec said about it."""
        return self._options

    @property
    def transport(self) -> Transport:
        """The connections."""
        return self._transport

    @property
    def capabilities(self) -> Capabilities:
        terms = self._terms
        return Capabilities(
            topk=max(terms.chat_topk, terms.raw_topk),
            inner_positions=bool(terms.inside),
            scores=bool(terms.scoring),
        )

    @property
    def runtime(self) -> str:
        return f"server {self._terms.dialect}"

    @property
    def origin(self) -> str:
        return self._origin

    @property
    def concurrency(self) -> int:
        return self._options.concurrency

    @property
    def notes(self) -> tuple[Note, ...]:
        with self._lock:
            found = list(self._terms.notes)
            if self._refused:
                worst = max(self._reasons, key=lambda reason: self._reasons[reason])
                found.append(Note(topic="samples", text=f"the server refused {self._refused} requests: {worst}"))
            if len(self._fingerprints) > 1:
                text = f"the server answered under {len(self._fingerprints)} different system fingerprints"
                found.append(Note(topic="identity", text=text))
            return tuple(found)

    def asked(self, prompt: Prompt) -> Prompt:
        if prompt.channel == "chat" and not self._terms.chat:
            return replace(prompt, channel="raw")
        if prompt.channel == "raw" and not self._terms.raw:
            return replace(prompt, channel="chat")
        return prompt

    def length(self, prompt: Prompt) -> int:
        size = len(prompt.text.encode("utf-8", "replace")) + len(prompt.system.encode("utf-8", "replace"))
        return max(1, round(size / self._bytes_per_token))

    def fits(self, request: Request) -> bool:  # noqa: ARG002  # the protocol's signature; the server knows and refuses
        return True

    def batch_size(self, length: int) -> int:  # noqa: ARG002  # the protocol's signature
        return 1

    def cost(self, request: Request) -> Cost:
        read = self.length(request.prompt)
        if isinstance(request, SampleRequest):
            return Cost(read=read, written=request.max_tokens)
        if isinstance(request, DistributionRequest):
            count = len(request.positions) if self._terms.inside == "prefix" else 1
            return Cost(requests=count, read=read * count, written=count)
        read += round(len(request.text.encode("utf-8", "replace")) / self._bytes_per_token)
        return Cost(requests=self._scorer.requests, read=read, written=self._scorer.written(read))

    def ask(self, request: Request) -> Answer:
        try:
            if isinstance(request, SampleRequest):
                answer = self._sample(request)
            elif isinstance(request, DistributionRequest):
                answer = self._distributions(request)
            else:
                answer = self._score(request)
        except Refusal as refusal:
            return Answer(rows=(), cost=Cost(), refused=self._refuse(refusal))
        except Exhausted as failure:
            with self._lock:
                self._exhausted += 1
                if self._exhausted >= _DEAD or not self._asked:
                    raise
            return Answer(rows=(), cost=Cost(), refused=self._count(str(failure.args[0])))
        with self._lock:
            self._asked += 1
            self._exhausted = 0
        return answer

    def sample(self, batch: Sequence[SampleRequest]) -> list[Sample]:
        return [self._one(request) for request in batch]

    def distributions(self, batch: Sequence[DistributionRequest]) -> list[list[Distribution]]:
        return [list(self._all(request)) for request in batch]

    def score(self, batch: Sequence[ScoreRequest]) -> list[Score]:
        return [self._one(request) for request in batch]

    def sketch(self) -> tuple[TensorSketch, ...]:
        return ()

    def _one(self, request: Request) -> Any:
        rows = self._all(request)
        if not rows:
            raise ModelError(f"The server of {safe_text(self._options.model)} gives no answer to a request.")
        return rows[0]

    def _all(self, request: Request) -> tuple[Any, ...]:
        answer = self.ask(request)
        if answer.refused:
            raise ModelError(f"The server of {safe_text(self._options.model)} refuses a request: {answer.refused}")
        return answer.rows

    def _sample(self, request: SampleRequest) -> Answer:
        def read(found: Reply) -> Answer:
            value = self._checked(found)
            picked = reply.choice(value)
            text = reply.text_of(picked)[:MAX_ANSWER]
            row = Sample(
                prompt=request.prompt.id,
                draw=request.draw,
                text=text,
                finish=reply.finish_of(picked),
            )
            return Answer(rows=(row,), cost=self._paid(value))

        return self._transport.ask("POST", path(request.prompt), self.sample_body(request), read)

    def sample_body(self, request: SampleRequest) -> dict[str, Any]:
        """What is sent for one sampled answer."""
        return self._terms.body(
            request.prompt,
            model=self._options.model,
            tokens=request.max_tokens,
            temperature=request.temperature,
            seed=_seed(self.origin, request),
        )

    def _distributions(self, request: DistributionRequest) -> Answer:
        prompt, whole = request.prompt, len(request.prompt.text.encode("utf-8", "surrogatepass"))
        if self._terms.topk(prompt) == 0:
            return Answer(rows=(), cost=Cost(requests=0))
        if self._terms.inside in {"prompt_logprobs", "echo"} and request.positions != (whole,):
            return self._inside(request)
        rows, cost = [], Cost(requests=0)
        for at in request.positions:
            if at == whole or prompt.channel == "raw":
                row, paid = self._after(replace(prompt, text=_head(prompt.text, at)), request, at)
                rows.append(row)
                cost = Cost(requests=cost.requests + 1, read=cost.read + paid.read, written=cost.written + paid.written)
        return Answer(rows=tuple(rows), cost=cost)

    def _after(self, prompt: Prompt, request: DistributionRequest, at: int) -> tuple[Distribution, Cost]:
        """The distribution of the first written token; at temperature 1 servers differ least in what they mean by it."""

        def read(found: Reply) -> tuple[Distribution, Cost]:
            value = self._checked(found)
            tokens = reply.written_tokens(reply.choice(value))
            if not tokens or not tokens[0].top:
                raise Fault("the log-probabilities are missing")
            return self._row(tokens[0], request, at), self._paid(value)

        body = self._terms.body(prompt, model=self._options.model, tokens=1, seed=0)
        return self._transport.ask("POST", path(prompt), with_topk(body, prompt, self._topk(request)), read)

    def _inside(self, request: DistributionRequest) -> Answer:
        """All places of one prompt from one request, where the server gives log-probabilities of prompts."""
        text, wanted = request.prompt.text, dict.fromkeys(request.positions)

        def read(found: Reply) -> Answer:
            value = self._checked(found)
            rows = []
            for start, token in reply.spans(self._prompt_part(value, text), text).items():
                at = len(text[:start].encode("utf-8", "surrogatepass"))
                if at in wanted and token.top:
                    rows.append(self._row(token, request, at))
            last = reply.written_tokens(reply.choice(value))
            whole = len(text.encode("utf-8", "surrogatepass"))
            if whole in wanted and last and last[-1].top:
                rows.append(self._row(last[-1], request, whole))
            return Answer(rows=tuple(sorted(rows, key=lambda row: row.at)), cost=self._paid(value))

        topk, body = self._topk(request), self._terms.body(request.prompt, model=self._options.model, tokens=1, seed=0)
        body = with_topk(body, request.prompt, topk)
        more = {"echo": True} if self._terms.inside == "echo" else {"prompt_logprobs": topk}
        return self._transport.ask("POST", path(request.prompt), {**body, **more}, read)

    def _prompt_part(self, value: dict[str, Any], text: str) -> list[reply.Token]:
        if self._terms.inside == "prompt_logprobs":
            return reply.prompt_tokens(value)
        tokens = reply.written_tokens(reply.choice(value))[:-1]
        if not "".join(token.text for token in tokens).endswith(text):
            raise Fault("the echo is not the prompt")
        return tokens

    def _score(self, request: ScoreRequest) -> Answer:
        total, count, cost = self._scorer.score(request, self._checked)
        row = Score(
            prompt=request.prompt.id,
            text=digest(request.text)[7:31],
            logprob=round(total, 4),
            tokens=count,
            bytes=len(request.text.encode("utf-8", "surrogatepass")),
        )
        return Answer(rows=(row,), cost=cost)

    def _topk(self, request: DistributionRequest) -> int:
        return min(request.topk, self._terms.topk(request.prompt))

    def _row(self, token: reply.Token, request: DistributionRequest, at: int) -> Distribution:
        row = reply.distribution(token, prompt=request.prompt.id, at=at, draw=request.draw, topk=self._topk(request))
        if reply.mass(row) > 1 + _ABOVE_ONE:
            raise Fault("the probabilities of an answer add up to more than 1")
        # A token is spelled by its bytes too, where no text showed the key.
        scrub = self._options.key.scrub
        joined = "\n".join(row.tokens)
        return row if scrub(joined) == joined else replace(row, tokens=tuple(map(scrub, row.tokens)))

    def _checked(self, found: Reply) -> dict[str, Any]:
        """The answer's object, if it is from our model, new, and meant for us."""
        value, terms = found.value, self._terms
        model = value.get("model")
        if isinstance(model, str) and terms.model and model != terms.model:
            raise Fault(f"the answer is from another model, {safe_text(model, limit=80)}")
        if terms.echoes_request_id and found.headers.get("x-request-id") != found.request_id:
            raise Fault("the answer belongs to another request")
        if terms.unique_ids and found.repeated:
            raise Fault("the answer was given before")
        with self._lock:
            mark = value.get("system_fingerprint")
            if isinstance(mark, str) and mark:
                self._fingerprints[mark] = self._fingerprints.get(mark, 0) + 1
        return value

    def _paid(self, value: dict[str, Any]) -> Cost:
        read, written = reply.tokens_used(value)
        return Cost(read=read, written=written)

    def _refuse(self, refusal: Refusal) -> str:
        """Count a refused request; too many, or a closed door, end the run.

        Raises:
            ModelError: no key, no money, or the server refuses everything.

        """
        reason = str(refusal)
        if refusal.status in _LOCKED_OUT or refusal.status == 429:
            raise locked_out(self._options, refusal)
        self._count(reason)
        if self._refused >= _FEW and self._refused > self._asked:
            raise ModelError(f"The server of {safe_text(self._options.model)} refuses most requests: {reason}")
        return reason

    def _count(self, reason: str) -> str:
        with self._lock:
            self._refused += 1
            self._reasons[reason] = self._reasons.get(reason, 0) + 1
        return reason


def _seed(identity: str, request: SampleRequest) -> int:
    """A seed of its own for every answer; two servers share none, as in `torch_model`."""
    words = digest([identity, request.seed, request.draw, request.prompt.system, request.prompt.text])
    return int(words[7:14], 16)


def _head(text: str, size: int) -> str:
    return text.encode("utf-8", "surrogatepass")[:size].decode("utf-8", "surrogatepass")
