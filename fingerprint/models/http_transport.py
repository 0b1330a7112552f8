"""One request to a server, whatever happens on the way: retries, waits, limits, and no key in any sentence.

Everything is measured with the monotonic clock; a `Retry-After` date is read against the server's own `Date`, so that
neither side's wall clock matters.
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
import uuid
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urljoin

import httpcore
import httpx
import stamina

from fingerprint.errors import ModelBroken, ModelError, ModelRefused
from fingerprint.models.http_faults import Exhausted, Fault, Refusal
from fingerprint.models.http_options import ServerOptions
from fingerprint.models.http_wire import BROKEN, Overdue, Wire
from fingerprint.text import safe_text

T = TypeVar("T")
_REDIRECTS = {301, 302, 303, 307, 308}
_TRY_AGAIN = {408, 409, 425, 429}
_SPENT = ("insufficient_quota", "billing_hard_limit_reached")
_HOPS = 3


def _not_ours(record: logging.LogRecord) -> bool:
    """Whether a log line of stamina is about somebody else's retries: ours are counted and reported, not logged."""
    return not str(getattr(record, "stamina.caused_by", "")).startswith("Fault(")


def _no_headers(record: logging.LogRecord) -> bool:
    """Whether a log line of httpcore is not about an answer's headers, in which a server may repeat the key."""
    return not record.getMessage().startswith("receive_response_headers.complete")


logging.getLogger("stamina").addFilter(_not_ours)
logging.getLogger("httpcore.http11").addFilter(_no_headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A parsed answer: its JSON object, the headers in lower case, and the request id that it was sent under.

    ``repeated`` says that an answer with the same id came before.
    """

    value: dict[str, Any]
    headers: dict[str, str]
    request_id: str
    repeated: bool


class Transport:
    """A pool of connections to one server, safe to share between threads."""

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._wire = Wire(options)
        self._headers = {"Accept-Encoding": "identity", "User-Agent": "fingerprint", **options.key.header()}
        weakref.finalize(self, self._wire.close)
        self._lock = threading.Lock()
        self._faults: dict[str, int] = {}
        self._ids: set[int] = set()

    @property
    def faults(self) -> dict[str, int]:
        """How often each kind of fault was met and overcome, for people who watch."""
        with self._lock:
            return dict(self._faults)

    def get(self, path: str) -> Reply:
        """Ask for a page of the API. Raises like `ask`."""
        return self.ask("GET", path, None, lambda reply: reply)

    def ask(self, method: str, path: str, body: dict[str, Any] | None, read: Callable[[Reply], T]) -> T:
        """Send until ``read`` accepts the answer; ``path`` starts with ``/`` for the API, ``//`` for the server's root.

        Raises:
            Refusal: the server refuses this request for good.
            Exhausted: it cannot be reached, or does not answer sensibly in the allowed number of attempts.
            ModelError: it asks to wait for longer than allowed.
            ModelRefused: it sends us to another host, or wants no dealings without a key.
            ModelBroken: the answer is larger than the limit.

        """
        options = self._options
        tries = stamina.retry_context(
            on=self._again,
            attempts=options.attempts,
            timeout=None,
            wait_initial=options.backoff,
            wait_max=60 * options.backoff,
            wait_jitter=options.backoff,
        )
        try:
            for attempt in tries:
                with attempt:
                    return self.once(method, path, body, read)
        except Fault as fault:
            raise Exhausted(
                f"The server of {safe_text(options.model)} failed {options.attempts} times in a row: {fault}.",
                hint="Everything collected is kept; run the same command again later to go on.",
            ) from None
        raise AssertionError  # a retry context either returns or raises

    def once(self, method: str, path: str, body: dict[str, Any] | None, read: Callable[[Reply], T]) -> T:
        """One attempt of `ask`, which may end in a Fault."""
        return read(self._once(method, self._url(path), body))

    def _again(self, error: Exception) -> bool | float:
        if not isinstance(error, Fault):
            return False
        with self._lock:
            self._faults[str(error)] = self._faults.get(str(error), 0) + 1
        if error.wait is None:
            return True
        return error.wait + random.random() * self._options.backoff  # noqa: S311  # spreads the herd, guards nothing

    def _url(self, path: str) -> str:
        if path.startswith("//"):
            return urljoin(self._options.base_url, path[1:])
        return self._options.base_url + path

    def _once(self, method: str, url: str, body: dict[str, Any] | None) -> Reply:
        started, request_id = time.monotonic(), uuid.uuid4().hex
        content = None if body is None else json.dumps(body).encode("ascii")
        headers = {**self._headers, "X-Request-Id": request_id}
        if body is not None:
            headers["Content-Type"] = "application/json"
        for _ in range(_HOPS):
            try:
                status, found, raw = self._exchange(method, url, content, headers, started + self._options.timeout)
            except BROKEN as error:
                raise Fault(_kind(error)) from None
            if status not in _REDIRECTS:
                break
            url = self._redirected(url, found.get("location", ""))
        else:
            raise ModelRefused(f"The server of {safe_text(self._options.model)} redirects in a circle.")
        value = self._value(status, found, raw)
        return Reply(value=value, headers=found, request_id=request_id, repeated=self._repeated(value))

    def _repeated(self, value: dict[str, Any]) -> bool:
        name = value.get("id")
        if not isinstance(name, str):
            return False
        mark = hash(name)  # of one size, whatever a server calls its answers
        with self._lock:
            known = mark in self._ids
            self._ids.add(mark)
        return known

    def _exchange(
        self, method: str, url: str, content: bytes | None, headers: dict[str, str], deadline: float
    ) -> tuple[int, dict[str, str], bytes]:
        with self._wire.answer(method, url, content, headers, deadline) as response:
            found = _headers(response)
            if found.get("content-encoding", "identity") != "identity":
                raise ModelBroken(f"The server of {safe_text(self._options.model)} compresses although asked not to.")
            parts: list[bytes] = []
            size = 0
            for part in response.iter_stream():  # as it comes, so that nothing too large is collected
                size += len(part)
                if size > self._options.max_bytes:
                    raise ModelBroken(
                        f"The server of {safe_text(self._options.model)} sent an answer of more than "
                        f"{self._options.max_bytes:,} bytes; it was cut off.",
                        hint="If that is meant, allow more with max_bytes in the spec.",
                    )
                parts.append(part)
            return response.status, found, b"".join(parts)

    def _redirected(self, url: str, location: str) -> str:
        """Where a redirect leads, within the same scheme, host and port: another port is another server."""
        own = httpx.URL(self._options.base_url)
        try:
            # Read by the library that would follow it, so that both see the same host in a strange address.
            target = httpx.URL(urljoin(url, location))
        except (ValueError, httpx.InvalidURL):
            target = httpx.URL("")
        if not location or (target.scheme, target.raw_host, target.port) != (own.scheme, own.raw_host, own.port):
            where = f"{target.scheme}://{target.netloc.decode('ascii')}" if target.host else "nowhere"
            raise ModelRefused(
                f"The server of {safe_text(self._options.model)} redirects to another host or port, "
                f"{safe_text(self._options.key.scrub(where), limit=80)}; the request and its key were not sent there.",
                hint="If that server is the right one, give it as base_url.",
            )
        return str(target)

    def _value(self, status: int, headers: dict[str, str], raw: bytes) -> dict[str, Any]:
        text = raw.decode("utf-8", "replace")
        if status >= 500 or status in _TRY_AGAIN:
            if any(word in text for word in _SPENT):
                raise Refusal(status, self._words(text))
            raise Fault(f"status {status}", self._asked_to_wait(headers))
        if status >= 400:
            raise Refusal(status, self._words(text))
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise Fault("the answer is not JSON") from None
        if not isinstance(value, dict):
            raise Fault("the answer is no JSON object")
        value = dict(self._options.key.scrubbed(text, value))
        if isinstance(value.get("error"), dict | str):
            raise Fault("an error in an answer of status 200")
        return value

    def _asked_to_wait(self, headers: dict[str, str]) -> float | None:
        seconds = retry_after(headers)
        if seconds is not None and seconds > self._options.max_wait:
            raise ModelError(
                f"The server of {safe_text(self._options.model)} asks to wait {seconds:,.0f} seconds.",
                hint="Everything collected is kept; run again later, or allow longer waits with max_wait in the spec.",
            )
        return seconds

    def _words(self, text: str) -> str:
        """What the server says is wrong, as one harmless line."""
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            said = text
        for name in ("error", "message", "detail"):
            if isinstance(said, dict) and name in said:
                said = said[name]
        return safe_text(self._options.key.scrub(said if isinstance(said, str) else json.dumps(said)))


def _headers(response: httpcore.Response) -> dict[str, str]:
    """Names in lower case; of headers given several times, the values with commas between (RFC 9110, 5.3)."""
    found: dict[str, str] = {}
    for raw, value in response.headers:
        name, said = raw.decode("latin-1").lower(), value.decode("latin-1")
        found[name] = f"{found[name]}, {said}" if name in found else said
    return found


def retry_after(headers: dict[str, str]) -> float | None:
    """Seconds that a server asks to wait: a number, or a date against the server's own clock (RFC 9110, 10.2.3)."""
    given = headers.get("retry-after", "")
    if not given:
        return None
    try:
        return max(0.0, float(given))
    except ValueError:
        pass
    try:
        until, now = parsedate_to_datetime(given), parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError):
        return None
    return max(0.0, (until - now).total_seconds())


def _kind(error: Exception) -> str:
    """The kind of failure in words of ours: the library's may quote what was sent."""
    for kind, words in (
        (Overdue, "the answer did not end in time"),
        (httpcore.ConnectTimeout, "no connection in time"),
        (httpcore.TimeoutException, "no answer in time"),
        (httpcore.ConnectError, "no connection"),
        (httpcore.RemoteProtocolError, "the answer broke off"),
        (httpcore.NetworkError, "the connection broke"),
    ):
        if isinstance(error, kind):
            return words
    return f"a failure of the network ({type(error).__name__})"
