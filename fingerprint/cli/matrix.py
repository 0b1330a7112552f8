"""``fingerprint matrix``: all pairs of a folder of recordings."""

from __future__ import annotations


def matrix() -> None:
    """All pairs."""
