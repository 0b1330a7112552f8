"""One model's weights by role: bags of vectors in the residual stream, read when they are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerprint.errors import ModelBroken, ModelError
from fingerprint.tensors.base import Checkpoint, Rows, Tensor, Values
from fingerprint.tensors.roles import EMBED, HEAD, Axis, role_of
from fingerprint.text import safe_text

Key = tuple[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the configuration says of the network; 0 where it says nothing."""

    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A matrix with a role. ``axis`` is the residual axis; ``order`` puts interleaved rows where others have them."""

    model: str
    key: Key
    tensor: Tensor
    axis: Axis | None
    order: NDArray[np.intp] | None = None

    @property
    def count(self) -> int:
        """How many vectors."""
        return self.tensor.columns if self.axis == 0 else self.tensor.rows

    @property
    def width(self) -> int:
        """How long each of them is."""
        return self.tensor.rows if self.axis == 0 else self.tensor.columns

    def spans(self) -> Iterator[tuple[int, int]]:
        """Ranges of vectors that fit into memory at once; all of them where rows are in another order or lie across."""
        return iter([(0, self.count)]) if self.axis == 0 or self.order is not None else self.tensor.spans()

    def vectors(self, start: int = 0, stop: int | None = None) -> Values:
        """Vectors ``start`` to ``stop``, (vectors, width), finite.

        Raises:
            ModelBroken: a value is NaN or infinite.

        """
        values = self._oriented(self.tensor.read, start, self.count if stop is None else stop)
        if not np.isfinite(values).all():
            raise ModelBroken(
                f"The tensor {safe_text(self.tensor.name)} of {safe_text(self.model)} holds NaN or infinite values.",
                hint="The file is damaged, or the training run was; nothing is concluded from it.",
            )
        return values

    def steps(self, start: int, stop: int) -> Values | None:
        """Size of the rounding step at each value, shaped like `vectors`; None where the format rounds nothing."""
        return None if self.tensor.step is None else self._oriented(self.tensor.step, start, stop)

    def _oriented(self, read: Rows, start: int, stop: int) -> Values:
        if self.axis == 0:
            return np.ascontiguousarray(read(0, self.tensor.rows).T[start:stop])
        return read(start, stop) if self.order is None else read(0, self.tensor.rows)[self.order[start:stop]]


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The weights of one model."""

    checkpoint: Checkpoint

    @property
    def name(self) -> str:
        return self.checkpoint.name

    @cached_property
    def shape(self) -> Shape:
        return _shape(self.checkpoint)

    @cached_property
    def parts(self) -> dict[Key, Part]:
        """All tensors by layer and role; fused ones are taken apart where the configuration says how."""
        found: dict[Key, Part] = {}
        for tensor in self.checkpoint.tensors.values():
            for part in self._parts_of(tensor):
                # Two tensors of one role are two towers of one model; the first keeps the short name.
                key = part.key if part.key not in found else (part.key[0], part.tensor.name)
                found[key] = part
        return found

    @property
    def layers(self) -> list[int]:
        """Numbers of the layers, in order."""
        return sorted({layer for layer, _ in self.parts if layer >= 0})

    @cached_property
    def tied(self) -> bool:
        """Whether the output head is the embedding, and not stored beside it."""
        return (-1, HEAD) not in self.parts

    @property
    def formats(self) -> str:
        """The number formats of the matrices, the commonest first."""
        counts: dict[str, int] = {}
        for part in self.parts.values():
            if len(part.tensor.shape) > 1:
                counts[part.tensor.format] = counts.get(part.tensor.format, 0) + part.tensor.size
        return ", ".join(sorted(counts, key=lambda name: (-counts[name], name)))

    @property
    def parameters(self) -> int:
        return sum(part.tensor.size for part in self.parts.values())

    def _parts_of(self, tensor: Tensor) -> Iterator[Part]:
        shape = self.shape
        role = role_of(tensor.name, tensor.shape, shape.hidden)
        if len(tensor.shape) > 1 and role.axis is not None and len(tensor.shape) == 3:
            for expert, piece in enumerate(_experts(tensor)):
                yield Part(model=self.name, key=(role.layer, f"{role.name}.{expert}"), tensor=piece, axis=role.axis)
            return
        pieces = _fused(role.name, tensor, role.axis, shape)
        for name, piece in pieces:
            order = None
            if self.checkpoint.container == "gguf" and shape.kind == "llama" and name in ("q", "k"):
                order = _half_order(piece.rows, shape.heads if name == "q" else shape.kv_heads)
            yield Part(model=self.name, key=(role.layer, name), tensor=piece, axis=role.axis, order=order)


def _experts(tensor: Tensor) -> Iterator[Tensor]:
    experts, height, width = tensor.shape
    for expert in range(experts):
        yield _cut(tensor, (height, width), expert * height)


def _cut(tensor: Tensor, shape: tuple[int, int], first: int) -> Tensor:
    """Some neighbouring rows of a tensor as a tensor."""
    step = tensor.step
    return Tensor(
        name=tensor.name,
        shape=shape,
        format=tensor.format,
        read=lambda start, stop: tensor.read(first + start, first + stop),
        step=None if step is None else lambda start, stop: step(first + start, first + stop),
    )


def _columns(tensor: Tensor, first: int, width: int) -> Tensor:
    """Some neighbouring columns of a tensor as a tensor."""
    step, last = tensor.step, first + width
    return Tensor(
        name=tensor.name,
        shape=(tensor.rows, width),
        format=tensor.format,
        read=lambda start, stop: tensor.read(start, stop)[:, first:last],
        step=None if step is None else lambda start, stop: step(start, stop)[:, first:last],
    )


def _fused(role: str, tensor: Tensor, axis: Axis | None, shape: Shape) -> list[tuple[str, Tensor]]:
    sizes: dict[str, int] = {}
    width = tensor.columns if axis == 0 else tensor.rows
    if role == "gate_up" and width % 2 == 0:
        sizes = {"gate": width // 2, "up": width // 2}
    elif role == "qkv" and shape.kind != "gpt_neox":
        query, key = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        sizes = {"q": query, "k": key, "v": key} if query + 2 * key == width and query else {}
    if not sizes:
        return [(role, tensor)]
    found, first = [], 0
    for name, size in sizes.items():
        piece = _columns(tensor, first, size) if axis == 0 else _cut(tensor, (size, tensor.columns), first)
        found.append((name, piece))
        first += size
    return found


def _half_order(rows: int, heads: int) -> NDArray[np.intp]:
    """Rows of a rotary projection from neighbouring pairs (GGUF's llama) to halves (everybody else)."""
    if not heads or rows % (2 * heads):
        return np.arange(rows)
    return np.arange(rows).reshape(heads, -1, 2).swapaxes(1, 2).reshape(-1)


def _shape(checkpoint: Checkpoint) -> Shape:
    config = checkpoint.config
    if checkpoint.container == "gguf":
        kind = str(config.get("general.architecture", ""))
        hidden, heads, kv_heads, head_dim = (
            _whole(config.get(f"{kind}.{key}"))
            for key in ("embedding_length", "attention.head_count", "attention.head_count_kv", "attention.key_length")
        )
    else:
        inner = config.get("text_config")
        config = inner if isinstance(inner, dict) else config
        kind = str(config.get("model_type", ""))
        hidden = _whole(config.get("hidden_size", config.get("n_embd", config.get("d_model"))))
        heads = _whole(config.get("num_attention_heads", config.get("n_head")))
        kv_heads, head_dim = _whole(config.get("num_key_value_heads")), _whole(config.get("head_dim"))
    hidden = hidden or _embedding_width(checkpoint)
    return Shape(
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads or heads,
        head_dim=head_dim or (hidden // heads if heads else 0),
        kind=kind,
    )


def _embedding_width(checkpoint: Checkpoint) -> int:
    for tensor in checkpoint.tensors.values():
        if len(tensor.shape) == 2 and role_of(tensor.name, tensor.shape, 0).name == EMBED:
            return tensor.columns
    raise ModelError(
        f"The weights of {safe_text(checkpoint.name)} have no embedding that is known here, nor a hidden size.",
        hint="It must be a language model; an adapter alone is none.",
    )


def _whole(value: Any) -> int:
    """A whole number out of a configuration that may say anything; per-layer lists count by their first entry."""
    if isinstance(value, list) and value:
        value = value[0]
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 2**31 else 0
