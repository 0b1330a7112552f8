"""The header of a GGUF file: metadata and the table of tensors.

The reader of the gguf package makes one array per token string, a minute for a vocabulary of 262,144; this one
reads the same header in about a second and leaves the bytes of the tensors alone.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from fingerprint.errors import ModelError
from fingerprint.text import safe_text

#: Scalar types by their number in the format: struct code.
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_VERSIONS = (2, 3)
_ALIGNMENT = 32
_MOST = 1 << 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One line of the table of tensors: name, shape in numpy's order, number of the format, offset in the file."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


def read_header(path: Path) -> tuple[dict[str, Any], list[Listed]]:
    """Metadata as plain values, and the table of tensors.

    Raises:
        ModelError: it is no GGUF file, of another version, or cut off.

    """
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ModelError(f"{safe_text(path.name)} is not a GGUF file: it does not start with the letters GGUF.")
        try:
            return _read(file)
        except (struct.error, UnicodeDecodeError, KeyError, MemoryError, OverflowError, ValueError) as error:
            raise ModelError(
                f"The header of the GGUF file {safe_text(path.name)} is damaged or cut off.",
                hint="Copy or download the file again.",
            ) from error


def _read(file: BinaryIO) -> tuple[dict[str, Any], list[Listed]]:
    (version,) = _take(file, "I")
    if version not in _VERSIONS:
        raise ModelError(
            f"The GGUF file is of version {version}; versions 2 and 3, little-endian, are read.",
            hint="Convert it anew with a current converter.",
        )
    count, pairs = _take(file, "QQ")
    fields: dict[str, Any] = {}
    for _ in range(pairs):
        name = _string(file)
        (kind,) = _take(file, "I")
        fields[name] = _value(file, kind)
    listed = [_listed(file) for _ in range(count)]
    alignment = int(fields.get("general.alignment", _ALIGNMENT))
    base = -(-file.tell() // alignment) * alignment
    return fields, [
        Listed(name=entry.name, shape=entry.shape, kind=entry.kind, offset=base + entry.offset) for entry in listed
    ]


def _listed(file: BinaryIO) -> Listed:
    name = _string(file)
    (axes,) = _take(file, "I")
    if axes > 8:
        raise ValueError("too many axes")
    shape = tuple(int(size) for size in reversed(_take(file, f"{axes}Q")))
    kind, offset = _take(file, "IQ")
    return Listed(name=name, shape=shape, kind=kind, offset=offset)


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _string(file)
    if kind != _ARRAY:
        return _take(file, _SCALARS[kind])[0]
    inner, length = _take(file, "IQ")
    if length > _MOST:
        raise ValueError("an array without end")
    if inner in (_STRING, _ARRAY):
        return [_value(file, inner) for _ in range(length)]
    return list(_numbers(file, _SCALARS[inner], length))


def _numbers(file: BinaryIO, code: str, length: int) -> Iterator[Any]:
    raw = file.read(struct.calcsize("<" + code) * length)
    return (value for (value,) in struct.iter_unpack("<" + code, raw))


def _string(file: BinaryIO) -> str:
    (length,) = _take(file, "Q")
    raw = file.read(length) if length < _MOST else b""
    if len(raw) != length:
        raise ValueError("cut off")
    return raw.decode("utf-8", "replace")


def _take(file: BinaryIO, codes: str) -> tuple[Any, ...]:
    return struct.unpack("<" + codes, file.read(struct.calcsize("<" + codes)))
