"""What can go wrong with one request: for now, for good, or for too long."""

from __future__ import annotations

from fingerprint.errors import ModelError
from fingerprint.models.http_options import ServerOptions
from fingerprint.text import safe_text


class Fault(Exception):
    """Something that may go better next time. ``wait`` is what the server asked for, in seconds."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class Exhausted(ModelError):
    """All attempts at one request failed."""


class Refusal(Exception):
    """The server understood and will not: asking again changes nothing."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def locked_out(options: ServerOptions, refusal: Refusal) -> ModelError:
    """What to do about a missing key or an empty account."""
    if options.key:
        hint = f"The key came from {options.key_env}. Everything collected is kept."
    elif options.key_env:
        hint = f"Set {options.key_env} to the server's key."
    else:
        hint = "No key was sent: name its environment variable in the spec, key_env=NAME."
    return ModelError(
        f"The server of {safe_text(options.model)} refuses us (status {refusal.status}): {refusal}.", hint=hint
    )
