"""A recording: what one model answered to a list of prompts, how it was asked, and by which rules.

A recording stands for its model everywhere after collection: evidence is computed from recordings
alone, so a comparison can be repeated later, elsewhere, without the model and without torch. The file
is JSON lines (``.jsonl``, or ``.jsonl.zst``): a header, then prompts, samples, distributions, scores and the
weight sketch, one object a line. Minimal rows ``{"prompt": …, "output": …}`` made by anybody are read too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from typing import Any, Literal

from fingerprint.canonical import digest, dumps, sha256
from fingerprint.text import safe_text

FORMAT = "fingerprint.recording/1"
Channel = Literal["chat", "raw"]
Finish = Literal["stop", "length", "unknown"]
#: The symbol for "the text ends here" (end of sequence, end of turn), in a distribution's token list.
END = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """Which model this is. ``digest`` is the identity: weights, configuration, tokenizer and template."""

    name: str
    kind: str
    digest: str
    architecture: str = ""
    parameters: int = 0
    vocabulary: int = 0
    weights: str = ""
    tokenizer: str = ""
    template: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How the model was asked. Recordings under different protocols are compared with a warning."""

    temperature: float = 1.0
    top_k: int = 0
    system: str = ""
    seed: int = 0
    runtime: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSetRef:
    """A probe set as it was used: name, version and digest."""

    name: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One prompt as it was asked; ``channel`` is what really happened (chat needs a template)."""

    id: str
    text: str
    channel: Channel = "chat"
    system: str = ""
    family: str = ""
    set: str = ""

    @property
    def key(self) -> str:
        """What makes two recordings' prompts the same prompt: the words, not the id or the channel."""
        return digest([self.system, self.text])[7:31]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One sampled answer. ``draw`` counts the answers to the same prompt."""

    prompt: str
    draw: int
    text: str
    finish: Finish = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Next-token distribution after the first ``at`` bytes of the prompt (its length: after all of it).

    ``tokens`` holds each token's bytes as latin-1 characters, so that any byte string is a JSON string;
    `END` is the end of the text. ``logprobs`` are natural logarithms; ``tail`` is the probability of all
    tokens that are not listed. ``draw`` 1 is a repetition in another batch, for the noise floor.
    """

    prompt: str
    at: int
    draw: int = 0
    tokens: tuple[str, ...]
    logprobs: tuple[float, ...]
    tail: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Log-likelihood (nats) of ``text`` after a prompt; bits per byte make tokenizers comparable."""

    prompt: str
    text: str
    logprob: float
    tokens: int
    bytes: int

    @property
    def bits_per_byte(self) -> float:
        return -self.logprob / (0.6931471805599453 * max(self.bytes, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSketch:
    """A few blocks of 32 neighbouring values of one weight matrix, at places fixed by its name and shape.

    ``values`` is base64 of little-endian float16, in units of ``scale`` (the largest absolute value).
    """

    name: str
    shape: tuple[int, ...]
    scale: float
    values: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What whole tensors showed of this model and others when all lay on one disk; a recording has no tensors to ask.

    ``against`` holds the identities of the reference and the controls; evidence and skipped methods are plain values.
    """

    against: tuple[str, ...]
    seed: int
    evidence: tuple[dict[str, Any], ...]
    skipped: tuple[dict[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that went differently than asked. ``topic`` is what it limits: a kind of access, or the whole."""

    topic: Literal["samples", "topk", "scores", "identity", "drift", "import"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """The same questions at the beginning, twice, and at the end: mean distance within the beginning and across the run.

    Distances are Jensen–Shannon divergences in bits, or how early greedy texts part, from 0 to 1. ``pvalue`` is that of
    a paired test that the end is no further away than the beginning is from itself.
    """

    prompts: int
    within: float
    across: float
    pvalue: float


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Everything that one model answered under one protocol; ``seal`` is the digest of the seal that it was asked under."""

    model: ModelInfo
    protocol: Protocol = field(default_factory=Protocol)
    probe_sets: tuple[ProbeSetRef, ...] = ()
    prompts: tuple[Prompt, ...] = ()
    samples: tuple[Sample, ...] = ()
    distributions: tuple[Distribution, ...] = ()
    scores: tuple[Score, ...] = ()
    sketch: tuple[TensorSketch, ...] = ()
    findings: tuple[Finding, ...] = ()
    notes: tuple[Note, ...] = ()
    drift: Drift | None = None
    seal: str = ""

    def __str__(self) -> str:
        held = f"{len(self.prompts)} prompts, {len(self.samples)} answers, {len(self.distributions)} distributions"
        return f"{safe_text(self.model.name, limit=60)}: {held} ({', '.join(self.access)}), {self.digest}"

    def __repr__(self) -> str:
        return f"<Recording {self}>"

    def _repr_html_(self) -> str:
        return f"<p>{escape(str(self))}</p>"

    @cached_property
    def prompt_by_id(self) -> dict[str, Prompt]:
        return {prompt.id: prompt for prompt in self.prompts}

    @cached_property
    def answers(self) -> dict[str, tuple[str, ...]]:
        """Prompt key → its sampled answers in order of draw; blank answers are missing values."""
        found: dict[str, list[str]] = {}
        for sample in self.samples:
            if sample.text.strip():
                found.setdefault(self.prompt_by_id[sample.prompt].key, []).append(sample.text)
        return {key: tuple(texts) for key, texts in found.items()}

    @property
    def access(self) -> tuple[str, ...]:
        """What this recording can serve, weakest first."""
        has = {
            "text": self.samples,
            "scores": self.scores,
            "topk": self.distributions,
            "weights": self.sketch,
        }
        return tuple(name for name, rows in has.items() if rows)

    def why_not(self, topic: str) -> str:
        """Why a kind of access is missing, as the end of a sentence; empty where nothing is known."""
        found = [note.text for note in self.notes if note.topic == topic]
        return f" ({'; '.join(found)})" if found else ""

    @cached_property
    def digest(self) -> str:
        """Digest of the content, the same for the same rows however they were stored."""
        return sha256("\n".join(lines(self)).encode("utf-8", "surrogatepass"))


def unique_prompts(prompts: Iterable[Prompt]) -> Iterator[Prompt]:
    """The prompts without repetition of the same words, first one wins."""
    seen: set[str] = set()
    for prompt in prompts:
        if prompt.key not in seen:
            seen.add(prompt.key)
            yield prompt


#: Kinds of rows in the file: the attribute that holds them, and their class.
ROWS: dict[str, tuple[str, type[Any]]] = {
    "prompt": ("prompts", Prompt),
    "sample": ("samples", Sample),
    "distribution": ("distributions", Distribution),
    "score": ("scores", Score),
    "tensor": ("sketch", TensorSketch),
    "finding": ("findings", Finding),
}


def lines(recording: Recording) -> Iterator[str]:
    """The recording as canonical JSON lines, without line ends."""
    header: dict[str, Any] = {
        "row": "header",
        "format": FORMAT,
        "model": as_row(recording.model),
        "protocol": as_row(recording.protocol),
        "probe_sets": [as_row(ref) for ref in recording.probe_sets],
    }
    # Left out where empty: recordings that were made before there were notes or seals keep their digest.
    if recording.notes:
        header["notes"] = [as_row(note) for note in recording.notes]
    if recording.drift is not None:
        header["drift"] = as_row(recording.drift)
    if recording.seal:
        header["seal"] = recording.seal
    yield dumps(header)
    for kind, (attribute, _) in ROWS.items():
        for row in getattr(recording, attribute):
            yield row_line(kind, row)


def as_row(row: Any) -> dict[str, Any]:
    """The fields of one of the slotted classes above, as they are: `dataclasses.asdict` copies every number."""
    return {name: getattr(row, name) for name in row.__slots__}


def row_line(kind: str, row: Any) -> str:
    """One row as a canonical JSON line, tagged with its kind."""
    return dumps({"row": kind, **as_row(row)})
