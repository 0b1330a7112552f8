"""One weight tensor that lies on disk: its shape is known, its values are read in rows when they are wanted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]
#: Values that are turned into float32 at once: 8 MB a side, which stays near the processor.
CHUNK = 1 << 21
Rows = Callable[[int, int], Values]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A tensor as a matrix of ``rows`` × ``columns``: all axes but the last are the rows.

    ``read(start, stop)`` gives those rows as float32. ``step`` gives the size of the rounding step at every value
    where the number format is an integer grid, and is None where it is a floating-point format.
    """

    name: str
    shape: tuple[int, ...]
    format: str
    read: Rows
    step: Rows | None = None

    @property
    def columns(self) -> int:
        return self.shape[-1] if self.shape else 1

    @property
    def rows(self) -> int:
        return math.prod(self.shape[:-1])

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def whole(self) -> Values:
        """All values, (rows, columns)."""
        return self.read(0, self.rows)

    def spans(self) -> Iterator[tuple[int, int]]:
        """Row ranges of at most `CHUNK` values each."""
        height = max(1, CHUNK // max(1, self.columns))
        for start in range(0, self.rows, height):
            yield start, min(self.rows, start + height)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the bytes of a stored tensor lie."""

    path: Path
    offset: int
    size: int

    def read(self, start: int, size: int) -> NDArray[np.uint8]:
        """Bytes ``start`` to ``start + size`` of the tensor. No memory map: its pages would count as ours."""
        return np.fromfile(self.path, dtype=np.uint8, count=size, offset=self.offset + start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """All tensors of one model, its configuration as plain JSON, and the token strings by id where they are known."""

    name: str
    files: tuple[Path, ...]
    tensors: dict[str, Tensor]
    config: dict[str, Any]
    vocabulary: dict[str, int] | None
    container: str
