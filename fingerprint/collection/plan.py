"""The plan: every request that a recording needs, known and countable before any is sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fingerprint.models.base import Capabilities, DistributionRequest, SampleRequest
from fingerprint.probes import Probe, ProbeSet
from fingerprint.recording import ProbeSetRef, Recording, unique_prompts

#: Length of the recorded next-token lists, where the model gives that many.
TOPK = 256
#: How many prompts are asked twice, in other batches, to measure the noise of the runtime.
REPEATS = 16
_BYTES_PER_TOKEN = 4  # a rough figure for English text, used for estimates only


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to ask. Part of every request, and so of every key in the store."""

    temperature: float = 1.0
    topk: int = TOPK
    seed: int = 0
    system: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to ask: probes, with the sets that they come from."""

    probes: tuple[Probe, ...]
    sets: tuple[ProbeSetRef, ...]
    settings: Settings
    repeats: int = REPEATS

    def samples(self, probe: Probe) -> list[SampleRequest]:
        return [
            SampleRequest(
                prompt=probe.prompt,
                draw=draw,
                max_tokens=probe.max_tokens,
                temperature=self.settings.temperature,
                seed=self.settings.seed,
            )
            for draw in range(probe.draws)
        ]

    def distribution(self, probe: Probe, can: Capabilities, *, draw: int = 0) -> DistributionRequest | None:
        """The distribution request of a probe; inner positions only where the backend can look inside a prompt."""
        if not can.topk or not probe.positions:
            return None
        inside = can.inner_positions and probe.channel == "raw"
        positions = borders(probe.text, probe.positions if inside else 1)
        return DistributionRequest(
            prompt=probe.prompt, positions=positions, draw=draw, topk=min(self.settings.topk, can.topk)
        )

    def repeated(self) -> tuple[Probe, ...]:
        """The probes that are asked twice: spread evenly over the plan."""
        step = max(1, len(self.probes) // max(self.repeats, 1))
        return self.probes[::step][: self.repeats]

    def estimate(self) -> Estimate:
        """Requests and tokens of one model, as far as they can be known without its tokenizer."""
        asked = [probe.draws for probe in self.probes]
        prompt_tokens = [max(1, len(probe.text.encode()) // _BYTES_PER_TOKEN) for probe in self.probes]
        return Estimate(
            prompts=len(self.probes),
            sample_requests=sum(asked),
            distribution_requests=len(self.probes) + len(self.repeated()),
            prompt_tokens=sum(size * (draws + 1) for size, draws in zip(prompt_tokens, asked, strict=True)),
            generated_tokens=sum(probe.max_tokens * probe.draws for probe in self.probes),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a plan costs one model: at most ``generated_tokens``, about ``prompt_tokens``."""

    prompts: int
    sample_requests: int
    distribution_requests: int
    prompt_tokens: int
    generated_tokens: int


def make_plan(sets: Sequence[ProbeSet], settings: Settings) -> Plan:
    """The plan for some probe sets, each probe once."""
    probes = [probe for probe_set in sets for probe in probe_set.probes]
    return Plan(probes=_with_system(probes, settings), sets=tuple(each.ref for each in sets), settings=settings)


def plan_like(recordings: Iterable[Recording], settings: Settings, *, draws: int = 1, max_tokens: int = 128) -> Plan:
    """The plan that asks a model what was asked in foreign recordings."""
    prompts = unique_prompts(prompt for recording in recordings for prompt in recording.prompts)
    probes = tuple(
        Probe(
            id=prompt.id,
            text=prompt.text,
            set=prompt.set,
            system=prompt.system,
            channel=prompt.channel,
            draws=draws,
            max_tokens=max_tokens,
        )
        for prompt in prompts
    )
    return Plan(probes=probes, sets=(), settings=settings)


def _with_system(probes: list[Probe], settings: Settings) -> tuple[Probe, ...]:
    from dataclasses import replace

    if not settings.system:
        return tuple(probes)
    return tuple(replace(probe, system=probe.system or settings.system) for probe in probes)


def borders(text: str, count: int) -> tuple[int, ...]:
    """Byte offsets of ``count`` places to look at: word ends spread over the text, and its end, in order."""
    data = text.encode("utf-8", "surrogatepass")
    # The first words are left out: with so little context every model says the same.
    ends = [place for place in range(len(data) // 6, len(data)) if data[place : place + 1] == b" "]
    ends = [place for place in ends if place and data[place - 1 : place] != b" "]
    inner = max(0, min(count - 1, len(ends)))
    chosen = [ends[(index * len(ends)) // inner] for index in range(inner)]
    return (*chosen, len(data))
