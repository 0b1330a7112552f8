"""What a comparison would ask and cost, and which kinds of evidence it can give: the plan, before any money is spent.

Servers are asked a handful of short questions, for their capabilities and their pace; models on this machine are not
loaded. What is not known stays unknown.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fingerprint import sources
from fingerprint.collection.collect import Collector
from fingerprint.collection.plan import TOPK, Plan
from fingerprint.collection.pool import Pool
from fingerprint.collection.work import make_work
from fingerprint.evidence.base import NOT_EVIDENCE
from fingerprint.evidence.crossscores import scorable
from fingerprint.models.base import Answer, Capabilities, DistributionRequest, Remote, Request, SampleRequest, ScoreRequest
from fingerprint.models.http import HttpModel
from fingerprint.models.spec import parse_spec
from fingerprint.recording import Prompt, Recording

if TYPE_CHECKING:
    from fingerprint.options import Options

_LOCAL = Capabilities(topk=TOPK, inner_positions=True, scores=True, weights=True)
#: Shares of the allowed length that answers may turn out to have.
LENGTHS = (0.25, 0.5, 1.0)
#: Bytes to a token of the prompts where the server does not count: few, usual, many tokens.
_BYTES = (5.0, 4.0, 2.0)
#: Where it does count, other languages and templates still make a difference.
_SPREAD = (0.9, 1.0, 1.3)
_TRIAL_TOKENS = 16
#: A token of an answer that nobody has written yet.
_STAND_IN = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A figure in three cases."""

    low: float
    expected: float
    worst: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Range:
        low, expected, worst = values
        return cls(low=low, expected=expected, worst=worst)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Money per million tokens; None is unknown."""

    read: float | None = None
    written: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelForecast:
    """One model: what it gives, what is still to be asked, and at what price. None is unknown."""

    name: str
    remote: bool
    text: bool
    topk: int
    scores: bool
    weights: bool
    requests: int
    stored: int
    read: Range | None
    written: Range | None
    minutes: Range | None
    money: Range | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Possibility:
    """One kind of evidence: whether the pair can give it, and why not."""

    evidence: str
    possible: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The whole plan: the models in order of suspect, reference, controls."""

    probes: int
    models: tuple[ModelForecast, ...]
    evidence: tuple[Possibility, ...]


def forecast(specs: Sequence[str], options: Options, prices: Prices) -> Forecast:
    """The plan for suspect, reference and controls.

    Raises:
        FingerprintError: a spec is wrong, a recording cannot be read, or a server cannot be reached.

    """
    parsed = [parse_spec(spec) for spec in specs]
    given = {place: sources.read(spec) for place, spec in enumerate(parsed) if spec.scheme == "rec"}
    plan = sources.plan_for(list(given.values()), options)
    live = {
        place: sources.open_collector(spec, options)
        for place, spec in enumerate(parsed)
        if place not in given and spec.scheme in {"openai", "toy"}
    }
    can = [given[place].access if place in given else _access(live.get(place)) for place in range(len(parsed))]
    texts: list[ScoreRequest] = []
    if any("text" in side and "topk" not in side for side in can[:2]):
        texts = [text for place, side in enumerate(can) if "text" in side for text in _texts(given.get(place), plan)]
    models = []
    for place, spec in enumerate(parsed):
        if place in given:
            models.append(_recorded(given[place]))
        elif place in live:
            models.append(_live(live[place], plan, prices, texts))
        else:
            models.append(_unopened(str(spec), plan, len(texts)))
    return Forecast(probes=len(plan.probes), models=tuple(models), evidence=_evidence(models[0], models[1]))


def _access(collector: Collector | None) -> tuple[str, ...]:
    """What a live model will give; one that is not loaded gives everything."""
    can = _LOCAL if collector is None else collector.can or collector.backend.capabilities
    return tuple(name for name, has in (("text", can.samples), ("topk", can.topk)) if has)


def _texts(recording: Recording | None, plan: Plan) -> list[ScoreRequest]:
    """The texts of one author that others are asked to score, where a side gives text only; not yet written: stand-ins."""
    if recording is not None:
        by_id = recording.prompt_by_id
        return [ScoreRequest(prompt=by_id[sample.prompt], text=sample.text) for sample in scorable(recording)]
    asked = [probe for probe in plan.probes if probe.draws and probe.set != NOT_EVIDENCE]
    return [ScoreRequest(prompt=probe.prompt, text=_STAND_IN * probe.max_tokens) for probe in asked]


def _recorded(recording: Recording) -> ModelForecast:
    has = set(recording.access)
    return ModelForecast(
        name=recording.model.name,
        remote=False,
        text="text" in has,
        topk=max((len(row.tokens) for row in recording.distributions), default=0),
        scores="scores" in has,
        weights="weights" in has,
        requests=0,
        stored=0,
        read=None,
        written=None,
        minutes=None,
        money=None,
        notes=tuple(note.text for note in recording.notes),
    )


def _unopened(name: str, plan: Plan, texts: int) -> ModelForecast:
    estimate = plan.estimate()
    return ModelForecast(
        name=name,
        remote=False,
        text=True,
        topk=_LOCAL.topk,
        scores=True,
        weights=True,
        requests=estimate.sample_requests + estimate.distribution_requests + texts,
        stored=0,
        read=None,
        written=None,
        minutes=None,
        money=None,
        notes=("runs on this machine; not loaded for a plan",),
    )


def _live(collector: Collector, plan: Plan, prices: Prices, texts: Sequence[ScoreRequest]) -> ModelForecast:
    backend = collector.backend
    can = collector.can or backend.capabilities
    everything = [*make_work(plan, backend, can).all, *(texts if can.scores else ())]
    missing = collector.missing(everything)
    remote = isinstance(backend, Remote)
    read = written = minutes = money = None
    wire = len(missing)
    if isinstance(backend, Remote):
        wire = sum(backend.cost(request).requests for request in missing)
        trial = _trial(backend, missing)
        read = Range.of(
            [
                _read(backend, missing, trial.bytes_per_token[case] / spread, LENGTHS[case])
                for case, spread in enumerate(_SPREAD)
            ]
        )
        written = Range.of([sum(_written(request, share) for request in missing) for share in LENGTHS])
        minutes = Range.of([trial.minutes(missing, wire, case) for case in range(3)])
        money = _money(backend, read, written, prices)
    noted = (*collector.notes, *(backend.notes if isinstance(backend, Remote) else ()))
    return ModelForecast(
        name=backend.info.name,
        remote=remote,
        text=can.samples,
        topk=can.topk,
        scores=can.scores,
        weights=can.weights,
        requests=wire,
        stored=len(everything) - len(missing),
        read=read,
        written=written,
        minutes=minutes,
        money=money,
        notes=tuple(note.text for note in noted),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """The pace of a server: seconds of a request and of a written token, alone, and how many alone-times fit into one."""

    base: float
    per_token: float
    parallel: float
    bytes_per_token: tuple[float, float, float]

    def minutes(self, requests: Sequence[Request], wire: int, case: int) -> float:
        alone = wire * self.base + sum(_written(request, LENGTHS[case]) for request in requests) * self.per_token
        return alone / (1.0 if case == 2 else self.parallel) / 60


def _trial(backend: Remote, missing: Sequence[Request]) -> _Trial:
    """Ask one token, sixteen tokens, and sixteen tokens many times at once."""
    longest = max((request.prompt for request in missing), key=lambda prompt: len(prompt.text), default=None)
    prompt = longest or Prompt(id="trial", text="Say one word.", channel="chat")

    def sample(tokens: int, draw: int) -> SampleRequest:
        return SampleRequest(prompt=backend.asked(prompt), draw=draw, max_tokens=tokens, temperature=1.0, seed=0)

    started = time.monotonic()
    counted = backend.ask(sample(1, 0)).cost.read
    base = time.monotonic() - started
    alone = _seconds(backend, [sample(_TRIAL_TOKENS, 1)])
    many = _seconds(backend, [sample(_TRIAL_TOKENS, 2 + draw) for draw in range(backend.concurrency)])
    size = len(prompt.text.encode("utf-8", "replace")) + len(prompt.system.encode("utf-8", "replace"))
    ratio = size / counted if counted else 0.0
    return _Trial(
        base=min(base, alone),
        per_token=max(0.0, alone - base) / (_TRIAL_TOKENS - 1),
        parallel=min(max(1.0, backend.concurrency * alone / many), float(backend.concurrency)),
        bytes_per_token=(ratio, ratio, ratio) if ratio else _BYTES,
    )


def _seconds(backend: Remote, requests: Sequence[SampleRequest]) -> float:
    pool: Pool[SampleRequest, Answer] = Pool(backend.ask, len(requests))
    started = time.monotonic()
    for request in requests:
        pool.submit(request)
    while pool.running:
        for outcome in pool.harvest():
            if outcome.error is not None:
                raise outcome.error
    pool.close()
    return max(time.monotonic() - started, 1e-4)


def _read(backend: Remote, requests: Sequence[Request], bytes_per_token: float, share: float) -> float:
    """Tokens read; of a text that is to be scored, the share of its greatest length that answers may turn out to have."""
    total = 0.0
    for request in requests:
        size = len(request.prompt.text.encode("utf-8", "replace")) + len(request.prompt.system.encode("utf-8", "replace"))
        if isinstance(request, ScoreRequest):
            size += round(len(request.text.encode("utf-8", "replace")) * share)
        total += backend.cost(request).requests * size / bytes_per_token
    return round(total)


def _written(request: Request, share: float) -> float:
    if isinstance(request, SampleRequest):
        return max(1.0, request.max_tokens * share)
    return float(len(request.positions)) if isinstance(request, DistributionRequest) else 1.0


def _money(backend: Remote, read: Range, written: Range, prices: Prices) -> Range | None:
    own = backend.options if isinstance(backend, HttpModel) else None
    price_in = own.price_in if own is not None and own.price_in is not None else prices.read
    price_out = own.price_out if own is not None and own.price_out is not None else prices.written
    if price_in is None or price_out is None:
        return None
    pairs = ((read.low, written.low), (read.expected, written.expected), (read.worst, written.worst))
    return Range.of([(tokens * price_in + answer * price_out) / 1e6 for tokens, answer in pairs])


def _evidence(suspect: ModelForecast, reference: ModelForecast) -> tuple[Possibility, ...]:
    sides = (suspect, reference)
    text_only = [side for side in sides if side.text and not side.topk]
    return (
        _both("weights", "open weights", [side.name for side in sides if not side.weights]),
        _both("next-token distributions", "log-probabilities", [side.name for side in sides if not side.topk]),
        _scored(text_only, sides),
        _both("answers", "answers", [side.name for side in sides if not side.text]),
    )


def _both(evidence: str, what: str, lacking: Sequence[str]) -> Possibility:
    reason = f"needs {what} of both sides; missing: {', '.join(dict.fromkeys(lacking))}" if lacking else ""
    return Possibility(evidence=evidence, possible=not lacking, reason=reason)


def _scored(text_only: Sequence[ModelForecast], sides: Sequence[ModelForecast]) -> Possibility:
    name = "likelihood of one side's answers under the other"
    if not text_only:
        return Possibility(evidence=name, possible=False, reason="not needed: both sides give log-probabilities")
    others = [side for author in text_only for side in sides if side is not author]
    able = any(side.scores for side in others)
    reason = "" if able else f"needs a model that scores texts; not so: {', '.join(side.name for side in others)}"
    return Possibility(evidence=name, possible=able, reason=reason)
