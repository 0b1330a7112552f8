"""What can go wrong with one request: for now, for good, or for too long."""

from __future__ import annotations

from fingerprint.errors import ModelError


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
