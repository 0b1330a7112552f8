"""How a model comes to be: one function per mechanism, from a `Workbench` to a network.

`grow` is the table of contents; what changes weights without learning is in `surgery`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from fingerprint.zoo.adapters import adapted, fused
from fingerprint.zoo.corpus import Split, load_tokenizer, read_corpus, start_id, stream
from fingerprint.zoo.network import IGNORED, load_network, new_network, sample
from fingerprint.zoo.recipe import Recipe
from fingerprint.zoo.surgery import merged, pruned, quantized, tasks_added, without_layers
from fingerprint.zoo.tables import (
    TRAINED,
    AddTasks,
    Continue,
    DistillLogits,
    DistillText,
    DropLayers,
    Finetune,
    Merge,
    Model,
    Prefer,
    Pretrain,
    Prune,
    Quantize,
)
from fingerprint.zoo.train import (
    Batch,
    distillation_loss,
    epochs,
    next_token_loss,
    preference_loss,
    seed_for,
    train,
    windows,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenizers import Tokenizer as FastTokenizer

TOKENS = ".tokens"
SAMPLES_AT_ONCE = 1024
OPENING_TOKENS = 8
#: Own samples of a preference run at most; more steps than these allow see them again.
REJECTED = 512
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

    def tokens(self, corpus: str, tokenizer: FastTokenizer) -> Tensor:
        """The training part of a corpus as token ids; kept in the zoo's folder, because many models read the same."""
        chosen = self.recipe.corpora[corpus].model_dump_json()
        name = hashlib.sha256(f"{chosen}\n{tokenizer.to_str()}".encode()).hexdigest()[:24]
        path = self.zoo_dir / TOKENS / f"{name}.npy"
        if not path.is_file():
            path.parent.mkdir(exist_ok=True)
            partial = path.with_suffix(f".{os.getpid()}.partial")
            with partial.open("wb") as file:
                np.save(file, stream(self.split(corpus).train, tokenizer))
            partial.replace(path)
        return torch.from_numpy(np.load(path)).long()

    def context(self, model_id: str) -> int:
        return self.recipe.architectures[self.recipe.architecture_of(model_id)].context

    def seed(self, model: Model, purpose: str) -> int:
        own = model.seed if isinstance(model, TRAINED) else 0
        return seed_for(self.recipe.seed, model.id, own, purpose)

    def fresh(self, model: Pretrain | DistillLogits | DistillText) -> nn.Module:
        shape = self.recipe.architectures[model.architecture]
        vocab = self.tokenizer.get_vocab_size()
        same_as = None if isinstance(model, Pretrain) else model.init_of
        seed = self.seed(model if same_as is None else self.recipe.get(same_as), "init")
        return new_network(shape, vocab, start_id(self.tokenizer), seed)


def grow(model: Model, bench: Workbench) -> nn.Module:
    """The network of one model of a recipe whose parents are finished."""
    if isinstance(model, TRAINED):
        return _learn(model, bench)
    parents = [bench.parent(parent) for parent in model.parents]
    match model:
        case Quantize():
            return quantized(parents[0], model.bits)
        case Prune():
            return pruned(parents[0], model.share)
        case DropLayers():
            return without_layers(parents[0], model.layers)
        case Merge():
            return merged(parents[0], parents[1], model.weight)
        case AddTasks():
            return tasks_added(parents[0], parents[1:], model.weight)


def _learn(model: Pretrain | DistillLogits | DistillText | Finetune | Continue | Prefer, bench: Workbench) -> nn.Module:
    match model:
        case Prefer():
            return _prefer(model, bench)
        case DistillLogits():
            return _distill_logits(model, bench)
        case DistillText():
            return _distill_text(model, bench)
        case Pretrain():
            network = bench.fresh(model)
        case Finetune(lora_rank=int(rank)):
            adapters = adapted(bench.parent(model.parent), rank, bench.seed(model, "init"))
            return fused(_learn_corpus(model, bench, adapters))
        case Finetune() | Continue():
            network = bench.parent(model.parent)
    return _learn_corpus(model, bench, network)


def steps_of(model: Model, context: int) -> int:
    """Optimiser steps that the training tokens of a model make, at least one; 0 where nothing is trained."""
    return -(-model.tokens // (model.batch * context)) if isinstance(model, TRAINED) else 0


def _learn_corpus(model: Pretrain | Finetune | Continue, bench: Workbench, network: nn.Module) -> nn.Module:
    context = bench.context(model.id)
    tokens = bench.tokens(model.corpus, bench.tokenizer)
    batches = windows(tokens, model.batch, context, bench.seed(model, "batches"))
    steps = steps_of(model, context)
    train(network, batches, next_token_loss, steps=steps, lr=model.lr, progress=bench.progress)
    return network


def _distill_logits(model: DistillLogits, bench: Workbench) -> nn.Module:
    context = bench.context(model.id)
    tokens = bench.tokens(model.corpus, bench.tokenizer)
    batches = windows(tokens, model.batch, context, bench.seed(model, "batches"))
    teachers = [bench.parent(teacher) for teacher in model.parents]
    loss = distillation_loss(teachers, model.temperature, model.top_k)
    network = bench.fresh(model)
    train(network, batches, loss, steps=steps_of(model, context), lr=model.lr, progress=bench.progress)
    return network


def _distill_text(model: DistillText, bench: Workbench) -> nn.Module:
    context = bench.context(model.id)
    share = model.sampled_tokens // len(model.parents)
    pairs = [pair for teacher in model.parents for pair in _sampled_text(model, teacher, share, bench)]
    inputs, targets = _rows(pairs, bench.tokenizer, context)
    batches = epochs(inputs, targets, model.batch, bench.seed(model, "batches"))
    network = bench.fresh(model)
    train(network, batches, next_token_loss, steps=steps_of(model, context), lr=model.lr, progress=bench.progress)
    return network


def _sampled_text(model: DistillText, teacher_id: str, wanted: int, bench: Workbench) -> list[tuple[str, str]]:
    """(opening, continuation) pairs: half of the openings are empty, unless the model names a corpus for all."""
    tokenizer = load_tokenizer(bench.zoo_dir / teacher_id)
    teacher, length = bench.parent(teacher_id), bench.context(teacher_id)
    generator = torch.Generator().manual_seed(bench.seed(model, f"samples of {teacher_id}"))
    corpus = bench.tokens(model.openings or model.corpus, tokenizer)
    start = start_id(tokenizer)
    pairs: list[tuple[str, str]] = []
    while len(pairs) * length < wanted:
        count = min(SAMPLES_AT_ONCE, -(-wanted // length) - len(pairs))
        # Both kinds come from one batch each, so a small number of samples has both too.
        empty = 0 if model.openings is not None else count // 2
        for rows, opening in ((empty, 1), (count - empty, OPENING_TOKENS)):
            if rows == 0:
                continue
            at = torch.randint(len(corpus) - opening, (rows, 1), generator=generator)
            openings = torch.full((rows, 1), start) if opening == 1 else corpus[at + torch.arange(opening)]
            written = sample(teacher, openings, length, model.temperature, generator).tolist()
            pairs += [(_text(tokenizer, row[:opening]), _text(tokenizer, row[opening:])) for row in written]
    return pairs


def _prefer(model: Prefer, bench: Workbench) -> nn.Module:
    """Each row has an opening of the corpus; its own continuation is better than the one the parent writes."""
    network, frozen = bench.parent(model.parent), bench.parent(model.parent)
    context = bench.context(model.id)
    tokens = bench.tokens(model.corpus, bench.tokenizer)
    generator = torch.Generator().manual_seed(bench.seed(model, "samples"))
    # Two rows are read for each that counts.
    steps = -(-steps_of(model, context) // 2)
    count = min(REJECTED, steps * model.batch)
    rows = tokens[torch.randint(len(tokens) - context, (count, 1), generator=generator) + torch.arange(context)]
    own = sample(frozen, rows[:, :OPENING_TOKENS], context, 1.0, generator)

    def batches() -> Iterator[Batch]:
        for better, worse in epochs(rows, own, model.batch, bench.seed(model, "batches")):
            both = torch.cat([better, worse])
            targets = both[:, 1:].clone()
            targets[:, : OPENING_TOKENS - 1] = IGNORED
            yield both[:, :-1], targets

    loss = preference_loss(frozen, model.beta)
    train(network, batches(), loss, steps=steps, lr=model.lr, progress=bench.progress)
    return network


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
