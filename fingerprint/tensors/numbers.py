"""Number formats: bytes to float32, and the size of the rounding step of each format."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from fingerprint.tensors.base import Values

#: Bytes per value of the formats that are read.
WIDTH = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1}
WIDTH |= {"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1}
_NUMPY = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1"}
#: Bits of the fraction: a value rounded to the format is off by at most 2^-(bits + 1) of itself.
_FRACTION = {"F64": 23, "F32": 23, "F16": 10, "BF16": 7, "F8_E4M3": 3, "F8_E5M2": 2}
#: Smallest normal numbers of the formats with fewer exponents than float32.
_NORMAL = {"F16": 2.0**-14, "F8_E4M3": 2.0**-6, "F8_E5M2": 2.0**-14}


def decode(raw: NDArray[np.uint8], format_: str) -> Values:
    """Float32 values of stored bytes, flat."""
    if format_ == "BF16":
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
    if format_ in ("F8_E4M3", "F8_E5M2"):
        return _small_floats(format_)[raw]
    values: Values = raw.view(_NUMPY[format_]).astype(np.float32, copy=False)
    return values


@cache
def _small_floats(format_: str) -> Values:
    """All 256 values of an 8-bit float (OCP 8-bit floating point, 2023): E4M3 has no infinity, E5M2 does."""
    exponent_bits = 4 if format_ == "F8_E4M3" else 5
    fraction_bits, bias = 7 - exponent_bits, 2 ** (exponent_bits - 1) - 1
    code = np.arange(256)
    sign = np.where(code >> 7, -1.0, 1.0)
    exponent = (code >> fraction_bits) & (2**exponent_bits - 1)
    fraction = (code & (2**fraction_bits - 1)) / 2**fraction_bits
    value = np.where(exponent == 0, fraction * 2.0 ** (1 - bias), (1 + fraction) * 2.0 ** (exponent - bias))
    value = sign * value
    if format_ == "F8_E4M3":
        value[(code & 0x7F) == 0x7F] = np.nan
    else:
        top = exponent == 2**exponent_bits - 1
        value[top] = np.where(fraction[top] == 0, sign[top] * np.inf, np.nan)
    values: Values = value.astype(np.float32)
    return values


def float_step(values: Values, format_: str) -> Values:
    """Spacing of a floating-point format at each value; half of it is the largest rounding error."""
    # The power of two below each value is its float32 with the fraction cleared.
    power = (np.ascontiguousarray(values).view(np.uint32) & np.uint32(0x7F800000)).view(np.float32)
    # Below the smallest normal number the spacing stays what it is there.
    spacing: Values = np.maximum(power, np.float32(_NORMAL.get(format_, 2.0**-126))) * np.float32(
        2.0 ** -_FRACTION[format_]
    )
    return spacing


def narrow_step(values: Values) -> Values | None:
    """Spacing of the narrower format that float32 values were rounded to before; None where they fit into none."""
    whole = np.ascontiguousarray(values, dtype=np.float32)
    if not np.any(whole.view(np.uint32) & np.uint32(0xFFFF)):
        return float_step(whole, "BF16")
    with np.errstate(over="ignore"):
        fits = np.array_equal(whole.astype(np.float16).astype(np.float32), whole)
    return float_step(whole, "F16") if fits else None
