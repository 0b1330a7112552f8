"""What people do to weights, as functions on a small checkpoint: every benchmark model that needs no training.

A checkpoint here is its tensors as float32, its configuration and its tokenizer file, all small enough for memory.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]
Tensors = dict[str, Values]
_SIDE_FILES = ("tokenizer.json", "tokenizer_config.json")


@dataclass(frozen=True, kw_only=True)
class Small:
    """A small checkpoint in memory; ``kind`` is llama or gpt2."""

    tensors: Tensors
    config: dict[str, Any]
    folder: Path

    @property
    def kind(self) -> str:
        return str(self.config["model_type"])

    @property
    def heads(self) -> int:
        return int(self.config["num_attention_heads"] if self.kind == "llama" else self.config["n_head"])

    @property
    def layers(self) -> int:
        return int(self.config["num_hidden_layers"] if self.kind == "llama" else self.config["n_layer"])


Change = Callable[[Small, np.random.Generator], Small]


def read_small(folder: Path) -> Small:
    """Read a checkpoint of the zoo."""
    from safetensors.numpy import load_file

    tensors = {name: value.astype(np.float32) for name, value in load_file(folder / "model.safetensors").items()}
    return Small(tensors=tensors, config=json.loads((folder / "config.json").read_text("utf-8")), folder=folder)


def write_small(model: Small, folder: Path, *, dtype: str = "<f2", shards: int = 1) -> Path:
    """Write a checkpoint, in one file or several with an index; returns its folder."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    names = sorted(model.tensors)
    files = [names[start::shards] for start in range(shards)]
    where: dict[str, str] = {}
    for number, part in enumerate(files, start=1):
        file = "model.safetensors" if shards == 1 else f"model-{number:05d}-of-{shards:05d}.safetensors"
        save_file({name: np.ascontiguousarray(model.tensors[name].astype(dtype)) for name in part}, folder / file)
        where |= dict.fromkeys(part, file)
    if shards > 1:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}), "utf-8")
    (folder / "config.json").write_text(json.dumps(model.config, sort_keys=True), "utf-8")
    for name in _SIDE_FILES:
        if (model.folder / name).is_file() and not (folder / name).exists():
            shutil.copy(model.folder / name, folder / name)
    return folder


def _matrices(model: Small, change: Callable[[Values], Values]) -> Small:
    return replace(model, tensors={n: change(v) if v.ndim > 1 else v for n, v in model.tensors.items()})


def _neuron_axis(name: str) -> int | None:
    """The axis of the hidden units of a feed-forward tensor."""
    ends = {"gate_proj.weight": 0, "up_proj.weight": 0, "down_proj.weight": 1}
    ends |= {"mlp.c_fc.weight": 1, "mlp.c_fc.bias": 0, "mlp.c_proj.weight": 0}
    return next((axis for end, axis in ends.items() if name.endswith(end)), None)


def _layer(name: str) -> int:
    return next((int(part) for part in name.split(".") if part.isdigit()), -1)


def noise(share: float) -> Change:
    """Gaussian noise of the given share of each matrix's size: a fine-tune without a text."""

    def change(model: Small, rng: np.random.Generator) -> Small:
        return _matrices(model, lambda v: v + np.float32(share * v.std()) * rng.standard_normal(v.shape, dtype=np.float32))

    return change


def low_rank(rank: int, share: float) -> Change:
    """A merged low-rank adapter on every matrix, of the given share of its size."""

    def change(model: Small, rng: np.random.Generator) -> Small:
        def add(v: Values) -> Values:
            left = rng.standard_normal((v.shape[0], rank), dtype=np.float32)
            delta = left @ rng.standard_normal((rank, v.shape[1]), dtype=np.float32)
            return v + delta * np.float32(share * v.std() / delta.std())

        return _matrices(model, add)

    return change


def magnitude_pruned(share: float) -> Change:
    """The smallest values of each matrix set to zero."""

    def change(model: Small, rng: np.random.Generator) -> Small:
        del rng
        return _matrices(model, lambda v: np.where(np.abs(v) > np.quantile(np.abs(v), share), v, np.float32(0)))

    return change


def rounded(bits: int, block: int = 32) -> Change:
    """Symmetric rounding in blocks with one scale each, stored dequantised."""

    def change(model: Small, rng: np.random.Generator) -> Small:
        del rng
        top = 2 ** (bits - 1) - 1

        def round_blocks(v: Values) -> Values:
            blocks = v.reshape(-1, block)
            scale = np.maximum(np.abs(blocks).max(axis=1, keepdims=True) / top, 1e-12)
            found: Values = (np.round(blocks / scale) * scale).reshape(v.shape).astype(np.float32)
            return found

        return _matrices(model, round_blocks)

    return change


def neurons_removed(share: float) -> Change:
    """Some hidden units of every layer taken out, the others in their order."""

    def change(model: Small, rng: np.random.Generator) -> Small:
        width = int(model.config["intermediate_size"] if model.kind == "llama" else model.config["n_inner"])
        kept = {n: np.sort(rng.permutation(width)[: int(width * (1 - share))]) for n in range(model.layers)}
        tensors = {
            name: v if (axis := _neuron_axis(name)) is None else np.take(v, kept[_layer(name)], axis=axis)
            for name, v in model.tensors.items()
        }
        key = "intermediate_size" if model.kind == "llama" else "n_inner"
        return replace(model, tensors=tensors, config=model.config | {key: int(width * (1 - share))})

    return change


def neurons_shuffled(model: Small, rng: np.random.Generator) -> Small:
    """Hidden units in another order and, where the network allows it, scaled: it computes what it did."""
    tensors = dict(model.tensors)
    for layer in range(model.layers):
        names = [name for name in tensors if _layer(name) == layer and _neuron_axis(name) is not None]
        width = tensors[names[0]].shape[_neuron_axis(names[0]) or 0]
        order = rng.permutation(width)
        factor = np.exp(rng.uniform(-1.4, 1.4, size=width)).astype(np.float32)
        for name in names:
            axis = _neuron_axis(name)
            assert axis is not None
            value = np.take(tensors[name], order, axis=axis)
            if name.endswith("up_proj.weight"):
                value = value * factor[:, None]
            elif name.endswith("down_proj.weight"):
                value = value / factor[None, :]
            tensors[name] = value
    return replace(model, tensors=tensors)


def heads_shuffled(model: Small, rng: np.random.Generator) -> Small:
    """Attention heads in another order in every layer."""
    tensors = dict(model.tensors)
    for layer in range(model.layers):
        order = rng.permutation(model.heads)
        for name in [n for n in tensors if _layer(n) == layer and ("attn" in n)]:
            value = tensors[name]
            if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight", "attn.c_proj.weight")):
                tensors[name] = _blocks(value, order, axis=0)
            elif name.endswith("o_proj.weight"):
                tensors[name] = _blocks(value, order, axis=1)
            elif "c_attn" in name:
                thirds = np.split(value, 3, axis=-1)
                tensors[name] = np.concatenate([_blocks(third, order, axis=value.ndim - 1) for third in thirds], axis=-1)
    return replace(model, tensors=tensors)


def _blocks(value: Values, order: NDArray[np.intp], axis: int) -> Values:
    return np.concatenate([np.split(value, len(order), axis=axis)[block] for block in order], axis=axis)


def layer_dropped(model: Small, rng: np.random.Generator) -> Small:
    """One layer out of the middle taken away, the later ones renumbered."""
    del rng
    gone = model.layers // 2
    tensors: Tensors = {}
    for name, value in model.tensors.items():
        layer = _layer(name)
        if layer != gone:
            tensors[name.replace(f".{layer}.", f".{layer - 1}.", 1) if layer > gone else name] = value
    key = "num_hidden_layers" if model.kind == "llama" else "n_layer"
    return replace(model, tensors=tensors, config=model.config | {key: model.layers - 1})


def residual_turned(model: Small, rng: np.random.Generator) -> Small:
    """The residual stream of a llama turned by a random rotation, gains folded in first: it computes what it did."""
    width = int(model.config["hidden_size"])
    turn = np.linalg.qr(rng.standard_normal((width, width)))[0].astype(np.float32)
    tensors = dict(model.tensors)
    for name, value in model.tensors.items():
        layer = _layer(name)
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            tensors[name] = turn.T @ value
        elif value.ndim > 1:
            gain = "" if layer < 0 else "post_attention_layernorm" if "mlp" in name else "input_layernorm"
            scale = model.tensors[f"model.layers.{layer}.{gain}.weight"] if gain else np.float32(1)
            tensors[name] = ((value * scale) @ turn).astype(np.float32)
        elif layer >= 0:
            tensors[name] = np.ones_like(value)
    return replace(model, tensors=tensors)


def width_cut(share: float) -> Change:
    """Some residual dimensions of a llama taken out everywhere."""

    def change(model: Small, rng: np.random.Generator) -> Small:
        width = int(model.config["hidden_size"])
        kept = np.sort(rng.permutation(width)[: int(width * (1 - share))])
        tensors: Tensors = {}
        for name, value in model.tensors.items():
            axis = 0 if value.ndim == 1 or name.endswith(("o_proj.weight", "down_proj.weight")) else 1
            tensors[name] = np.take(value, kept, axis=axis)
        return replace(model, tensors=tensors, config=model.config | {"hidden_size": len(kept)})

    return change


def names_changed(model: Small, rng: np.random.Generator) -> Small:
    """Tensors under names that say nothing."""
    del rng
    return replace(model, tensors={f"block_{row:03d}.w": value for row, value in enumerate(model.tensors.values())})


def chained(*changes: Change) -> Change:
    """Several changes, one after the other."""

    def change(model: Small, rng: np.random.Generator) -> Small:
        for each in changes:
            model = each(model, rng)
        return model

    return change


def averaged(first: Small, second: Small, weight: float) -> Small:
    """(1 − weight) · first + weight · second."""
    tensors = {
        name: ((1 - weight) * value + weight * second.tensors[name]).astype(np.float32)
        for name, value in first.tensors.items()
    }
    return replace(first, tensors=tensors)


def vocabulary_changed(*, added: int, shuffled: bool) -> Change:
    """New tokens with rows of their own at the end and, if wished, all tokens under other ids."""

    def change(model: Small, rng: np.random.Generator) -> Small:
        name = next(n for n in model.tensors if n.endswith(("embed_tokens.weight", "wte.weight")))
        old = model.tensors[name]
        fresh = np.float32(old.std()) * rng.standard_normal((added, old.shape[1]), dtype=np.float32)
        order = rng.permutation(len(old) + added) if shuffled else np.arange(len(old) + added)
        rows = np.concatenate([old, fresh])[order]
        config = model.config | {"vocab_size": len(rows)}
        return replace(model, tensors=model.tensors | {name: rows}, config=config | {"_order": order.tolist()})

    return change


def write_with_vocabulary(model: Small, folder: Path) -> Path:
    """Write a checkpoint whose vocabulary was changed, with the tokenizer to match."""
    order = model.config.pop("_order")
    found = json.loads((model.folder / "tokenizer.json").read_text("utf-8"))
    strings = {row: token for token, row in found["model"]["vocab"].items()}
    spelled = [strings.get(old, f"<new-{old}>") for old in order]
    found["model"]["vocab"] = {token: row for row, token in enumerate(spelled)}
    for added in found.get("added_tokens", []):
        added["id"] = found["model"]["vocab"][added["content"]]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(found), "utf-8")
    return write_small(model, folder)
