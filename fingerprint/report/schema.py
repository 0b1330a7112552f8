"""The report as other people's scripts read it. Fields are only ever added; the schema is checked in as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from fingerprint.canonical import digest, dumps
from fingerprint.errors import UsageError
from fingerprint.text import json_text, safe_text

if TYPE_CHECKING:
    from rich.console import RenderableType

SCHEMA_VERSION = "1.0"
Kind = Literal["same", "derived", "distilled", "related", "unrelated", "inconclusive"]
Direction = Literal["suspect_from_reference", "reference_from_suspect", "undetermined"]
Access = Literal["text", "topk", "logits", "weights"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProtocolPart(_Part):
    """How a model was asked; sides under different protocols are compared with a warning."""

    temperature: FiniteFloat
    top_k: int
    system: str
    seed: int


class ProbeSetPart(_Part):
    """A probe set as it was asked."""

    name: str
    version: str
    digest: str


class NotePart(_Part):
    """Something that went differently than asked while a model was recorded; ``topic`` is what it limits."""

    topic: Literal["samples", "topk", "scores", "identity", "drift", "import"]
    text: str


class DriftPart(_Part):
    """The same questions at the beginning, twice, and at the end of a recording: mean distances and a paired p-value."""

    prompts: int
    within: FiniteFloat
    across: FiniteFloat
    pvalue: FiniteFloat


class ModelPart(_Part):
    """One model as it took part: what it is and what its recording holds."""

    name: str
    digest: str
    kind: str
    architecture: str
    parameters: int
    tokenizer: str
    template: str
    weights: str
    runtime: str
    access: tuple[str, ...]
    recording: str = Field(description="Digest of the recording that the evidence was computed from.")
    prompts: int
    samples: int
    distributions: int
    vocabulary: int = 0
    protocol: ProtocolPart | None = Field(default=None, description="None in reports written before it was kept.")
    channels: tuple[Literal["chat", "raw"], ...] = ()
    probe_sets: tuple[ProbeSetPart, ...] = ()
    seal: str = Field(default="", description="Digest of the seal that the recording was collected under.")
    notes: tuple[NotePart, ...] = ()
    drift: DriftPart | None = Field(default=None, description="None where it was not measured.")


class VerdictPart(_Part):
    kind: Kind
    direction: Direction
    sentence: str


class EvidencePart(_Part):
    """One method's finding; ``interval`` is 95 %, ``effect`` has the same unit as the interval."""

    method: str
    title: str
    access: Access
    statistic: FiniteFloat
    pvalue: FiniteFloat | None
    effect: FiniteFloat
    interval: tuple[FiniteFloat, FiniteFloat] | None
    n: int
    log10_lr: FiniteFloat | None = Field(description="None where the calibration does not use this method alone.")
    note: str = ""
    controls: dict[str, FiniteFloat] = Field(
        default_factory=dict, description="The same effect between the suspect and each control, by name."
    )
    features: dict[str, FiniteFloat] = Field(
        default_factory=dict, description="The numbers of this method that the verdict and the calibration read."
    )


class SkippedPart(_Part):
    method: str
    reason: str


class NoiseFloor(_Part):
    """The reference against itself: what a difference of zero looks like on this runtime."""

    divergence_bits: FiniteFloat | None
    repeated: int
    text_match: FiniteFloat | None = Field(description="Share of prompts on which two draws of the reference agree.")


class GuardrailRate(_Part):
    """Refusals on one kind of probe, with Clopper–Pearson 95 % intervals."""

    refused: int
    answered: int
    rate: FiniteFloat | None
    interval: tuple[FiniteFloat, FiniteFloat] | None


class GuardrailGap(_Part):
    """Rate of the suspect minus rate of the reference, with Newcombe's 95 % interval."""

    value: FiniteFloat
    interval: tuple[FiniteFloat, FiniteFloat]


class GuardrailPart(_Part):
    available: bool
    reason: str = ""
    suspect_harmful: GuardrailRate | None = None
    reference_harmful: GuardrailRate | None = None
    suspect_harmless: GuardrailRate | None = None
    reference_harmless: GuardrailRate | None = None
    suspect_safe: GuardrailRate | None = Field(None, description="Harmful requests led to safety without a refusal.")
    reference_safe: GuardrailRate | None = None
    gap_harmful: GuardrailGap | None = None
    gap_harmless: GuardrailGap | None = None
    gap_guarded: GuardrailGap | None = Field(None, description="Refused or led to safety, of the harmful requests.")
    change: Literal["kept", "dropped", "added", "undecided"] | None = None
    sentence: str = ""


class TippettPart(_Part):
    """Left-out log10 likelihood ratios of the pairs of known lineage, as equally spaced quantiles, ascending."""

    related: tuple[FiniteFloat, ...]
    unrelated: tuple[FiniteFloat, ...]


class StratumPart(_Part):
    """Pairs of one kind without descent between them, and how many of them a likelihood ratio misleads."""

    name: str
    pairs: int
    lr_above_1: int
    lr_above_10: int
    kin: bool = Field(default=False, description="They share an origin, without descent of one from the other.")
    reached: tuple[int, ...] = Field(
        default=(),
        description="Pairs whose log10 LR is at least -2, -1.95, -1.9 … 3, without the zeros at the end; empty where the "
        "calibration does not say.",
    )


class CalibrationPart(_Part):
    id: str
    digest: str
    tier: str
    cllr: FiniteFloat | None
    related_pairs: int
    unrelated_pairs: int
    families: int
    note: str
    date: str = ""
    cllr_min: FiniteFloat | None = None
    parameters: tuple[int, int] | None = Field(default=None, description="Smallest and largest model of the population.")
    tippett: TippettPart | None = None
    strata: tuple[StratumPart, ...] = ()


class SequentialPart(_Part):
    """Early stopping: e-values as decimal logarithms, valid however often one looked; ``queries`` counts probes."""

    alpha: FiniteFloat
    decided: Literal["reference", "control", "undecided"]
    queries: int = Field(description="Probes per model until the decision, or all that were asked.")
    asked: int
    telling: int | None = Field(default=None, description="Probes asked that tell the reference from some control.")
    available: int
    log10_e_reference: FiniteFloat = Field(description="Against: not closer to the reference than to every control.")
    log10_e_control: FiniteFloat = Field(description="Against: no control is closer than the reference.")
    log10_e_average: FiniteFloat = Field(description="Against: the reference is like a control drawn at random.")
    controls: tuple[str, ...]
    sentence: str


class Hypotheses(_Part):
    h1: str
    h2: str


class ExamplePart(_Part):
    """One probe with both sides' answers, cut; ``lead`` is the suspect's likeness to the reference beyond the others'."""

    probe: str
    prompt: str
    suspect: str
    reference: str
    rival: str = Field(default="", description="Name of the other model that answers most like the suspect.")
    rival_answer: str = ""
    lead: FiniteFloat


class SealPart(_Part):
    """What was fixed before collection, item by item, and where this comparison departs from it."""

    digest: str
    sealed: dict[str, str]
    deviations: tuple[str, ...]


class Result(_Part):
    """What was found. No clock, no host, no path: the same inputs give the same bytes."""

    suspect: ModelPart
    reference: ModelPart
    controls: tuple[ModelPart, ...]
    panel: tuple[str, ...] = Field(description="Names of the population models used, the package's own or --panel.")
    verdict: VerdictPart
    log10_lr: FiniteFloat
    log10_lr_interval: tuple[FiniteFloat, FiniteFloat]
    log10_lr_bounds: tuple[FiniteFloat, FiniteFloat]
    log10_lr_uncapped: FiniteFloat
    evidence: tuple[EvidencePart, ...]
    skipped: tuple[SkippedPart, ...]
    noise_floor: NoiseFloor
    guardrails: GuardrailPart
    calibration: CalibrationPart
    hypotheses: Hypotheses
    limits: tuple[str, ...]
    prior: FiniteFloat | None = None
    posterior: FiniteFloat | None = None
    sequential: SequentialPart | None = None
    seed: int = Field(default=0, description="Seed of the resampling statistics.")
    protocol_differences: tuple[str, ...] = Field(default=(), description="In what the two sides were not asked alike.")
    panel_recordings: tuple[str, ...] = Field(default=(), description="Digests of the panel's recordings, in order.")
    examples: tuple[ExamplePart, ...] = ()
    seal: SealPart | None = None
    base: ModelPart | None = Field(default=None, description="What the suspect was before, if named; never a control.")


class Run(_Part):
    """How it was found: the part that differs between two runs."""

    tool_version: str
    started: str
    seconds: FiniteFloat
    settings: dict[str, str | int | float | bool | None]
    code: str = Field(default="", description="Digest of the program's own source files.")
    versions: dict[str, str] = Field(default_factory=dict, description="Libraries that the statistics come from.")


class Report(_Part):
    schema_version: Literal["1.0"] = "1.0"
    result: Result
    run: Run
    digest: str = Field(default="", description="Digest of everything else in this report.")

    def content_digest(self) -> str:
        """Digest of all that the report says but for the field that holds it.

        Fields that came after a report was written are not in its file and so not in its digest: it stays what it was.
        """
        return digest(self.model_dump(mode="json", exclude={"digest"}, exclude_unset=True))

    # Results show themselves: at a prompt, printed, by rich, and in a notebook. The renderers stand above this file.

    def __repr__(self) -> str:
        from fingerprint.report.words import verdict_line

        return f"<Report {verdict_line(self)}>"

    def __str__(self) -> str:
        from fingerprint.report.notebook import plain

        return plain(self.__rich__())

    def __rich__(self) -> RenderableType:
        from fingerprint.report.terminal import render

        return render(self)

    def _repr_html_(self) -> str:
        from fingerprint.report.notebook import report_fragment

        return report_fragment(self)


def to_json(report: Report, *, indent: int | None = 2) -> str:
    """The report as JSON text: finite numbers only, in the order of the schema; an old report gains no new fields."""
    value = {"schema_version": report.schema_version, **report.model_dump(mode="json", exclude_unset=True)}
    dumps(value)  # refuses what is not finite
    return json_text(value, indent=indent)


def whole(report: Report) -> Report:
    """The same report with every field said, also where a default was left: what a file will hold."""
    return Report.model_validate_json(report.model_dump_json())


def from_json(text: str, origin: str = "the report") -> Report:
    """Read a report.

    Raises:
        UsageError: it is not a report of a version that this program reads.

    """
    try:
        return Report.model_validate(json.loads(text))  # pydantic's own parser refuses half characters
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"]) or "the top"
        said = safe_text(fault["msg"])
        raise UsageError(f"{safe_text(origin)} is not a report: at {safe_text(place)}, {said}.") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits is a plain ValueError
        raise UsageError(f"{safe_text(origin)} is not a report: it is not JSON.") from error


def load_report(path: Path | str) -> Report:
    """Read a report in JSON, of any version that was ever written.

    Raises:
        UsageError: there is no such file, or it is not a report.

    """
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UsageError(f"The report {safe_text(path)} cannot be read: {safe_text(why)}.") from error
    return from_json(text, str(path))


def json_schema() -> dict[str, Any]:
    """JSON Schema of a report."""
    return Report.model_json_schema()


def checked_in_schema() -> Path:
    """Where the published copy of the schema lies."""
    return Path(__file__).with_name("report.schema.json")
