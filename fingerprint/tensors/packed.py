"""From stored tensors to weights: plain floats as they are, 8- and 4-bit integers multiplied with their scales.

Layouts that are read: int8 or float8 with one scale a row, a block or a tensor (``weight_scale`` of compressed-tensors,
``SCB`` of bitsandbytes), 4-bit packed by compressed-tensors (``weight_packed``), and 4-bit GPTQ (``qweight``).
"""

from __future__ import annotations

import numpy as np

from fingerprint.errors import ModelError
from fingerprint.tensors.base import Tensor, Values
from fingerprint.tensors.numbers import WIDTH, decode, float_step
from fingerprint.tensors.safetensors_files import Stored
from fingerprint.text import safe_text

_NIBBLES = np.arange(8, dtype=np.uint32) * 4
_HELPERS = (
    ".weight_scale",
    ".weight_scale_inv",
    ".weight_shape",
    ".weight_zero_point",
    ".input_scale",
    ".SCB",
    ".weight_format",
    ".qzeros",
    ".scales",
    ".g_idx",
)


def unpack(stored: dict[str, Stored]) -> dict[str, Tensor]:
    """The weights of a checkpoint by name, with the helpers of their number formats resolved.

    Raises:
        ModelError: the weights are packed in a way that is not read here.

    """
    found: dict[str, Tensor] = {}
    for name, entry in stored.items():
        stem = name.rsplit(".", 1)[0]
        if name.endswith(_HELPERS):
            continue
        if name.endswith(".weight_packed"):
            found[f"{stem}.weight"] = _packed4(stem, entry, stored)
        elif name.endswith(".qweight"):
            found[f"{stem}.weight"] = _gptq4(stem, entry, stored)
        elif "bitsandbytes__" in name or name.endswith((".quant_map", ".absmax")):
            raise ModelError(
                f"The weights are packed by bitsandbytes in 4 bits ({safe_text(name)}), which is not read here.",
                hint="Give the model that was quantised, or a GGUF copy.",
            )
        elif entry.format in ("I8", "F8_E4M3", "F8_E5M2") and len(entry.shape) == 2:
            found[name] = _scaled(name, entry, stored)
        else:
            found[name] = _plain(entry)
    return found


def _plain(entry: Stored) -> Tensor:
    columns = entry.shape[-1] if entry.shape else 1
    width = columns * WIDTH[entry.format]

    def read(start: int, stop: int) -> Values:
        raw = entry.place.read(start * width, (stop - start) * width)
        return decode(raw, entry.format).reshape(-1, columns)

    def step(start: int, stop: int) -> Values:
        return float_step(read(start, stop), entry.format)

    short = entry.format not in ("F32", "F64")
    return Tensor(name=entry.name, shape=entry.shape, format=entry.format, read=read, step=step if short else None)


def _whole(entry: Stored) -> Values:
    return decode(entry.place.read(0, entry.place.size), entry.format).reshape(entry.shape or (1,))


def _scaled(name: str, entry: Stored, stored: dict[str, Stored]) -> Tensor:
    stem = name.rsplit(".", 1)[0]
    helper = next((stored[key] for end in _HELPERS[:2] if (key := stem + end) in stored), None)
    bits8 = stored.get(f"{stem}.SCB")
    if helper is None and bits8 is None:
        raise ModelError(
            f"The tensor {safe_text(name)} holds {entry.format} numbers without a scale, so its values are unknown.",
            hint="Give the model that was quantised, or a format that is listed under 'number formats' in the manual.",
        )
    scales = _whole(bits8).reshape(-1, 1) / 127 if bits8 is not None else _as_rows(_whole(helper) if helper else None)
    plain = _plain(entry)
    per_row = -(-entry.shape[0] // scales.shape[0])
    per_column = -(-entry.shape[1] // scales.shape[1])

    def factors(start: int, stop: int) -> Values:
        rows = scales[np.arange(start, stop) // per_row]
        return np.repeat(rows, per_column, axis=1)[:, : entry.shape[1]]

    def read(start: int, stop: int) -> Values:
        return plain.read(start, stop) * factors(start, stop)

    def step(start: int, stop: int) -> Values:
        unit = 1.0 if entry.format == "I8" else float_step(plain.read(start, stop), entry.format)
        return np.asarray(unit * factors(start, stop), dtype=np.float32)

    return Tensor(name=name, shape=entry.shape, format=f"{entry.format} with scales", read=read, step=step)


def _as_rows(scales: Values | None) -> Values:
    assert scales is not None
    return scales.reshape(-1, 1) if scales.ndim < 2 else scales


def _packed4(stem: str, entry: Stored, stored: dict[str, Stored]) -> Tensor:
    """compressed-tensors ``pack-quantized``: eight 4-bit numbers, shifted by 8, in each 32-bit word along a row."""
    scale_entry = stored.get(f"{stem}.weight_scale")
    if scale_entry is None or f"{stem}.weight_zero_point" in stored:
        raise ModelError(f"The packed tensor {safe_text(stem)} is not in the symmetric 4-bit layout that is read here.")
    scales, words = _as_rows(_whole(scale_entry)), entry.shape[1]
    columns = 8 * words
    if (shape := stored.get(f"{stem}.weight_shape")) is not None:
        columns = int(_whole(shape).ravel()[-1])
    group = columns // scales.shape[1]

    def step(start: int, stop: int) -> Values:
        return np.repeat(scales[start:stop], group, axis=1)[:, :columns]

    def read(start: int, stop: int) -> Values:
        raw = entry.place.read(start * words * 4, (stop - start) * words * 4).view("<u4").reshape(-1, words)
        return (_nibbles(raw)[:, :columns] - 8) * step(start, stop)

    return Tensor(name=f"{stem}.weight", shape=(entry.shape[0], columns), format="int4 with scales", read=read, step=step)


def _gptq4(stem: str, entry: Stored, stored: dict[str, Stored]) -> Tensor:
    """GPTQ in 4 bits: words run along the input axis; zeros are stored one too small."""
    helpers = {end: stored.get(f"{stem}.{end}") for end in ("scales", "qzeros", "g_idx")}
    scale_entry, zero_entry, order = helpers["scales"], helpers["qzeros"], helpers["g_idx"]
    words, outputs = entry.shape
    if scale_entry is None or zero_entry is None or scale_entry.shape[-1] != outputs:
        raise ModelError(
            f"The packed tensor {safe_text(stem)} is not in the 4-bit GPTQ layout that is read here.",
            hint="Give the model that was quantised, or a GGUF copy.",
        )
    inputs = 8 * words
    scales = _whole(scale_entry)
    zeros = _nibbles(zero_entry.place.read(0, zero_entry.place.size).view("<u4").reshape(zero_entry.shape)) + 1
    per_group = inputs // scales.shape[0]
    groups = np.arange(inputs) // per_group if order is None else _whole(order).astype(np.int64)

    def step(start: int, stop: int) -> Values:
        return np.ascontiguousarray(scales[groups, start:stop].T)

    def read(start: int, stop: int) -> Values:
        raw = entry.place.read(0, entry.place.size).view("<u4").reshape(words, outputs)[:, start:stop]
        codes = _nibbles(np.ascontiguousarray(raw.T))
        return (codes - zeros[groups, start:stop].T) * step(start, stop)

    return Tensor(name=f"{stem}.weight", shape=(outputs, inputs), format="int4 with scales", read=read, step=step)


def _nibbles(words: np.ndarray[tuple[int, ...], np.dtype[np.uint32]]) -> Values:
    """Eight 4-bit numbers of each word, lowest bits first, in place of the word."""
    spread = (words[..., None] >> _NIBBLES) & np.uint32(15)
    return spread.reshape(*words.shape[:-1], -1).astype(np.float32)
