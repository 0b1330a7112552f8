"""Where recordings come from: files that are read, and models that are opened and asked, at the same pace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fingerprint import recording_file
from fingerprint.collection.collect import Collector
from fingerprint.collection.plan import Plan, make_plan, plan_like
from fingerprint.collection.steps import finished, in_turn
from fingerprint.collection.store import Store, identity_of
from fingerprint.errors import UsageError
from fingerprint.evidence.crossscores import scorable
from fingerprint.imports import read as imports
from fingerprint.models.base import Remote, ScoreRequest
from fingerprint.models.handshake import shake_hands
from fingerprint.models.registry import open_model
from fingerprint.models.spec import ModelSpec, parse_spec
from fingerprint.options import Options
from fingerprint.probes import load
from fingerprint.recording import Recording


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What one run has read, opened and recorded already, so that many comparisons ask each model once."""

    recordings: dict[ModelSpec, Recording] = field(default_factory=dict)
    collectors: dict[ModelSpec, Collector] = field(default_factory=dict)
    recorded: dict[tuple[str, Plan], Recording] = field(default_factory=dict)

    def gather(self, specs: Sequence[str], options: Options) -> tuple[dict[int, Recording], dict[int, Collector]]:
        """Recordings that were given, and collectors of the live models, by place."""
        parsed = list(enumerate(parse_spec(spec) for spec in specs))
        given = {place: self.read(spec) for place, spec in parsed if spec.scheme == "rec"}
        return given, {place: self.open(spec, options) for place, spec in parsed if spec.scheme != "rec"}

    def read(self, spec: ModelSpec) -> Recording:
        """A recording, read from its file once."""
        if spec not in self.recordings:
            self.recordings[spec] = read(spec)
        return self.recordings[spec]

    def open(self, spec: ModelSpec, options: Options) -> Collector:
        """The collector of a model, which is opened and shaken hands with once."""
        if spec not in self.collectors:
            self.collectors[spec] = open_collector(spec, options)
        return self.collectors[spec]

    def collect_all(self, collectors: Mapping[int, Collector], plan: Plan) -> dict[int, Recording]:
        """A recording of every live model, by place; a model that answered this plan before is not asked again."""
        keys = {place: (identity_of(collector.backend), plan) for place, collector in collectors.items()}
        new = {keys[place]: collector for place, collector in collectors.items() if keys[place] not in self.recorded}
        made = collect_all(dict(enumerate(new.values())), plan)
        self.recorded.update(zip(new, made.values(), strict=True))
        return {place: self.recorded[key] for place, key in keys.items()}


def read(spec: ModelSpec) -> Recording:
    """The recording that a spec names, in our format or in another's; ``rec:FILE?model=NAME`` chooses one of several."""
    if spec.locator == "-":
        return recording_file.read(None)
    fields = {name: value for name in ("prompt", "answer") if (value := spec.option(f"{name}_field", ""))}
    return imports.read(Path(spec.locator).expanduser(), model=spec.option("model", ""), fields=fields)


def open_collector(spec: ModelSpec, options: Options) -> Collector:
    """Open a model, shake hands, and find the store of its answers."""
    if spec.scheme == "rec":
        raise UsageError(f"{spec} is a recording already.", hint="Name a model to collect from.")
    backend = open_model(spec)
    agreed = shake_hands(backend)
    return Collector(
        backend=backend,
        store=Store(options.store, identity_of(backend)),
        budget=options.budget,
        progress=options.progress,
        can=agreed.capabilities,
        notes=agreed.notes,
        seal=options.seal.digest if options.seal else "",
    )


def plan_for(given: Sequence[Recording], options: Options) -> Plan:
    """The chosen probe sets, or the prompts of foreign recordings, which live models are then asked too."""
    foreign = [recording for recording in given if not recording.probe_sets]
    return plan_like(foreign, options.settings) if foreign else make_plan(load(options.probes), options.settings)


def collect_all(collectors: Mapping[int, Collector], plan: Plan) -> dict[int, Recording]:
    """A recording of every live model, by place.

    Where a server takes part, all are asked in the same stretch of time. Local models do not change with time, and one
    after the other keeps their caches warm.
    """
    runs = [collector.steps(plan) for collector in collectors.values()]
    remote = any(isinstance(collector.backend, Remote) for collector in collectors.values())
    made = in_turn(runs) if remote else [finished(run) for run in runs]
    return dict(zip(collectors, made, strict=True))


def cross_scored(recordings: list[Recording], collectors: Mapping[int, Collector]) -> list[Recording]:
    """Where one of suspect and reference gives text only, everybody who can scores its text.

    And everybody else's: a scorer is compared with a rival, an author with another, and both with the scorer's own texts.
    """
    if all(recording.distributions or not recording.samples for recording in recordings[:2]):
        return recordings
    return [
        with_scores(recording, collectors[place], recordings) if place in collectors else recording
        for place, recording in enumerate(recordings)
    ]


def with_scores(recording: Recording, collector: Collector, authors: Sequence[Recording]) -> Recording:
    """The recording with the scores that its model gives to the answers of others, if it can."""
    if not authors or not (collector.can or collector.backend.capabilities).scores:
        return recording
    own = {prompt.key: prompt for prompt in recording.prompts}
    asked = {
        (key, sample.text): ScoreRequest(prompt=own[key], text=sample.text)
        for author in authors
        for sample in scorable(author)
        if (key := author.prompt_by_id[sample.prompt].key) in own
    }
    return replace(recording, scores=(*recording.scores, *collector.scores(list(asked.values()))))
