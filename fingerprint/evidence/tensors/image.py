"""The output image: whether one side's log-probabilities lie in the column space of the other side's output head.

Needs long lists of log-probabilities from the one side and the weights of the other: more listed tokens than the
residual stream is wide. A copy, a quantised model and an adapter that leaves the head alone leave nothing over;
a model with a head of its own does, and so does a distilled one: this tells descent from learning without the
suspect's weights. No p-value: log-probabilities of another head leave what chance leaves (all but width + 1 of their
dimensions; simulated in the tests). That logits fill only as many dimensions as the residual stream has: Finlayson et al.
2024, "Logits of API-protected LLMs leak proprietary information".
"""

from __future__ import annotations

import numpy as np

from fingerprint.evidence.base import Evidence, Skipped
from fingerprint.evidence.case import Case
from fingerprint.evidence.tensors.pairing import gather, sampled
from fingerprint.models.tokens import rows_by_bytes
from fingerprint.recording import Recording
from fingerprint.stats.weights_image import image_residual
from fingerprint.tensors.base import Values
from fingerprint.tensors.model import Weights
from fingerprint.tensors.roles import EMBED, HEAD

NAME = "output_image"
_CONTEXTS, _FEWEST = 64, 8


def output_image(case: Case, reference: Weights) -> Evidence | Skipped:
    """The suspect's log-probabilities against the reference's head; the same for every control that lists enough."""
    part = reference.parts.get((-1, HEAD)) or reference.parts.get((-1, EMBED))
    if part is None or reference.checkpoint.vocabulary is None:
        return Skipped(method=NAME, reason="the reference's output head or its tokens are unknown")
    rows = rows_by_bytes(reference.checkpoint.vocabulary)
    longest = max((len(d.tokens) for d in case.suspect.distributions), default=0)
    if longest <= part.width + 1:
        return Skipped(
            method=NAME,
            reason=f"{case.suspect.model.name} lists {longest} log-probabilities; more than {part.width + 1} are needed",
        )
    wanted = sorted({row for token, row in rows.items() if row < part.count and token})
    head = dict(zip(wanted, gather(part, np.array(wanted)), strict=True))
    found = _residuals(case.suspect, rows, head, part.width)
    if len(found) < _FEWEST:
        return Skipped(
            method=NAME, reason=f"{len(found)} contexts list enough tokens of the reference, {_FEWEST} are needed"
        )
    controls = {
        label: float(np.median(values))
        for label, other in zip(case.labels, case.others, strict=True)
        if len(values := _residuals(other, rows, head, part.width)) >= _FEWEST
    }
    value = float(np.median(found))
    low, high = (float(np.quantile(found, share)) for share in (0.025, 0.975))
    return Evidence(
        method=NAME,
        title="Log-probabilities outside the reference's output image",
        access="topk",
        statistic=value,
        pvalue=None,
        effect=value,
        interval=(low, high),
        n=len(found),
        note="share of the log-probabilities that the reference's output head cannot make: near 0 for a copy or a model "
        "with the same head, large for a model with a head of its own, a distilled one too; the interval is over contexts",
        controls=controls,
        features={"image_residual": value},
    )


def _residuals(side: Recording, rows: dict[str, int], head: dict[int, Values], width: int) -> list[float]:
    long = [d for d in side.distributions if len(d.tokens) > width + 1 and not d.draw]
    found = []
    for place in sampled(len(long), _CONTEXTS) if long else ():
        context = long[int(place)]
        known = [
            (value, head[row])
            for token, value in zip(context.tokens, context.logprobs, strict=True)
            if (row := rows.get(token)) in head
        ]
        if len(known) > width + 1 + width // 4:
            found.append(image_residual(np.array([value for value, _ in known]), np.stack([row for _, row in known])))
    return found
