"""What every backend can be asked, and what it declares before it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from fingerprint.recording import Distribution, ModelInfo, Note, Prompt, Sample, Score, TensorSketch


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a backend serves. ``topk`` is the longest list of next-token log-probabilities; 0 is none."""

    samples: bool = True
    topk: int = 0
    inner_positions: bool = False
    scores: bool = False
    weights: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRequest:
    """One answer of at most ``max_tokens`` tokens, drawn with its own seed."""

    prompt: Prompt
    draw: int
    max_tokens: int
    temperature: float
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributionRequest:
    """Next-token distributions after the first ``positions`` bytes of the prompt."""

    prompt: Prompt
    positions: tuple[int, ...]
    draw: int
    topk: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRequest:
    """The log-likelihood of ``text`` as the answer to the prompt."""

    prompt: Prompt
    text: str


Request = SampleRequest | DistributionRequest | ScoreRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a request costs at most: requests on the wire, tokens read and tokens written."""

    requests: int = 1
    read: int = 0
    written: int = 0

    @property
    def tokens(self) -> int:
        return self.read + self.written


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The rows that answer one request, and what it really cost. ``refused`` says why there are none, if so."""

    rows: tuple[Any, ...]
    cost: Cost
    refused: str = ""


class Backend(Protocol):
    """A model that can be asked. Implementations answer requests of one batch in the order given.

    Answers may not depend on what else is in the batch, beyond the last bits of floating point.
    """

    @property
    def info(self) -> ModelInfo: ...

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def runtime(self) -> str:
        """What computes the answers, e.g. ``transformers float32``."""
        ...

    def asked(self, prompt: Prompt) -> Prompt:
        """The prompt as this backend will put it: chat becomes raw where there is no template."""
        ...

    def length(self, prompt: Prompt) -> int:
        """Prompt length in this model's tokens; requests are batched by it."""
        ...

    def fits(self, request: Request) -> bool:
        """Whether the model can read what it is asked; what does not fit is not asked, and its answer is missing."""
        ...

    def batch_size(self, length: int) -> int:
        """How many requests of this length to send at once."""
        ...

    def sample(self, batch: Sequence[SampleRequest]) -> list[Sample]: ...

    def distributions(self, batch: Sequence[DistributionRequest]) -> list[list[Distribution]]: ...

    def score(self, batch: Sequence[ScoreRequest]) -> list[Score]: ...

    def sketch(self) -> tuple[TensorSketch, ...]: ...


@runtime_checkable
class Remote(Backend, Protocol):
    """A backend behind a network: many requests at a time, each on its own, each with a price."""

    @property
    def origin(self) -> str:
        """Digest of where the answers come from. Separates two servers that call their models the same."""
        ...

    @property
    def concurrency(self) -> int: ...

    @property
    def notes(self) -> tuple[Note, ...]:
        """What the server did that a reader of the recording should know, so far."""
        ...

    def cost(self, request: Request) -> Cost:
        """An upper bound, as far as it can be known without the model's tokenizer."""
        ...

    def ask(self, request: Request) -> Answer:
        """Answer one request; called from many threads."""
        ...
