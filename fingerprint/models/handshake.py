"""The handshake: before any work, a backend proves on one short prompt that it does what it declares."""

from __future__ import annotations

import math

from fingerprint.errors import ModelBroken
from fingerprint.models.base import Backend, DistributionRequest, SampleRequest, ScoreRequest
from fingerprint.recording import Prompt

_PROMPT = Prompt(id="handshake", text="The first thing I noticed was", channel="raw")


def shake_hands(backend: Backend) -> None:
    """Ask for one of everything declared and check its form.

    Raises:
        ModelBroken: probabilities that do not add up, NaN, a wrong count, or a score that is no log-likelihood.

    """
    name, can = backend.info.name, backend.capabilities
    prompt = backend.asked(_PROMPT)
    if can.samples:
        request = SampleRequest(prompt=prompt, draw=0, max_tokens=2, temperature=1.0, seed=0)
        if len(backend.sample([request])) != 1:
            raise ModelBroken(f"The model {name} does not give one answer to one request.")
    if can.topk:
        at = (len(prompt.text.encode()),)
        rows = backend.distributions([DistributionRequest(prompt=prompt, positions=at, draw=0, topk=can.topk)])
        if len(rows) != 1 or len(rows[0]) != 1:
            raise ModelBroken(f"The model {name} does not give one distribution for one position.")
        row = rows[0][0]
        total = sum(math.exp(value) for value in row.logprobs) + row.tail
        if not math.isfinite(total) or abs(total - 1) > 0.02 or len(row.tokens) != len(row.logprobs):
            raise ModelBroken(f"The next-token probabilities of the model {name} add up to {total:.3g}, not to 1.")
    if can.scores:
        scored = backend.score([ScoreRequest(prompt=prompt, text=" the light.")])[0]
        if not math.isfinite(scored.logprob) or scored.logprob > 0 or scored.bytes != len(b" the light."):
            raise ModelBroken(f"The model {name} scores a text with {scored.logprob:.3g}, which is no log-likelihood.")
