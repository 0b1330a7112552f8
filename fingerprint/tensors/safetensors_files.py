"""Safetensors, one file or many with an index: where every tensor lies, checked before anything is read.

The library opens and checks a file; the values are read by offset, because its numpy door has no bfloat16 and no rows.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fingerprint.errors import ModelError
from fingerprint.tensors.base import Place
from fingerprint.tensors.numbers import WIDTH
from fingerprint.text import safe_text

INDEX = "model.safetensors.index.json"
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.safetensors$")


class Stored:
    """A tensor of a file: its place, shape and number format."""

    __slots__ = ("format", "name", "place", "shape")

    def __init__(self, name: str, shape: tuple[int, ...], format_: str, place: Place) -> None:
        self.name, self.shape, self.format, self.place = name, shape, format_, place


def read_headers(files: Sequence[Path]) -> dict[str, Stored]:
    """All tensors of some safetensors files, by name.

    Raises:
        ModelError: a file is damaged, a format is unknown, or two files hold the same name.

    """
    found: dict[str, Stored] = {}
    for path in files:
        for name, entry in _header(path).items():
            if name in found:
                raise ModelError(
                    f"The tensor {safe_text(name)} lies in two files, {safe_text(found[name].place.path.name)} and "
                    f"{safe_text(path.name)}.",
                    hint="Remove the copy that does not belong to the model.",
                )
            found[name] = entry
    return found


def _header(path: Path) -> dict[str, Stored]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):
            pass
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            table: dict[str, Any] = json.loads(file.read(length))
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"The weights {safe_text(path.name)} are damaged or cut off: {safe_text(error, limit=120)}.",
            hint="Copy or download the file again.",
        ) from error
    table.pop("__metadata__", None)
    return {name: _stored(path, 8 + length, name, entry) for name, entry in table.items()}


def _stored(path: Path, base: int, name: str, entry: dict[str, Any]) -> Stored:
    shape, format_ = tuple(int(size) for size in entry["shape"]), str(entry["dtype"])
    start, end = entry["data_offsets"]
    if format_ == "BOOL":
        format_ = "U8"
    if format_ not in WIDTH:
        raise ModelError(
            f"The tensor {safe_text(name)} is stored as {safe_text(format_)}, a number format that is not read here.",
            hint=f"Known formats: {', '.join(WIDTH)}, and GGUF.",
        )
    if end - start != math.prod(shape) * WIDTH[format_]:
        raise ModelError(f"The tensor {safe_text(name)} has {end - start} bytes, which do not fit its shape {shape}.")
    return Stored(name, shape, format_, Place(path=path, offset=base + start, size=end - start))


def check_index(folder: Path, files: Sequence[Path], stored: dict[str, Stored]) -> None:
    """Whether the files are the ones that the index, or their own numbering, promises.

    Raises:
        ModelError: a shard is missing, or the index names a tensor that is not where it says.

    """
    present = {path.name for path in files}
    index = folder / INDEX
    if not index.is_file():
        for name in sorted(present):
            match = _SHARD.search(name)
            if match and (missing := _missing_numbers(name, match, present)):
                raise ModelError(
                    f"The weights are not whole: {safe_text(missing)} is missing.", hint="Copy all shards into the folder."
                )
        return
    try:
        where = json.loads(index.read_text("utf-8"))["weight_map"]
        named = {str(tensor): str(file) for tensor, file in where.items()}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ModelError(f"The index {INDEX} cannot be read: it has no weight_map.") from error
    for name in sorted(set(named.values()) - present):
        raise ModelError(f"The weights are not whole: {safe_text(name)} is named in the index but missing.")
    for tensor, file in sorted(named.items()):
        entry = stored.get(tensor)
        if entry is None or entry.place.path.name != file:
            raise ModelError(
                f"The index is wrong: it says that {safe_text(tensor)} lies in {safe_text(file)}, which does not hold it.",
                hint="Copy the index and the shards from the same place again.",
            )


def _missing_numbers(name: str, match: re.Match[str], present: set[str]) -> str:
    total = int(match.group(2))
    wanted = (f"{name[: match.start()]}-{number:05d}-of-{total:05d}.safetensors" for number in range(1, total + 1))
    return next((other for other in wanted if other not in present), "")
