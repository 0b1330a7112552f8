"""Any causal language model of transformers, asked in batches.

Distributions and scores use right padding, which no causal model can see; sampling uses left padding and
explicit positions where the model takes them, and batches of equal length where it does not. A tensor
over the whole vocabulary never outlives its batch.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from fingerprint.canonical import digest
from fingerprint.errors import ModelBroken
from fingerprint.models.base import Capabilities, DistributionRequest, Request, SampleRequest, ScoreRequest
from fingerprint.models.sketch import sketch_tensors
from fingerprint.models.tokens import token_strings
from fingerprint.recording import END, Distribution, ModelInfo, Prompt, Sample, Score, TensorSketch

_LOGIT_BUDGET = 1 << 26  # float32 numbers in one batch of logits: 256 MB
_MAX_BATCH = 32
#: Tables of learned positions, as architectures call them.
_POSITIONS = {"wpe", "embed_positions", "position_embeddings"}
#: What architectures and versions of transformers call the state between steps, newest name first.
_CACHE_NAMES = ("cache", "cache_params", "past_key_values")


class TorchModel:
    """A loaded model and tokenizer as a `Backend`."""

    def __init__(self, model: Any, tokenizer: Any, info: ModelInfo) -> None:
        self._model = model.eval()
        self._tokenizer = tokenizer
        self.info = info
        width = int(model.get_output_embeddings().weight.shape[0])
        self._strings = token_strings(tokenizer, width)
        self._most = _learned_positions(model)
        self._ends = {index for index, text in enumerate(self._strings) if text == END}
        self._pad = int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0)
        accepted = inspect.signature(model.forward).parameters
        self._takes_positions = "position_ids" in accepted
        self._takes_selection = "logits_to_keep" in accepted
        self._cache_name = next((name for name in _CACHE_NAMES if name in accepted), _CACHE_NAMES[-1])
        self._lengths: dict[tuple[str, str, str], int] = {}
        #: Requests in one batch at most; more is faster for models of a few megabytes.
        self.max_batch = _MAX_BATCH

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(topk=len(self._strings), inner_positions=True, scores=True, weights=True)

    @property
    def runtime(self) -> str:
        return f"transformers {self._model.dtype}".replace("torch.", "")

    def asked(self, prompt: Prompt) -> Prompt:
        has_template = bool(getattr(self._tokenizer, "chat_template", None))
        return prompt if has_template or prompt.channel == "raw" else replace(prompt, channel="raw")

    @property
    def model(self) -> Any:
        """The model itself, for measurements beside it."""
        return self._model

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer."""
        return self._tokenizer

    def length(self, prompt: Prompt) -> int:
        key = (prompt.channel, prompt.system, prompt.text)
        if key not in self._lengths:
            self._lengths[key] = len(self._encode(prompt))
        return self._lengths[key]

    def fits(self, request: Request) -> bool:
        if self._most is None:
            return True
        # An answer ends where the positions do; a text that is to be scored is read as a whole or not at all.
        text = self._plain_ids(request.text) if isinstance(request, ScoreRequest) else []
        return self.length(request.prompt) + len(text) <= self._most

    def batch_size(self, length: int) -> int:
        per_request = max(1, length) * len(self._strings)
        return max(1, min(self.max_batch, _LOGIT_BUDGET // per_request))

    @torch.inference_mode()
    def distributions(self, batch: Sequence[DistributionRequest]) -> list[list[Distribution]]:
        encoded = [self.token_places(request) for request in batch]
        places = [[place for _, place in found] for _, found in encoded]
        logits = self._logits_at([ids for ids, _ in encoded], places)
        topk = max((request.topk for request in batch), default=0)
        values, indices, tails = _top(logits, topk)
        answers: list[list[Distribution]] = []
        row = 0
        for request, (_, found) in zip(batch, encoded, strict=True):
            rows = []
            for at, _ in found:
                rows.append(self._distribution(request, at, values[row], indices[row], tails[row]))
                row += 1
            answers.append(rows)
        return answers

    def _distribution(
        self,
        request: DistributionRequest,
        at: int,
        values: list[float],
        indices: list[int],
        tail: float,
    ) -> Distribution:
        kept = min(request.topk, len(values))
        return Distribution(
            prompt=request.prompt.id,
            at=at,
            draw=request.draw,
            tokens=tuple(self._strings[index] for index in indices[:kept]),
            logprobs=tuple(round(value, 4) for value in values[:kept]),
            tail=round(tail, 6),
        )

    @torch.inference_mode()
    def score(self, batch: Sequence[ScoreRequest]) -> list[Score]:
        pairs = [(self._encode(request.prompt), self._plain_ids(request.text)) for request in batch]
        places = [list(range(len(head) - 1, len(head) + len(body) - 1)) for head, body in pairs]
        logits = self._logits_at([head + body for head, body in pairs], places)
        found: list[Score] = []
        start = 0
        for request, (_, body) in zip(batch, pairs, strict=True):
            rows = logits[start : start + len(body)].float()
            start += len(body)
            chosen = rows.gather(1, torch.tensor(body, dtype=torch.long).reshape(-1, 1)).squeeze(1)
            total = float((chosen - torch.logsumexp(rows, dim=1)).sum()) if body else 0.0
            found.append(
                Score(
                    prompt=request.prompt.id,
                    text=digest(request.text)[7:31],
                    logprob=round(total, 4),
                    tokens=len(body),
                    bytes=len(request.text.encode("utf-8", "surrogatepass")),
                )
            )
        return found

    def sample(self, batch: Sequence[SampleRequest]) -> list[Sample]:
        if self._takes_positions:
            return self._sample(batch)
        groups: dict[int, list[int]] = {}
        for place, request in enumerate(batch):
            groups.setdefault(self.length(request.prompt), []).append(place)
        found: dict[int, Sample] = {}
        for places in groups.values():
            found.update(zip(places, self._sample([batch[place] for place in places]), strict=True))
        return [found[place] for place in range(len(batch))]

    def sketch(self) -> tuple[TensorSketch, ...]:
        return sketch_tensors(self._model.named_parameters())

    def _encode(self, prompt: Prompt) -> list[int]:
        if prompt.channel == "raw":
            ids = self._tokenizer(prompt.text)["input_ids"]
        else:
            ids = self._plain_ids(self._rendered(prompt))
        return list(ids) or [self._pad]

    def _rendered(self, prompt: Prompt) -> str:
        messages = [{"role": "user", "content": prompt.text}]
        if prompt.system:
            messages.insert(0, {"role": "system", "content": prompt.system})
        return str(self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    def _plain_ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def token_places(self, request: DistributionRequest) -> tuple[list[int], list[tuple[int, int]]]:
        """Token ids, and for each wanted byte offset that is a token border: (offset, index of the token before)."""
        ids = self._encode(request.prompt)
        text = request.prompt.text
        size = len(text.encode("utf-8", "surrogatepass"))
        ends: dict[int, int] = {}
        if any(at < size for at in request.positions) and request.prompt.channel == "raw":
            offsets = self._tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
            for place, (start, end) in enumerate(offsets):
                if end > start:
                    ends[len(text[:end].encode("utf-8", "surrogatepass"))] = place
        ends[size] = len(ids) - 1
        return ids, [(at, ends[at]) for at in request.positions if at in ends]

    def _logits_at(self, sequences: list[list[int]], places: list[list[int]]) -> torch.Tensor:
        """Logits after the given places of each sequence, stacked: (sum of places, vocabulary)."""
        width = max(len(ids) for ids in sequences)
        ids = torch.full((len(sequences), width), self._pad, dtype=torch.long)
        mask = torch.zeros((len(sequences), width), dtype=torch.long)
        for row, sequence in enumerate(sequences):
            ids[row, : len(sequence)] = torch.tensor(sequence, dtype=torch.long)
            mask[row, : len(sequence)] = 1
        wanted = sorted({place for found in places for place in found})
        column = {place: index for index, place in enumerate(wanted)}
        if self._takes_selection and wanted:
            kept = torch.tensor(wanted, dtype=torch.long)
            logits = self._model(input_ids=ids, attention_mask=mask, logits_to_keep=kept).logits
        else:
            logits = self._model(input_ids=ids, attention_mask=mask).logits
            column = {place: place for place in wanted}
        rows = [row for row, found in enumerate(places) for _ in found]
        columns = [column[place] for found in places for place in found]
        picked: torch.Tensor = logits[rows, columns]
        self._check(picked)
        return picked

    def _check(self, logits: torch.Tensor) -> None:
        if bool(torch.isnan(logits).any()) or bool(torch.isposinf(logits).any()):
            raise ModelBroken(
                f"The model {self.info.name} answers NaN or infinite logits.",
                hint="Its weights are damaged or overflow in this number format.",
            )

    @torch.inference_mode()
    def _sample(self, batch: Sequence[SampleRequest]) -> list[Sample]:
        """Ancestral sampling by inverse transform, one uniform number per request and step."""
        prompts = [self._encode(request.prompt) for request in batch]
        limits = [request.max_tokens for request in batch]
        if self._most is not None:  # the last token is written and not read
            limits = [min(most, self._most - len(ids) + 1) for most, ids in zip(limits, prompts, strict=True)]
        steps = max(limits)
        uniforms = np.stack([_uniforms(self.info.digest, request, steps) for request in batch])
        width = max(len(ids) for ids in prompts)
        ids = torch.full((len(batch), width), self._pad, dtype=torch.long)
        mask = torch.zeros((len(batch), width), dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = torch.tensor(prompt, dtype=torch.long)
            mask[row, width - len(prompt) :] = 1
        written: list[list[int]] = [[] for _ in batch]
        ended = [False] * len(batch)
        cache: Any = None
        for step in range(steps):
            logits, cache = self._step(ids, mask, cache)
            chosen = _draw(logits, [request.temperature for request in batch], uniforms[:, step])
            for row, token in enumerate(chosen):
                if token in self._ends:
                    ended[row] = True
                elif not ended[row] and len(written[row]) < limits[row]:
                    written[row].append(token)
            if all(done or len(tokens) >= most for done, tokens, most in zip(ended, written, limits, strict=True)):
                break
            ids = torch.tensor(chosen, dtype=torch.long).reshape(-1, 1)
            mask = torch.cat([mask, torch.ones((len(batch), 1), dtype=torch.long)], dim=1)
        return [
            Sample(
                prompt=request.prompt.id,
                draw=request.draw,
                text=self._text(tokens),
                finish="stop" if done else "length",
            )
            for request, tokens, done in zip(batch, written, ended, strict=True)
        ]

    def _step(self, ids: torch.Tensor, mask: torch.Tensor, cache: Any) -> tuple[torch.Tensor, Any]:
        extra: dict[str, Any] = {}
        if self._takes_positions:
            # Rows that have ended go on beside the others, and must not go beyond the last position.
            last = None if self._most is None else self._most - 1
            extra["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0, max=last)[:, -ids.shape[1] :]
        if self._takes_selection:
            extra["logits_to_keep"] = 1
        if cache is not None:
            extra[self._cache_name] = cache
        output = self._model(input_ids=ids, attention_mask=mask, use_cache=True, **extra)
        logits = output.logits[:, -1].float()
        self._check(logits)
        return logits, next(found for name in _CACHE_NAMES if (found := getattr(output, name, None)) is not None)

    def _text(self, tokens: list[int]) -> str:
        raw = "".join(self._strings[token] for token in tokens)
        return raw.encode("latin-1").decode("utf-8", "replace")


def _learned_positions(model: Any) -> int | None:
    """How many positions a model has learned, if it has no answer beyond them; None for relative ones."""
    parts = {name.rpartition(".")[2] for name, part in model.named_modules() if isinstance(part, torch.nn.Embedding)}
    return int(model.config.max_position_embeddings) if parts & _POSITIONS else None


def _top(logits: torch.Tensor, topk: int) -> tuple[list[list[float]], list[list[int]], list[float]]:
    """Largest log-probabilities per row, their ids, and the probability left over."""
    if logits.shape[0] == 0:
        return [], [], []
    logits = logits.float()
    values, indices = logits.topk(min(topk, logits.shape[1]), dim=1)
    values = values - torch.logsumexp(logits, dim=1, keepdim=True)
    # A probability of exactly zero has no logarithm that JSON could hold.
    values = values.clamp(min=-60.0)
    tails = (1 - values.exp().sum(dim=1)).clamp(min=0)
    return values.tolist(), indices.tolist(), tails.tolist()


def _uniforms(identity: str, request: SampleRequest, steps: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    # With the model in the seed no two models share random numbers, as none would behind two servers: shared ones
    # make models with similar distributions write the same text, and a calibration would learn that.
    words = digest([identity, request.seed, request.draw, request.prompt.system, request.prompt.text])[7:39]
    seeds = [int(words[start : start + 8], 16) for start in range(0, 32, 8)]
    return np.random.default_rng(seeds).random(steps)


def _draw(logits: torch.Tensor, temperatures: list[float], uniforms: Any) -> list[int]:
    scale = torch.tensor([max(value, 1e-6) for value in temperatures]).reshape(-1, 1)
    cumulative = torch.softmax(logits / scale, dim=1).double().cumsum(dim=1)
    target = torch.tensor(uniforms).reshape(-1, 1) * cumulative[:, -1:]
    sampled = torch.searchsorted(cumulative, target, right=True).squeeze(1).clamp(max=logits.shape[1] - 1)
    greedy = logits.argmax(dim=1)
    return [int(greedy[row]) if temperature == 0 else int(sampled[row]) for row, temperature in enumerate(temperatures)]
