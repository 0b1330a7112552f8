"""Were both sides asked alike? The system prompt moves answers as much as the model does (Bruckner 2026).

Each difference names the tiers of behaviour in which it leaves nothing to be claimed. Next-symbol probabilities do not
depend on the temperature that answers are drawn at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fingerprint.recording import Recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """What differs, in words, and the tiers whose likelihood ratio it voids."""

    what: str
    sentence: str
    voids: frozenset[str]


#: Tiers of the calibration that are read off what a model answers.
BEHAVIOUR = frozenset({"agreed", "topk", "text"})
_ALL = BEHAVIOUR | {"panel"}
_TEXT = frozenset({"text", "panel"})


def mismatches(first: Recording, second: Recording) -> tuple[Mismatch, ...]:
    """All differences of protocol between two recordings on the prompts that they have in common."""
    found = []
    one, two = first.protocol, second.protocol
    if (one.temperature, one.top_k) != (two.temperature, two.top_k):
        found.append(_different("temperature", f"at {one.temperature:g} and at {two.temperature:g}", _TEXT))
    if one.system != two.system:
        found.append(_different("system prompt", "one was told what the other was not", _ALL))
    if _channels(first, second):
        found.append(_different("channel", "one through a chat template, the other as raw text", _ALL))
    if one.runtime != two.runtime:
        found.append(_different("runtime", "long greedy texts differ between programs", frozenset()))
    versions = {ref.name: ref.digest for ref in first.probe_sets}
    for ref in second.probe_sets:
        if versions.get(ref.name, ref.digest) != ref.digest:
            sentence = f"The probe set {ref.name} differs in its version; only prompts with the same words are compared."
            found.append(Mismatch(what="probe set", sentence=sentence, voids=frozenset()))
    return tuple(found)


def voided(first: Recording, second: Recording, tier: str) -> bool:
    """Whether a difference of protocol leaves nothing to be claimed in a tier."""
    return any(tier in mismatch.voids for mismatch in mismatches(first, second))


def _different(what: str, how: str, voids: frozenset[str]) -> Mismatch:
    effect = (
        f"no likelihood ratio is claimed from {'behaviour' if 'topk' in voids else 'their texts'}"
        if voids
        else "read small differences with care"
    )
    return Mismatch(
        what=what,
        sentence=f"The two sides were not asked under the same {what} ({how}), which moves answers as models do: {effect}.",
        voids=voids,
    )


def _channels(first: Recording, second: Recording) -> bool:
    """Whether any common prompt went through different channels."""
    if len({prompt.channel for side in (first, second) for prompt in side.prompts}) < 2:
        return False
    mine = {prompt.key: prompt.channel for prompt in first.prompts}
    return any(mine.get(prompt.key, prompt.channel) != prompt.channel for prompt in second.prompts)


def without_system(recording: Recording) -> Recording:
    """The recording with its system prompts moved into the protocol, so that prompts are the same by their words."""
    systems = {prompt.system for prompt in recording.prompts}
    system = recording.protocol.system or (systems.pop() if len(systems) == 1 else "several system prompts")
    return replace(
        recording,
        protocol=replace(recording.protocol, system=system),
        prompts=tuple(replace(prompt, system="") for prompt in recording.prompts),
    )
