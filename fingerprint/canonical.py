"""One way to write JSON, so that equal things have equal digests."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

from fingerprint.errors import FingerprintError


def dumps(value: Any) -> str:
    """Canonical JSON: sorted keys, no spaces, UTF-8 kept, finite numbers only.

    Raises:
        FingerprintError: if a NaN or an infinity is anywhere inside.

    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise FingerprintError(f"A value cannot be written as JSON: {error}.") from error


def sha256(data: bytes) -> str:
    """Hex digest, with the name of the algorithm in front."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest(value: Any) -> str:
    """Digest of any JSON value. Lone surrogates, which hostile text may hold, are kept apart, not refused."""
    return sha256(dumps(value).encode("utf-8", "surrogatepass"))


def rounded(value: float) -> float:
    """A float with the six significant digits that results hold, so that last bits do not matter; 0 if not finite."""
    return finite(float(f"{value:.6g}"))


def finite(value: float, *, default: float = 0.0) -> float:
    """A float that JSON can hold: the value itself, or ``default`` where it is NaN or infinite."""
    return value if math.isfinite(value) else default
