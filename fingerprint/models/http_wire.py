"""Connections to one server on which a whole request, from its first byte to the answer's last one, has a deadline.

The timeouts of the library below are for one read or write each, so a server that sends one byte now and then, of its
headers or of its body, would keep a request for ever. Here every read and write is given what is left of the request.
"""

from __future__ import annotations

import ssl
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import httpcore
import httpx

from fingerprint.errors import ModelError
from fingerprint.models.http_options import ServerOptions

_PART = 1 << 14  # bytes written at a time
_IDLE = 5.0  # seconds after which a connection that nobody uses is closed
#: Everything that a network may do to a request.
BROKEN = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)


class Overdue(httpcore.ReadTimeout):
    """The answer had begun when the time of its request was up."""


class _Time(threading.local):
    """Until when this thread's request must be done, and whether its answer has begun."""

    ends: float = float("inf")
    begun: bool = False

    def left(self) -> float:
        """Seconds left. Raises `Overdue` or a timeout of the library where there are none."""
        seconds = self.ends - time.monotonic()
        if seconds <= 0:
            raise self.up()
        return seconds

    def up(self) -> httpcore.TimeoutException:
        return Overdue() if self.begun else httpcore.ReadTimeout()


class _Stream(httpcore.NetworkStream):
    """A connection that reads and writes within the time of the request that uses it."""

    def __init__(self, inner: httpcore.NetworkStream, clock: _Time) -> None:
        self._inner, self._clock = inner, clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002  # the library's signature
        try:
            found = self._inner.read(max_bytes, timeout=self._clock.left())
        except httpcore.ReadTimeout:
            raise self._clock.up() from None
        self._clock.begun = self._clock.begun or bool(found)
        return found

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002  # the library's signature
        # In parts: the library waits anew after whatever little the other side took.
        for start in range(0, len(buffer), _PART):
            self._inner.write(buffer[start : start + _PART], timeout=self._clock.left())

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._clock.left() if timeout is None else min(timeout, self._clock.left())
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left), self._clock)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Backend(httpcore.SyncBackend):
    """Opens connections that know the time of the request under way in their thread."""

    def __init__(self, clock: _Time) -> None:
        self._clock = clock

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left = self._clock.left() if timeout is None else min(timeout, self._clock.left())
        return _Stream(super().connect_tcp(host, port, left, local_address, socket_options), self._clock)


class Wire:
    """A pool of connections, safe to share between threads."""

    def __init__(self, options: ServerOptions) -> None:
        self._clock = _Time()
        self._limits = {"timeout": dict.fromkeys(("connect", "read", "write"), options.timeout)}
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=not options.local),
            proxy=_proxy(options),
            max_connections=options.concurrency,
            max_keepalive_connections=options.concurrency,
            keepalive_expiry=_IDLE,
            network_backend=_Backend(self._clock),
        )

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    @contextmanager
    def answer(
        self, method: str, url: str, content: bytes | None, headers: dict[str, str], deadline: float
    ) -> Iterator[httpcore.Response]:
        """Send a request; its answer's headers are read, its body is for the caller.

        ``deadline`` is a time of the monotonic clock, in seconds.

        Raises:
            httpcore.TimeoutException: it is not done at the deadline; `Overdue` if the answer had begun.
            httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError: the connection fails; see `BROKEN`.

        """
        self._clock.ends, self._clock.begun = deadline, False
        target, host = _address(url)
        rows = [("Host", host), *headers.items()]
        with self._pool.stream(method, target, headers=rows, content=content, extensions=self._limits) as response:
            yield response


@lru_cache(maxsize=64)
def _address(url: str) -> tuple[httpcore.URL, str]:
    """An address and its Host header. The same few take as long to parse as an answer, and are parsed once."""
    found = httpx.URL(url)
    target = httpcore.URL(scheme=found.raw_scheme, host=found.raw_host, port=found.port, target=found.raw_path)
    return target, found.netloc.decode("ascii")


def _proxy(options: ServerOptions) -> httpcore.Proxy | None:
    """The proxy that the environment names for this address; a server on this machine needs none.

    Raises:
        ModelError: the named proxy is of a kind that cannot be used here.

    """
    scheme, host, _ = options.origin
    if options.local or urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    named = proxies.get(scheme) or proxies.get("all")
    if not named:
        return None
    try:
        found = httpx.Proxy(named)
    except (ValueError, httpx.InvalidURL):
        found = None
    # The address is not repeated: it may hold a password.
    if found is None or (found.url.scheme.startswith("socks") and find_spec("socksio") is None):
        why = "its address makes no sense" if found is None else "SOCKS needs the package socksio, which is not installed"
        raise ModelError(
            f"The proxy that the environment names for {scheme}: addresses cannot be used: {why}.",
            hint=f"Correct {scheme.upper()}_PROXY or ALL_PROXY, or exempt the server with NO_PROXY.",
        )
    url = httpcore.URL(scheme=found.url.raw_scheme, host=found.url.raw_host, port=found.url.port, target=found.url.raw_path)
    return httpcore.Proxy(url, auth=found.raw_auth, headers=found.headers.raw)
