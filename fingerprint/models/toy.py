"""Toy models: deterministic fakes with a known relation, for tests, demonstrations and power simulations.

``toy:parrot?seed=1`` is a next-word table made of noise; ``toy:parrot?seed=2&parent=1&mix=0.8`` moves
it towards the table of seed 1, as a student moves towards its teacher. ``toy:silent`` answers nothing,
``toy:constant`` always the same, ``toy:broken`` gives NaN.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerprint.canonical import digest
from fingerprint.errors import ModelBroken, SpecError
from fingerprint.models.base import Capabilities, DistributionRequest, Request, SampleRequest, ScoreRequest
from fingerprint.models.spec import ModelSpec
from fingerprint.recording import Distribution, ModelInfo, Prompt, Sample, Score, TensorSketch

WORDS = (
    "amber",
    "bell",
    "candle",
    "drum",
    "ember",
    "fern",
    "garden",
    "harbour",
    "island",
    "jar",
    "kettle",
    "lantern",
    "meadow",
    "needle",
    "orchard",
    "pebble",
    "quill",
    "river",
    "saddle",
    "thimble",
    "umbrella",
    "valley",
    "willow",
    "yarrow",
    "zephyr",
    "anchor",
    "basket",
    "copper",
    "daisy",
    "eagle",
    "feather",
    "glass",
    "hazel",
    "ivory",
    "juniper",
    "kite",
    "ladder",
    "maple",
    "nutmeg",
    "olive",
    "parcel",
    "quartz",
    "ribbon",
    "silver",
    "teapot",
    "uncle",
    "violet",
    "walnut",
    "yellow",
    "zinc",
    "apple",
    "bridge",
    "cloud",
    "dust",
    "echo",
    "flint",
    "gravel",
    "honey",
    "ink",
    "jasmine",
    "knot",
    "linen",
    "marble",
    "nettle",
)
_KINDS = ("parrot", "silent", "constant", "broken")
_SHARED, _OWN = 2.0, 1.5  # how much of a table all toys have in common, and how much is a toy's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Toy:
    """A backend without torch."""

    kind: str
    seed: int
    parent: int | None
    mix: float
    text_only: bool

    @property
    def info(self) -> ModelInfo:
        identity = digest(["toy", self.kind, self.seed, self.parent, self.mix])
        name = f"{self.kind}-{self.seed}"
        words = digest(list(WORDS))
        return ModelInfo(name=name, kind="toy", digest=identity, vocabulary=len(WORDS), tokenizer=words)

    @property
    def capabilities(self) -> Capabilities:
        if self.text_only:
            return Capabilities()
        return Capabilities(topk=len(WORDS), inner_positions=True, scores=True)

    @property
    def runtime(self) -> str:
        return "toy"

    def asked(self, prompt: Prompt) -> Prompt:
        return prompt

    def length(self, prompt: Prompt) -> int:
        return len(prompt.text.split())

    def fits(self, request: Request) -> bool:  # noqa: ARG002  # the protocol's signature
        return True

    def batch_size(self, length: int) -> int:  # noqa: ARG002  # the protocol's signature
        return 16

    def sample(self, batch: Sequence[SampleRequest]) -> list[Sample]:
        return [self._answer(request) for request in batch]

    def distributions(self, batch: Sequence[DistributionRequest]) -> list[list[Distribution]]:
        if self.kind == "broken":
            raise ModelBroken("The model broken-toy answers NaN instead of probabilities.")
        return [[self._row(request, at) for at in request.positions] for request in batch]

    def score(self, batch: Sequence[ScoreRequest]) -> list[Score]:
        found = []
        for request in batch:
            total = 0.0
            words = request.text.split()
            for place, word in enumerate(words):
                table = self._table([request.prompt.text, *words[:place]])
                total += math.log(float(table[WORDS.index(word)]) * 0.99) if word in WORDS else math.log(1e-6)
            size = len(request.text.encode("utf-8", "surrogatepass"))
            found.append(
                Score(
                    prompt=request.prompt.id,
                    text=digest(request.text)[7:31],
                    logprob=round(total, 4),
                    tokens=len(words),
                    bytes=size,
                )
            )
        return found

    def sketch(self) -> tuple[TensorSketch, ...]:
        return ()

    def _answer(self, request: SampleRequest) -> Sample:
        prompt, draw = request.prompt.id, request.draw
        if self.kind == "silent":
            return Sample(prompt=prompt, draw=draw, text="", finish="stop")
        if self.kind == "constant":
            return Sample(prompt=prompt, draw=draw, text="I will not answer that.", finish="stop")
        rng = np.random.default_rng([self.seed, request.seed, draw, *_seeds(prompt)])
        words: list[str] = []
        for _ in range(min(request.max_tokens, 12)):
            table = self._table([request.prompt.text, *words])
            words.append(WORDS[int(rng.choice(len(WORDS), p=table / table.sum()))])
        return Sample(prompt=prompt, draw=draw, text=" ".join(words), finish="length")

    def _row(self, request: DistributionRequest, at: int) -> Distribution:
        table = self._table([request.prompt.text.encode("utf-8", "surrogatepass")[:at].decode("utf-8", "replace")])
        order = np.argsort(-table, kind="stable")[: request.topk]
        return Distribution(
            prompt=request.prompt.id,
            at=at,
            draw=request.draw,
            tokens=tuple(" " + WORDS[index] for index in order),
            logprobs=tuple(round(math.log(float(table[index])), 4) for index in order),
            tail=round(max(0.0, 1 - float(table[order].sum())), 6),
        )

    def _table(self, context: list[str]) -> NDArray[np.float64]:
        own = _noise("own", self.seed, context)
        if self.parent is not None:
            own = self.mix * _noise("own", self.parent, context) + (1 - self.mix) * own
        logits = _SHARED * _noise("world", 0, context) + _OWN * own
        table: NDArray[np.float64] = np.exp(logits - logits.max())
        return np.asarray(table / table.sum(), dtype=np.float64)


def _seeds(*parts: object) -> list[int]:
    raw = hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).digest()
    return [int.from_bytes(raw[start : start + 4], "big") for start in (0, 4, 8)]


def _noise(name: str, seed: int, context: list[str]) -> NDArray[np.float64]:
    """Standard normal numbers, one per word, that depend on the arguments alone (Box and Muller 1958)."""
    told = repr((name, seed, context[:1], context[-2:], len(context))).encode("utf-8", "surrogatepass")
    raw = np.frombuffer(hashlib.shake_128(told).digest(4 * len(WORDS)), dtype="<u4")
    uniform = (raw + 0.5) / 2.0**32
    radius, angle = np.sqrt(-2 * np.log(uniform[::2])), 2 * np.pi * uniform[1::2]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])


def open_toy(spec: ModelSpec) -> Toy:
    """Open ``toy:KIND?seed=…&parent=…&mix=…&access=text``."""
    if spec.locator not in _KINDS:
        raise SpecError(f"There is no toy model {spec.locator!r}.", hint=f"Known: {', '.join(_KINDS)}.")
    try:
        parent = spec.option("parent", "")
        return Toy(
            kind=spec.locator,
            seed=int(spec.option("seed", "0")),
            parent=int(parent) if parent else None,
            mix=float(spec.option("mix", "0.8")),
            text_only=spec.option("access", "") == "text",
        )
    except ValueError as error:
        raise SpecError(f"The toy model {spec} has an option that is not a number: {error}.") from error
