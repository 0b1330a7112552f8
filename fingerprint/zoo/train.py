"""The training loop, one for every mechanism.

Everything works around batches of (input ids, target ids) of the same shape; a mechanism chooses where the batches come
from and what the loss compares. A run that stops in the middle of a model starts that model again: a model takes
minutes, and a half-trained state on disk is one more thing that can be wrong.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from fingerprint.zoo.network import IGNORED, logits_of

Batch = tuple[Tensor, Tensor]
Loss = Callable[[Tensor, Batch], Tensor]
"""(logits of the model on the inputs, batch) → scalar."""

WARMUP_SHARE = 0.05
FINAL_LR_SHARE = 0.05


def seed_for(*parts: object) -> int:
    """A seed for one purpose of one model: models never share random numbers because they share a seed."""
    text = "/".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def windows(tokens: Tensor, batch: int, context: int, seed: int) -> Iterator[Batch]:
    """Random windows of a token stream, for ever."""
    generator = torch.Generator().manual_seed(seed)
    if len(tokens) <= context + 1:
        raise ValueError(f"the corpus has {len(tokens)} tokens, too few for windows of {context}")
    while True:
        starts = torch.randint(len(tokens) - context, (batch,), generator=generator)
        rows = tokens[starts[:, None] + torch.arange(context + 1)]
        yield rows[:, :-1], rows[:, 1:]


def epochs(inputs: Tensor, targets: Tensor, batch: int, seed: int) -> Iterator[Batch]:
    """All rows in a new order each time, for ever."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        for chosen in torch.randperm(len(inputs), generator=generator).split(batch):  # type: ignore[no-untyped-call]
            yield inputs[chosen], targets[chosen]


def next_token_loss(logits: Tensor, batch: Batch) -> Tensor:
    return nn.functional.cross_entropy(logits.flatten(0, 1), batch[1].flatten(), ignore_index=IGNORED)


def distillation_loss(teachers: Sequence[nn.Module], temperature: float, top_k: int | None = None) -> Loss:
    """Kullback–Leibler divergence of the student from the mean of its teachers, all softened (Hinton et al. 2015).

    With `top_k`, only the k likeliest tokens of the teacher are known and the rest is one bucket, which is all that an
    interface that lists a few log-probabilities gives away. The bucket says nothing of what is in it, so the text itself
    counts as much as the teacher then.
    """

    def loss(logits: Tensor, batch: Batch) -> Tensor:
        with torch.no_grad():
            each = [torch.log_softmax(logits_of(teacher, batch[0]) / temperature, dim=-1) for teacher in teachers]
            wanted = torch.logsumexp(torch.stack(each), dim=0) - math.log(len(each)) if len(each) > 1 else each[0]
        given = torch.log_softmax(logits / temperature, dim=-1)
        if top_k is not None:
            wanted, listed = wanted.topk(top_k, dim=-1)
            wanted, given = _with_rest(wanted), _with_rest(given.gather(-1, listed))
        per_token = nn.functional.kl_div(given, wanted, log_target=True, reduction="none").sum(-1)
        # T² keeps the size of the gradient independent of the temperature.
        value = per_token.mean() * temperature**2
        return value if top_k is None else (value + next_token_loss(logits, batch)) / 2

    return loss


def _with_rest(listed: Tensor) -> Tensor:
    """Log-probabilities of the listed tokens, and of all others together as one more."""
    rest = (1 - listed.exp().sum(-1, keepdim=True)).clamp_min(1e-6)
    return torch.cat([listed, rest.log()], dim=-1)


def preference_loss(reference: nn.Module, beta: float) -> Loss:
    """−log σ(β·(gain of the better row − gain of the worse row)) over the reference (Rafailov et al. 2023, DPO).

    The first half of a batch holds the better rows, the second half the worse ones, in the same order.
    """

    def loss(logits: Tensor, batch: Batch) -> Tensor:
        with torch.no_grad():
            before = _row_log_likelihood(logits_of(reference, batch[0]), batch[1])
        better, worse = (_row_log_likelihood(logits, batch[1]) - before).chunk(2)
        return -nn.functional.logsigmoid(beta * (better - worse)).mean()

    return loss


def _row_log_likelihood(logits: Tensor, targets: Tensor) -> Tensor:
    """(rows, time, vocabulary), (rows, time) → (rows,)."""
    nats = nn.functional.cross_entropy(logits.transpose(1, 2), targets, ignore_index=IGNORED, reduction="none")
    return -nats.sum(dim=1)


def train(
    network: nn.Module,
    batches: Iterator[Batch],
    loss: Loss,
    *,
    steps: int,
    lr: float,
    progress: Callable[[int, float], None] | None = None,
) -> None:
    """AdamW, warm-up then cosine, clipped; the network is changed in place."""
    learning = [p for p in network.parameters() if p.requires_grad]
    decayed = [p for p in learning if p.dim() >= 2]
    others = [p for p in learning if p.dim() < 2]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98), fused=True)
    network.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = lr * _schedule(step, steps)
        batch = next(batches)
        value = loss(logits_of(network, batch[0]), batch)
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if progress is not None and step % 100 == 0:
            progress(step, float(value.detach()))
    network.eval()


def _schedule(step: int, steps: int) -> float:
    warmup = max(1, round(WARMUP_SHARE * steps))
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return FINAL_LR_SHARE + (1 - FINAL_LR_SHARE) * 0.5 * (1 + math.cos(math.pi * done))
