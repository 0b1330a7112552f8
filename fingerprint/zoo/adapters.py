"""Low-rank adapters (Hu et al. 2021): W + (α/r)·B·A with W frozen, and fused into W at the end.

Written as a parametrisation of every matrix of the layers, so it fits any architecture.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

#: α: how far the adapters may turn the weights; the factor in front of B·A is α/r.
SCALE = 16.0


class _LowRank(nn.Module):
    def __init__(self, rows: int, columns: int, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(rank, columns, generator=generator) / columns**0.5)
        self.b = nn.Parameter(torch.zeros(rows, rank))
        self._factor = SCALE / rank

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self._factor * (self.b @ self.a)


def adapted(network: nn.Module, rank: int, seed: int) -> nn.Module:
    """Freezes the network and puts an adapter on each matrix inside its layers; embeddings stay as they are."""
    generator = torch.Generator().manual_seed(seed)
    network.requires_grad_(requires_grad=False)
    for module in _with_matrix(network):
        rows, columns = cast("Tensor", module.weight).shape
        parametrize.register_parametrization(module, "weight", _LowRank(rows, columns, rank, generator))
    return network


def fused(network: nn.Module) -> nn.Module:
    """The same function with plain weights."""
    for module in list(network.modules()):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
    return network.requires_grad_(requires_grad=True)


def _with_matrix(network: nn.Module) -> list[nn.Module]:
    return [
        module
        for name, module in network.named_modules()
        if not isinstance(module, nn.Embedding)
        and name != "lm_head"
        and isinstance(weight := getattr(module, "weight", None), nn.Parameter)
        and weight.dim() == 2
    ]
