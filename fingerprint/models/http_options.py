"""How to reach a server: what an ``openai:`` spec may say, and where its key comes from.

    openai:MODEL?base_url=http://127.0.0.1:8000/v1&concurrency=16&key_env=NAME

A key is read from the environment and nowhere else. ``OPENAI_API_KEY`` goes to OpenAI, to the host named by
``OPENAI_BASE_URL`` and to this machine; any other host gets a key only if the spec names its variable, because
the server of a suspect is nobody's friend.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

from fingerprint.errors import SpecError
from fingerprint.models.spec import ModelSpec
from fingerprint.text import safe_text

DEFAULT_URL = "https://api.openai.com/v1"
DEFAULT_KEY = "OPENAI_API_KEY"
_KNOWN = (
    "base_url",
    "key_env",
    "concurrency",
    "timeout",
    "attempts",
    "backoff",
    "max_wait",
    "max_bytes",
    "api",
    "price_in",
    "price_out",
)
_APIS = ("auto", "chat", "completions")
#: Keys of fewer characters are placeholders; a real one is long.
_SECRET = 8


class Secret:
    """A key that shows itself to nobody but the request that needs it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "Secret(set)" if self._value else "Secret(not set)"

    def header(self) -> dict[str, str]:
        """The header that carries it."""
        return {"Authorization": f"Bearer {self._value}"} if self._value else {}

    def scrub(self, text: str) -> str:
        """A server's words without the key, which some servers repeat in their complaints, as it is or in small letters.

        A word like ``EMPTY`` or ``none``, which servers without keys are given, is no secret and stays in answers.
        """
        if len(self._value) < _SECRET:
            return text
        text = text.replace(self._value, "[key]")
        small = self._value.lower()
        return text.replace(small, "[key]") if small in text else text

    def scrubbed(self, raw: str, value: Any) -> Any:
        """A parsed JSON value without the key; ``raw`` is its text, which tells whether there is anything to look for."""
        if len(self._value) < _SECRET or not (self._value in raw or "\\u" in raw):
            return value
        return self._everywhere(value)

    def _everywhere(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.scrub(value)
        if isinstance(value, list):
            return [self._everywhere(part) for part in value]
        if isinstance(value, dict):
            return {self.scrub(name): self._everywhere(part) for name, part in value.items()}
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """One server and how to treat it. Seconds for all times; prices are money per million tokens."""

    model: str
    base_url: str
    key: Secret
    key_env: str
    concurrency: int = 8
    timeout: float = 120.0
    attempts: int = 8
    backoff: float = 0.5
    max_wait: float = 300.0
    max_bytes: int = 1 << 23
    api: str = "auto"
    price_in: float | None = None
    price_out: float | None = None

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: what a redirect may not change."""
        return origin(self.base_url)

    @property
    def local(self) -> bool:
        """Whether the server runs on this machine."""
        return is_local(self.origin[1])


def parse_options(spec: ModelSpec) -> ServerOptions:
    """The options of an ``openai:`` spec.

    Raises:
        SpecError: an option is unknown or not a number, the address is none, or the key cannot be a key.

    """
    unknown = sorted({name for name, _ in spec.options} - set(_KNOWN))
    if unknown:
        # The value is left out: somebody may have put a key there.
        raise SpecError(
            f"The server option {safe_text(unknown[0], limit=40)!r} is unknown.",
            hint=f"Known: {', '.join(_KNOWN)}. A key comes from the environment only: name its variable with key_env.",
        )
    base_url = _base_url(spec.option("base_url", "") or os.environ.get("OPENAI_BASE_URL", "") or DEFAULT_URL)
    api = spec.option("api", "auto")
    if api not in _APIS:
        raise SpecError(f"The server option api={safe_text(api)} is unknown.", hint=f"Use one of {', '.join(_APIS)}.")
    key, key_env = _key(spec, base_url)
    return ServerOptions(
        model=spec.locator,
        base_url=base_url,
        key=key,
        key_env=key_env,
        concurrency=int(_number(spec, "concurrency", 8, low=1, high=256)),
        timeout=_number(spec, "timeout", 120, low=0.05, high=3600),
        attempts=int(_number(spec, "attempts", 8, low=1, high=100)),
        backoff=_number(spec, "backoff", 0.5, low=0.0, high=60),
        max_wait=_number(spec, "max_wait", 300, low=0, high=86_400),
        max_bytes=int(_number(spec, "max_bytes", 1 << 23, low=1024, high=1 << 30)),
        api=api,
        price_in=_price(spec, "price_in"),
        price_out=_price(spec, "price_out"),
    )


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of an address."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)


def is_local(host: str) -> bool:
    """Whether a host name is this machine, by its name alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _base_url(text: str) -> str:
    """A plain address. What is wrong with it is said without quoting it where it may hold a key."""
    if "?" in text or "#" in text:
        raise SpecError(
            "The base_url holds a query (?…) or a fragment (#…), where keys are often put.",
            hint="Give the address alone; a key comes from the environment: key_env=…",
        )
    try:
        parts: SplitResult = urlsplit(text)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_is_fine = urlsplit(""), False
    if "@" in parts.netloc or (not port_is_fine and "@" in text):
        raise SpecError("The base_url holds a user name or a password.", hint="A key comes from the environment: key_env=…")
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_fine:
        shown = f" {safe_text(text, limit=80)}" if text.startswith(("http://", "https://")) and "@" not in text else ""
        raise SpecError(
            f"The base_url{shown} is no address of a server.",
            hint="Example: base_url=http://127.0.0.1:8000/v1",
        )
    path = parts.path.rstrip("/") or "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}"


def _key(spec: ModelSpec, base_url: str) -> tuple[Secret, str]:
    named = spec.option("key_env", "")
    if named and not named.replace("_", "").isalnum():
        raise SpecError("The server option key_env is no name of an environment variable.", hint="Example: key_env=MY_KEY")
    name = named or (DEFAULT_KEY if _trusted(base_url) else "")
    value = os.environ.get(name, "").strip() if name else ""
    if named and not value:
        raise SpecError(f"The environment variable {safe_text(named)} is not set.", hint="Set it to the server's key.")
    if value and not (value.isascii() and value.isprintable() and " " not in value):
        # A header library would refuse it in a sentence that quotes it.
        raise SpecError(f"The environment variable {safe_text(name)} holds something that cannot be a key.")
    return Secret(value), name


def _trusted(base_url: str) -> bool:
    host = origin(base_url)[1]
    own = os.environ.get("OPENAI_BASE_URL", "")
    return host == origin(DEFAULT_URL)[1] or is_local(host) or (bool(own) and origin(own)[1] == host)


def _number(spec: ModelSpec, name: str, default: float, *, low: float, high: float) -> float:
    text = spec.option(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise SpecError(f"The server option {name} must be a number from {low:g} to {high:g}.")
    return value


def _price(spec: ModelSpec, name: str) -> float | None:
    return _number(spec, name, 0, low=0, high=1e6) if spec.option(name, "") else None
