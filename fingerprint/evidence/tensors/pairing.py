"""Which matrix of the one model stands beside which of the other: by role, and by values where names are strange."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fingerprint.stats.weights_match import assign
from fingerprint.tensors.base import Values
from fingerprint.tensors.model import Part, Weights
from fingerprint.tensors.roles import EMBED, HEAD

Rows = NDArray[np.intp]
#: Values of a tensor of unknown name that must agree for a pair, and how well.
_SAMPLE, _ALIKE = 512, 0.5
#: Tokens that stand for a vocabulary whose order differs.
_TOKENS = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two matrices whose vectors stand for the same things; ``tokens`` are their rows where those differ."""

    first: Part
    second: Part
    renamed: bool = False
    tokens: tuple[Rows, Rows] | None = None

    @property
    def count(self) -> int:
        return min(self.first.count, self.second.count) if self.tokens is None else len(self.tokens[0])

    def chunks(self) -> Iterator[tuple[int, int]]:
        """Ranges of vectors that are read together."""
        if self.tokens is not None:
            return iter([(0, self.count)])
        # A side that lies across, or in another order, is read whole, and so the other side with it.
        across = self.second.axis == 0 or self.second.order is not None
        spans = self.second.spans() if across else self.first.spans()
        return ((start, min(stop, self.count)) for start, stop in spans if start < self.count)

    def read(self, start: int, stop: int) -> tuple[Values, Values]:
        """The vectors of both sides, (vectors, width)."""
        if self.tokens is None:
            return self.first.vectors(start, stop), self.second.vectors(start, stop)
        return gather(self.first, self.tokens[0][start:stop]), gather(self.second, self.tokens[1][start:stop])


def gather(part: Part, rows: Rows) -> Values:
    """Some vectors of a part, in the order asked, read a span at a time."""
    found = np.empty((len(rows), part.width), dtype=np.float32)
    for start, stop in part.spans():
        here = np.flatnonzero((rows >= start) & (rows < stop))
        if here.size:
            found[here] = part.vectors(start, stop)[rows[here] - start]
    return found


def sampled(count: int, most: int) -> Rows:
    """At most ``most`` indices, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.intp))


def pair_up(first: Weights, second: Weights) -> list[Pair]:
    """All pairs: same layer, same role, same width; rows of a vocabulary by token; the rest by their values."""
    found = []
    for key, mine in first.parts.items():
        theirs = second.parts.get(key)
        if theirs is None or len(mine.tensor.shape) < 2 or mine.axis is None or theirs.axis is None:
            continue
        if mine.width == theirs.width and (pair := _by_role(first, second, mine, theirs)) is not None:
            found.append(pair)
    if first.checkpoint.container == second.checkpoint.container:
        found += _plain_vectors(first, second)
    taken = {id(part) for pair in found for part in (pair.first, pair.second)}
    return found + _by_values(
        [part for part in first.parts.values() if id(part) not in taken and len(part.tensor.shape) > 1],
        [part for part in second.parts.values() if id(part) not in taken and len(part.tensor.shape) > 1],
    )


def _plain_vectors(first: Weights, second: Weights) -> list[Pair]:
    """Gains and biases: they tell a copy from a model in which little else was trained, and are no test of descent.

    Converters store some gains less one, so they are compared within one file format only.
    """
    pairs = ((mine, second.parts.get(key)) for key, mine in first.parts.items() if len(mine.tensor.shape) == 1)
    return [
        Pair(first=mine, second=theirs)
        for mine, theirs in pairs
        if theirs is not None and theirs.tensor.shape == mine.tensor.shape
    ]


def _by_role(first: Weights, second: Weights, mine: Part, theirs: Part) -> Pair | None:
    if mine.key[1] not in (EMBED, HEAD):
        return Pair(first=mine, second=theirs) if mine.count == theirs.count else None
    tokens = shared_tokens(first, second)
    if tokens is None:
        return Pair(first=mine, second=theirs) if mine.count == theirs.count else None
    keep = (tokens[0] < mine.count) & (tokens[1] < theirs.count)
    rows = tokens[0][keep], tokens[1][keep]
    same = np.array_equal(*rows)
    if same and len(rows[0]) >= 0.9 * min(mine.count, theirs.count):
        return Pair(first=mine, second=theirs)
    if len(rows[0]) < 16:
        return None
    chosen = sampled(len(rows[0]), _TOKENS)
    return Pair(first=mine, second=theirs, tokens=(rows[0][chosen], rows[1][chosen]))


def shared_tokens(first: Weights, second: Weights) -> tuple[Rows, Rows] | None:
    """Ids of the tokens that both vocabularies spell alike, in the first one's order; None if one is unknown."""
    mine, theirs = first.checkpoint.vocabulary, second.checkpoint.vocabulary
    if not mine or not theirs:
        return None
    common = sorted((row, theirs[token]) for token, row in mine.items() if token in theirs)
    table = np.array(common, dtype=np.intp).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _by_values(first: list[Part], second: list[Part]) -> list[Pair]:
    found = []
    for shape in sorted({part.tensor.shape for part in first} & {part.tensor.shape for part in second}):
        mine = [part for part in first if part.tensor.shape == shape]
        theirs = [part for part in second if part.tensor.shape == shape]
        samples = [np.stack([_values(part) for part in side]) for side in (mine, theirs)]
        likeness = samples[0] @ samples[1].T
        for row, column in zip(*assign(likeness), strict=True):
            if likeness[row, column] >= _ALIKE:
                found.append(_renamed(mine[row], theirs[column]))
    return found


def _renamed(mine: Part, theirs: Part) -> Pair:
    # Whichever side's name tells the residual axis tells it for both.
    axis = mine.axis if mine.axis is not None else theirs.axis
    sides = [
        Part(model=part.model, key=mine.key, tensor=part.tensor, axis=axis, order=part.order) for part in (mine, theirs)
    ]
    return Pair(first=sides[0], second=sides[1], renamed=True)


def _values(part: Part) -> Values:
    """A few hundred values from all over a tensor, centred, of length 1."""
    rows = sampled(part.tensor.rows, 16)
    values = np.concatenate([part.tensor.read(int(row), int(row) + 1)[0] for row in rows])
    values = values[sampled(len(values), _SAMPLE)]
    values = np.nan_to_num(values - values.mean()).astype(np.float32)
    length = float(np.linalg.norm(values))
    scaled: Values = values / np.float32(length if length > 0 else 1.0)
    return scaled
