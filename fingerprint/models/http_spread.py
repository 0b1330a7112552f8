"""One model on many servers: each request goes where the fewest are under way, and a dead server is survived.

    openai:MODEL?base_url=http://a:8000/v1&base_url=http://b:8000/v1

Before a server takes part, and again when it comes back, it must show that it serves what the others serve: the same
reported model and the same offers, and on a few prompts the same greedy words or the same log-probabilities within the
tolerance of the handshake. That tells another model or another fine-tune apart, not every re-quantised copy.

A group is known by its first address in alphabetical order: the order in a spec does not matter, and a recording that was
begun on that server alone goes on with more of them, with the same bytes in the end.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

from fingerprint.errors import ModelError, ModelRefused
from fingerprint.models.base import DistributionRequest, SampleRequest
from fingerprint.models.handshake import SAME, apart
from fingerprint.models.http import HttpModel
from fingerprint.models.http_discover import discover
from fingerprint.models.http_faults import Exhausted, Fault, Refusal
from fingerprint.models.http_options import ServerOptions, parse_options
from fingerprint.models.http_terms import Terms
from fingerprint.models.http_transport import Reply, Transport
from fingerprint.models.spec import ModelSpec
from fingerprint.recording import Distribution, ModelInfo, Prompt
from fingerprint.text import safe_text

T = TypeVar("T")
MOST_AT_A_TIME = 256
_ASKED = ("The first thing I noticed was", "Tell me of the sea.", "A list of three colours:", "def add(a, b):")
_TOKENS = 8
#: Faults in a row after which a server rests; attempts at one that is just being opened.
_STRIKES, _KNOCKS = 3, 2
_LONGEST_REST = 7  # doublings of the spec's backoff
_GONE = {404, 410}
#: Terms in which servers of one model may differ.
_OWN = {"notes", "unique_ids", "echoes_request_id"}


def addresses(spec: ModelSpec) -> tuple[str, ...]:
    """The different base URLs of a spec, in alphabetical order: the option repeated, or a list with commas."""
    given = [value for name, value in spec.options if name == "base_url"]
    return tuple(sorted({url.strip() for value in given for url in re.split(r",(?=https?://)", value) if url.strip()}))


def open_servers(spec: ModelSpec, urls: Sequence[str]) -> HttpModel:
    """Open one model on several servers, of which at least one must be reached.

    Raises:
        ModelRefused: two of them do not serve the same.
        ModelError: none can be reached, or one refuses us.

    """
    rest = tuple(option for option in spec.options if option[0] != "base_url")
    each = [parse_options(replace(spec, options=(*rest, ("base_url", url)))) for url in urls]
    # `concurrency` is that of each server.
    whole = replace(each[0], concurrency=min(MOST_AT_A_TIME, each[0].concurrency * len(each)))
    spread = Spread(whole, each)
    info, terms = spread.open()
    return HttpModel(spread, whole, info, terms)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """What a server has shown of its model: ``marks`` are its answers to a few fixed prompts."""

    info: ModelInfo
    terms: Terms
    marks: tuple[Distribution | str, ...]


@dataclass(slots=True, kw_only=True)
class _Server:
    """One server and how it stands: whether it has shown that it belongs, and until when it rests."""

    options: ServerOptions
    transport: Transport
    agreed: bool = False
    asked_to_show: bool = False
    barred: bool = False
    busy: int = 0
    strikes: int = 0
    falls: int = 0
    rests_until: float = 0.0

    @property
    def name(self) -> str:
        return safe_text(urlsplit(self.options.base_url).netloc, limit=80)


class Spread(Transport):
    """The connections to all servers of one model; each attempt at a request chooses one."""

    def __init__(self, options: ServerOptions, each: Sequence[ServerOptions]) -> None:
        super().__init__(options)
        knocking = [replace(one, attempts=min(one.attempts, _KNOCKS)) for one in each]
        self._servers = [_Server(options=one, transport=Transport(one)) for one in knocking]
        self._free = threading.Condition()
        self._mine = threading.local()
        self._shown: _Shown | None = None

    def open(self) -> tuple[ModelInfo, Terms]:
        """Have every server that can be reached show what it serves. Raises as `open_servers`."""
        reason: ModelError | None = None
        seen: list[Terms] = []
        for server in self._servers:
            try:
                found = _show(server)
            except Exhausted as error:
                reason = reason or error
                self._rest(server)
                continue
            except ModelError as error:
                raise type(error)(f"{server.name}: {error.args[0]}", hint=error.hint) from error
            if self._shown is not None and (fault := _difference(self._shown, found)):
                raise ModelRefused(
                    f"The servers of {safe_text(self._options.model)} do not serve the same: {server.name} {fault}.",
                    hint="Name servers of one model only; two models are compared as two specs.",
                )
            self._shown = self._shown or found
            server.agreed = True
            seen.append(found.terms)
        if self._shown is None:
            raise reason or ModelError(f"No server of {safe_text(self._options.model)} is named.")
        terms = replace(
            self._shown.terms,
            unique_ids=all(one.unique_ids for one in seen),
            echoes_request_id=all(one.echoes_request_id for one in seen),
        )
        return self._shown.info, terms

    def once(self, method: str, path: str, body: dict[str, Any] | None, read: Callable[[Reply], T]) -> T:
        server = self._chosen()
        try:
            if not server.agreed:
                self._show_again(server)
            found = server.transport.once(method, path, body, read)
        except Fault as fault:
            self._strike(server, fault)
            raise
        except Refusal as refusal:
            # A server that has lost its model refuses what the others answer.
            if refusal.status not in _GONE or not self._others(server):
                raise
            self._rest(server)
            raise Fault(f"status {refusal.status} from one of the servers") from None
        except ModelError as error:
            # It asks to wait for longer than allowed; the others need not.
            if type(error) is not ModelError or not self._others(server):
                raise
            self._rest(server)
            raise Fault("one of the servers asks to wait for long") from None
        else:
            server.strikes = 0
            return found
        finally:
            with self._free:
                server.busy -= 1
                self._free.notify()

    def _again(self, error: Exception) -> bool | float:
        wait = super()._again(error)
        # Another server can be asked at once.
        return 0.0 if wait and self._others(getattr(self._mine, "failed", None)) else wait

    def _others(self, server: _Server | None) -> bool:
        now = time.monotonic()
        with self._free:
            return any(one is not server and one.agreed and one.rests_until <= now for one in self._servers)

    def _chosen(self) -> _Server:
        """The server with the fewest requests under way, not the one that failed this thread last if there is another.

        Raises:
            Fault: all rest.
            ModelRefused: none serves the model any more.

        """
        with self._free:
            while True:
                now = time.monotonic()
                awake = [one for one in self._servers if one.rests_until <= now and not one.barred]
                due = next((one for one in awake if not one.agreed and not one.asked_to_show), None)
                if due is not None:
                    due.asked_to_show = True
                    due.busy += 1
                    return due
                ready = [one for one in awake if one.agreed]
                free = [one for one in ready if one.busy < one.options.concurrency]
                if free:
                    failed = getattr(self._mine, "failed", None)
                    chosen = min(free, key=lambda one: (one is failed, one.busy))
                    chosen.busy += 1
                    return chosen
                if all(one.barred for one in self._servers):
                    raise ModelRefused(f"No server of {safe_text(self._options.model)} serves it any more.")
                if not ready:
                    raise Fault("no server is in service")
                self._free.wait(timeout=1.0)

    def _strike(self, server: _Server, fault: Fault) -> None:
        self._mine.failed = server
        with self._free:
            server.strikes += 1
            if fault.wait is not None:
                server.rests_until = time.monotonic() + fault.wait
        if server.strikes >= _STRIKES and server.agreed:
            self._rest(server)

    def _rest(self, server: _Server) -> None:
        """Take a server out for a while, twice as long each time; it must show again what it serves."""
        with self._free:
            server.agreed = server.asked_to_show = False
            server.strikes = 0
            server.falls = min(server.falls + 1, _LONGEST_REST)
            server.rests_until = time.monotonic() + self._options.backoff * 2**server.falls

    def _show_again(self, server: _Server) -> None:
        """Let a server that was out take part again, if it serves the same.

        Raises:
            Fault: it is still dead, or serves something else and is never asked again.

        """
        assert self._shown is not None
        # Connections of before are dead, and a server that was started again may count its answers from one again.
        server.transport = Transport(server.options)
        try:
            fault = _difference(self._shown, _show(server))
        except Exhausted:
            self._rest(server)
            raise Fault("a server is out of reach") from None
        except ModelError as error:
            fault = str(error)
        with self._free:
            server.asked_to_show = False
            server.barred, server.agreed = bool(fault), not fault
        if fault:
            raise Fault(f"a server that came back {fault}")


def _show(server: _Server) -> _Shown:
    """Ask a server what it offers, and for its answers to a few prompts."""
    info, terms = discover(server.transport, server.options)
    model = HttpModel(server.transport, server.options, info, terms)
    return _Shown(info=info, terms=terms, marks=tuple(_mark(model, text) for text in _ASKED))


def _mark(model: HttpModel, text: str) -> Distribution | str:
    prompt = model.asked(Prompt(id="same", text=text, channel="raw"))
    topk = model.capabilities.topk
    if topk:
        at = (len(prompt.text.encode()),)
        rows = model.distributions([DistributionRequest(prompt=prompt, positions=at, draw=0, topk=topk)])[0]
        if rows:
            return rows[0]
    request = SampleRequest(prompt=prompt, draw=0, max_tokens=_TOKENS, temperature=0.0, seed=0)
    return model.sample([request])[0].text


def _difference(known: _Shown, found: _Shown) -> str:
    """In what a server differs from those that take part, or an empty string."""
    if found.info.digest != known.info.digest or found.terms.model != known.terms.model:
        theirs, ours = (safe_text(shown.terms.model, limit=60) for shown in (found, known))
        return f"reports another model ({theirs}, not {ours})"
    for field in fields(Terms):
        mine, theirs = getattr(known.terms, field.name), getattr(found.terms, field.name)
        if field.name not in _OWN and mine != theirs:
            return f"offers something else ({field.name}: {safe_text(theirs, limit=60)}, not {safe_text(mine, limit=60)})"
    for one, other in zip(known.marks, found.marks, strict=True):
        if isinstance(one, Distribution) and isinstance(other, Distribution):
            if (far := max(apart(one, other), apart(other, one))) > SAME:
                return f"gives other log-probabilities to the same prompt, by {far:.1f} nats"
        elif one != other:
            return "answers the same greedy request with other words"
    return ""
