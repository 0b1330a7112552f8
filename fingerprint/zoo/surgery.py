"""What changes a network without teaching it anything: quantising, pruning, leaving out layers, merging.

Every function gives a new network and leaves the ones it was given alone.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from fingerprint.zoo.network import network_of

BLOCK = 32
#: Where the layers of the known architectures are: the name in front of the number, and the field that counts them.
_LAYER = re.compile(r"^(model\.layers|transformer\.h)\.(\d+)\.")


def quantized(network: nn.Module, bits: int) -> nn.Module:
    """Symmetric round-to-nearest in blocks of 32 weights with one scale each, as the common 8- and 4-bit formats do."""
    top = 2 ** (bits - 1) - 1

    def round_blocks(weight: Tensor) -> Tensor:
        flat = weight.flatten()
        blocks = nn.functional.pad(flat, (0, -len(flat) % BLOCK)).view(-1, BLOCK)
        scale = (blocks.abs().amax(dim=1, keepdim=True) / top).clamp_min(1e-12)
        rounded: Tensor = ((blocks / scale).round() * scale).flatten()[: len(flat)].view_as(weight)
        return rounded

    return _matrices(network, round_blocks)


def pruned(network: nn.Module, share: float) -> nn.Module:
    """Sets the smallest `share` of each matrix to zero."""

    def drop(weight: Tensor) -> Tensor:
        magnitude = weight.abs().flatten()
        cut = magnitude.kthvalue(max(1, round(share * len(magnitude)))).values
        return weight * (weight.abs() > cut)

    return _matrices(network, drop)


def merged(first: nn.Module, second: nn.Module, weight: float) -> nn.Module:
    """Linear interpolation of two networks with the same base."""
    result = copy.deepcopy(first)
    others = dict(second.named_parameters())
    with torch.no_grad():
        for name, parameter in result.named_parameters():
            parameter.lerp_(others[name], weight)
    return result


def _matrices(network: nn.Module, change: Callable[[Tensor], Tensor]) -> nn.Module:
    result = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in result.parameters():
            if parameter.dim() >= 2:
                parameter.copy_(change(parameter))
    return result


def tasks_added(base: nn.Module, tuned: Sequence[nn.Module], weight: float) -> nn.Module:
    """What several fine-tunes learned, in one network: base + weight · Σ (tuned − base) (Ilharco et al. 2023)."""
    result = copy.deepcopy(base)
    start = dict(base.named_parameters())
    with torch.no_grad():
        for other in tuned:
            theirs = dict(other.named_parameters())
            for name, parameter in result.named_parameters():
                parameter.add_(theirs[name] - start[name], alpha=weight)
    return result


def without_layers(network: nn.Module, dropped: Sequence[int]) -> nn.Module:
    """The network with whole layers left out; the ones that stay are numbered anew.

    Raises:
        ValueError: no layer would stay, or one is named that is not there.

    """
    config = cast("dict[str, Any]", cast("Any", network).config.to_dict())
    field = "n_layer" if "n_layer" in config else "num_hidden_layers"
    kept = [number for number in range(int(config[field])) if number not in dropped]
    if not kept or max(dropped) >= config[field]:
        raise ValueError(f"layers {list(dropped)} cannot be dropped from a network of {config[field]} layers")
    config[field] = len(kept)
    if config.get("layer_types"):
        config["layer_types"] = [config["layer_types"][number] for number in kept]
    place = {number: position for position, number in enumerate(kept)}
    weights = {}
    for name, tensor in network.state_dict().items():
        found = _LAYER.match(name)
        if found is None:
            weights[name] = tensor
        elif int(found[2]) in place:
            weights[f"{found[1]}.{place[int(found[2])]}.{name[found.end() :]}"] = tensor
    result = network_of(config)
    result.load_state_dict(weights)
    return result.eval()
