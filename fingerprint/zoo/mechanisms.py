"""How a model comes to be: one function per mechanism, from a `Workbench` to a network.

`grow` is the table of contents.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fingerprint.zoo.corpus import Split, load_tokenizer, read_corpus, start_id, stream
from fingerprint.zoo.network import IGNORED, load_network, new_network, sample
from fingerprint.zoo.recipe import (
    TRAINED,
    DistillLogits,
    DistillText,
    Finetune,
    Merge,
    Model,
    Pretrain,
    Prune,
    Quantize,
    Recipe,
)
from fingerprint.zoo.train import distillation_loss, epochs, next_token_loss, seed_for, train, windows

if TYPE_CHECKING:
    from tokenizers import Tokenizer as FastTokenizer

SAMPLES_AT_ONCE = 128
OPENING_TOKENS = 8
BLOCK = 32
Progress = Callable[[int, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workbench:
    """What a mechanism may touch: the recipe, the texts, and the finished models."""

    recipe: Recipe
    data_dir: Path
    zoo_dir: Path
    tokenizer: FastTokenizer
    progress: Progress | None = None

    def parent(self, model_id: str) -> nn.Module:
        return load_network(self.zoo_dir / model_id)

    def split(self, corpus: str) -> Split:
        return read_corpus(self.recipe.corpora[corpus], self.data_dir)

    def tokens(self, text: str) -> Tensor:
        return torch.from_numpy(stream(text, self.tokenizer)).long()

    def context(self, model_id: str) -> int:
        return self.recipe.architectures[self.recipe.architecture_of(model_id)].context

    def seed(self, model: Model, purpose: str) -> int:
        own = model.seed if isinstance(model, TRAINED) else 0
        return seed_for(self.recipe.seed, model.id, own, purpose)

    def fresh(self, model: Pretrain | DistillLogits | DistillText) -> nn.Module:
        shape = self.recipe.architectures[model.architecture]
        vocab = self.tokenizer.get_vocab_size()
        return new_network(shape, vocab, start_id(self.tokenizer), self.seed(model, "init"))


def grow(model: Model, bench: Workbench) -> nn.Module:  # noqa: PLR0911  # one return per mechanism
    """The network of one model of a recipe whose parents are finished."""
    match model:
        case Pretrain():
            return _learn_corpus(model, bench, bench.fresh(model))
        case Finetune():
            return _learn_corpus(model, bench, bench.parent(model.parent))
        case DistillLogits():
            return _distill_logits(model, bench)
        case DistillText():
            return _distill_text(model, bench)
        case Quantize():
            return quantized(bench.parent(model.parent), model.bits)
        case Prune():
            return pruned(bench.parent(model.parent), model.share)
        case Merge():
            first, second = (bench.parent(parent) for parent in model.of)
            return merged(first, second, model.weight)


def steps_of(model: Model, context: int) -> int:
    """Optimiser steps that the training tokens of a model make, at least one; 0 where nothing is trained."""
    return -(-model.tokens // (model.batch * context)) if isinstance(model, TRAINED) else 0


def _learn_corpus(model: Pretrain | Finetune, bench: Workbench, network: nn.Module) -> nn.Module:
    context = bench.context(model.id)
    tokens = bench.tokens(bench.split(model.corpus).train)
    batches = windows(tokens, model.batch, context, bench.seed(model, "batches"))
    steps = steps_of(model, context)
    train(network, batches, next_token_loss, steps=steps, lr=model.lr, progress=bench.progress)
    return network


def _distill_logits(model: DistillLogits, bench: Workbench) -> nn.Module:
    context = bench.context(model.id)
    tokens = bench.tokens(bench.split(model.corpus).train)
    batches = windows(tokens, model.batch, context, bench.seed(model, "batches"))
    loss = distillation_loss(bench.parent(model.parent), model.temperature)
    network = bench.fresh(model)
    train(network, batches, loss, steps=steps_of(model, context), lr=model.lr, progress=bench.progress)
    return network


def _distill_text(model: DistillText, bench: Workbench) -> nn.Module:
    context = bench.context(model.id)
    pairs = _sampled_text(model, bench)
    inputs, targets = _rows(pairs, bench.tokenizer, context)
    batches = epochs(inputs, targets, model.batch, bench.seed(model, "batches"))
    network = bench.fresh(model)
    train(network, batches, next_token_loss, steps=steps_of(model, context), lr=model.lr, progress=bench.progress)
    return network


def _sampled_text(model: DistillText, bench: Workbench) -> list[tuple[str, str]]:
    """(opening, continuation) pairs: half of the openings are empty, half are a few tokens of the corpus."""
    tokenizer = load_tokenizer(bench.zoo_dir / model.parent)
    teacher, length = bench.parent(model.parent), bench.context(model.parent)
    generator = torch.Generator().manual_seed(bench.seed(model, "samples"))
    corpus = torch.from_numpy(stream(bench.split(model.corpus).train, tokenizer)).long()
    start = start_id(tokenizer)
    pairs: list[tuple[str, str]] = []
    while len(pairs) * length < model.sampled_tokens:
        if len(pairs) % (2 * SAMPLES_AT_ONCE) == 0:
            openings = torch.full((SAMPLES_AT_ONCE, 1), start)
        else:
            at = torch.randint(len(corpus) - OPENING_TOKENS, (SAMPLES_AT_ONCE, 1), generator=generator)
            openings = corpus[at + torch.arange(OPENING_TOKENS)]
        rows = sample(teacher, openings, length, model.temperature, generator).tolist()
        cut = openings.shape[1]
        pairs += [(_text(tokenizer, row[:cut]), _text(tokenizer, row[cut:])) for row in rows]
    return pairs


def _text(tokenizer: FastTokenizer, ids: list[int]) -> str:
    # The start token is kept: it is spelled alike in every tokenizer here, so a student learns where texts begin.
    return str(tokenizer.decode(ids, skip_special_tokens=False))


def _rows(pairs: list[tuple[str, str]], tokenizer: FastTokenizer, context: int) -> tuple[Tensor, Tensor]:
    """One row per sample; only the teacher's continuation is a target, never the opening or the padding."""
    start = start_id(tokenizer)
    inputs = torch.full((len(pairs), context), start)
    targets = torch.full((len(pairs), context), IGNORED)
    openings = tokenizer.encode_batch([opening for opening, _ in pairs])
    continuations = tokenizer.encode_batch([continuation for _, continuation in pairs])
    for row, (opening, continuation) in enumerate(zip(openings, continuations, strict=True)):
        ids = torch.tensor([*opening.ids, *continuation.ids][: context + 1])
        inputs[row, : len(ids) - 1] = ids[:-1]
        targets[row, : len(ids) - 1] = ids[1:]
        targets[row, : len(opening.ids) - 1] = IGNORED
    return inputs, targets


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
