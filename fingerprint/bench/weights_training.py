"""Models of the weights benchmark that have to be trained: tiny twins of one configuration, and long continuations.

All share configuration, tokenizer and data with each other; only the random numbers of their start differ, and for
one stratum not even those.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fingerprint import shipped
from fingerprint.zoo.recipe import Architecture, Corpus

if TYPE_CHECKING:
    from torch import Tensor, nn

Say = Callable[[str], None]
#: Optimiser steps of a tiny model's own training; continuations are counted in these.
STEPS = 600
_CONTEXT, _BATCH, _LR = 128, 4, 3e-3
_SHAPE = Architecture.model_validate(
    {"class": "llama", "hidden": 64, "layers": 2, "heads": 4, "ffn": 176, "context": _CONTEXT}
)
#: Trained from the random numbers of tiny-0, in another order of the text.
RESTARTED = "restarted"
#: Another text than the first: the harder continuation.
_CORPORA = {"first": "speeches_sotu.txt.zst", "other": "scripture_web_bible.txt.zst"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A trained model, its parent's name ("" for none), and how many times the parent's steps it was trained on."""

    name: str
    folder: Path
    parent: str
    times: float


def train_all(data: Path, work: Path, twins: int, say: Say) -> list[Trained]:
    """Tiny twins, and continuations of the first two: 0.1 and 1 times their own training, on two texts, of one 10 times.

    A model whose folder is there is not trained again.
    """
    roots = [_model(f"tiny-{number}", "", 1.0, data, work, say) for number in range(2)]
    wanted = [(root, corpus, times) for root in roots for times in (0.1, 1.0) for corpus in ("first", "other")]
    children = [
        _model(f"{root.name}-{corpus}-x{times:g}", root.name, times, data, work, say)
        for root, corpus, times in [*wanted, (roots[0], "first", 10.0)]
    ]
    again = _model(RESTARTED, "", 1.0, data, work, say)
    others = [_model(f"tiny-{number}", "", 1.0, data, work, say) for number in range(2, twins)]
    return [*roots, *others, *children, again]


def _model(name: str, parent: str, times: float, data: Path, work: Path, say: Say) -> Trained:
    folder = work / name
    made = Trained(name=name, folder=folder, parent=parent, times=times)
    if (folder / "config.json").is_file():
        return made
    import torch

    from fingerprint.zoo.corpus import load_tokenizer, start_id
    from fingerprint.zoo.network import load_network, new_network, save_network
    from fingerprint.zoo.train import next_token_loss, seed_for, train, windows

    teacher = shipped.root() / "models" / "teacher"
    tokenizer = load_tokenizer(teacher)
    network: nn.Module
    if parent:
        network = load_network(work / parent)
    else:
        start = seed_for("weights", "tiny-0" if name == RESTARTED else name, "init")
        network = new_network(_SHAPE, tokenizer.get_vocab_size(), start_id(tokenizer), start)
    corpus = name.split("-")[2] if parent else "first"
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        batches = windows(_tokens(data, corpus, teacher), _BATCH, _CONTEXT, seed_for("weights", name, "batches"))
        train(network, batches, next_token_loss, steps=round(STEPS * times), lr=_LR)
    finally:
        torch.set_num_threads(before)
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(teacher / file, folder / file)
    save_network(network, folder)
    say(f"trained {name}: {round(STEPS * times)} steps")
    return made


@cache
def _tokens(data: Path, corpus: str, teacher: Path) -> Tensor:
    import torch

    from fingerprint.zoo.corpus import load_tokenizer, read_corpus, stream

    text = read_corpus(Corpus(file=_CORPORA[corpus], licence="public domain"), data).train
    return torch.from_numpy(stream(text[:4_000_000], load_tokenizer(teacher))).long()
