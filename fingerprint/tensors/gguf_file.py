"""GGUF: the table of contents through the gguf package, the values dequantised a few rows at a time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerprint.errors import ModelError
from fingerprint.tensors.base import Place, Tensor, Values
from fingerprint.tensors.gguf_header import Listed, read_header
from fingerprint.tensors.numbers import float_step
from fingerprint.text import safe_text

#: For the size of the step of integer blocks: where the lowest bits of the codes lie in a block, and the byte that
#: makes every code one larger. The rest of the codes is set to zero, the scales stay.
_CODES: dict[str, tuple[tuple[int, int], tuple[int, int] | None, int]] = {
    # format: (bytes of the low bits), (bytes of the high bits), byte that holds ones
    "Q4_0": ((2, 18), None, 0x11),
    "Q4_1": ((4, 20), None, 0x11),
    "Q5_0": ((6, 22), (2, 6), 0x11),
    "Q5_1": ((8, 24), (4, 8), 0x11),
    "Q8_0": ((2, 34), None, 0x01),
    "Q4_K": ((16, 144), None, 0x11),
    "Q5_K": ((48, 176), (16, 48), 0x11),
    "Q6_K": ((0, 128), (128, 192), 0x11),
    "Q2_K": ((16, 80), None, 0x55),
    "Q3_K": ((32, 96), None, 0x55),
}
_FLOATS = {"F32": "F32", "F16": "F16", "BF16": "BF16"}


def read_gguf(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by name, and the metadata as plain values.

    Raises:
        ModelError: the file is damaged, or no GGUF file, or the package is missing.

    """
    try:
        import gguf  # noqa: F401  # only whether it is there
    except ImportError as error:
        raise ModelError("GGUF files need an extra package.", hint="pip install 'fingerprint-lineage[gguf]'") from error
    if not path.is_file():
        raise ModelError(f"There is no GGUF file {safe_text(path)}.", hint="Check the path.")
    fields, listed = read_header(path)
    return {entry.name: _tensor(path, entry) for entry in listed}, fields


def _tensor(path: Path, entry: Listed) -> Tensor:
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, dequantize

    try:
        kind = GGMLQuantizationType(entry.kind)
    except ValueError as error:
        raise ModelError(
            f"The tensor {safe_text(entry.name)} is stored in GGUF format number {entry.kind}, which is not read here."
        ) from error
    name, shape = entry.name, entry.shape or (1,)
    block, width = GGML_QUANT_SIZES[kind]
    row = shape[-1] // block * width
    place = Place(path=path, offset=entry.offset, size=math.prod(shape[:-1]) * row)
    if place.offset + place.size > path.stat().st_size:
        raise ModelError(
            f"The GGUF file {safe_text(path.name)} is cut off within {safe_text(name)}.", hint="Copy it again."
        )

    def packed(start: int, stop: int) -> NDArray[np.uint8]:
        return place.read(start * row, (stop - start) * row).reshape(stop - start, row)

    def opened(raw: NDArray[np.uint8]) -> Values:
        data: Any = raw.view({"F32": "<f4", "F16": "<f2"}[kind.name]) if kind.name in ("F32", "F16") else raw
        values: Values = dequantize(data, kind).astype(np.float32, copy=False)
        return values

    def read(start: int, stop: int) -> Values:
        return opened(packed(start, stop))

    def step(start: int, stop: int) -> Values:
        raw = packed(start, stop)
        if kind.name in _FLOATS:
            return float_step(opened(raw), kind.name)
        low, high, ones = _CODES[kind.name]
        blocks = raw.reshape(stop - start, -1, width).copy()
        for span in filter(None, (low, high)):
            blocks[..., span[0] : span[1]] = 0
        zero = opened(blocks.reshape(raw.shape))
        blocks[..., low[0] : low[1]] = ones
        size: Values = np.abs(opened(blocks.reshape(raw.shape)) - zero)
        return size

    has_step = kind.name in _CODES or kind.name in ("F16", "BF16")
    return Tensor(name=name, shape=shape, format=kind.name, read=read, step=step if has_step else None)
