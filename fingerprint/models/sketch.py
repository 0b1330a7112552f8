"""The weight sketch: a few hundred values of each weight matrix, enough to recognise its descent.

Two models that share no initialisation agree in no place; a fine-tune, a merge or a quantised copy agrees
in all. The places depend on the name and shape of the tensor alone, so sketches that were taken apart,
by different people, can be compared without either side showing its weights.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from fingerprint.recording import TensorSketch

BLOCK = 32
_BLOCKS = 8
_SMALLEST = 1024


def sketch_tensors(tensors: Iterable[tuple[str, Any]]) -> tuple[TensorSketch, ...]:
    """Sketch all matrices (two or more axes, at least 1,024 values) of a torch model, in order of name."""
    return tuple(sorted(_sketches(tensors), key=lambda sketch: sketch.name))


def _sketches(tensors: Iterable[tuple[str, Any]]) -> Iterator[TensorSketch]:
    for name, tensor in tensors:
        shape = tuple(int(size) for size in tensor.shape)
        if len(shape) < 2 or tensor.numel() < _SMALLEST:
            continue
        flat = tensor.detach().reshape(-1)
        values = np.concatenate(
            [flat[start : start + BLOCK].float().numpy() for start in block_starts(name, shape, tensor.numel())]
        )
        scale = float(np.abs(values).max())
        if not np.isfinite(scale) or scale == 0.0:
            continue
        packed = (values / scale).astype("<f2").tobytes()
        yield TensorSketch(
            name=name, shape=shape, scale=float(f"{scale:.9g}"), values=base64.b64encode(packed).decode("ascii")
        )


def block_starts(name: str, shape: tuple[int, ...], size: int) -> list[int]:
    """Where the blocks begin in the flattened tensor: aligned, distinct, in order, the same for everybody."""
    seed = hashlib.sha256(f"{name}:{shape}".encode()).digest()
    rng = np.random.default_rng(list(seed[:16]))
    total = size // BLOCK
    chosen = rng.choice(total, size=min(_BLOCKS, total), replace=False)
    return [int(block) * BLOCK for block in sorted(chosen)]


def unpack(sketch: TensorSketch) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The sketched values as float64, shape (blocks, 32)."""
    packed = np.frombuffer(base64.b64decode(sketch.values), dtype="<f2").astype(np.float64)
    return packed.reshape(-1, BLOCK) * sketch.scale
