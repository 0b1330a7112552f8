"""Rules about lineage, and the one decision on them, made before anything is rendered.

A policy is TOML. Each rule says in a sentence what must hold, which model it is about (``subject``), against which models
it is tested (``against``, with ``controls``), and which kinds of relation it forbids:

    schema_version = "1.0"
    name = "release gate"

    [[rule]]
    id = "not-from-acme"
    sentence = "Our release does not derive from Acme's model."
    subject = "./checkpoint"
    against = ["recordings/acme.jsonl.zst"]
    controls = ["recordings/alike-1.jsonl.zst", "recordings/alike-2.jsonl.zst"]

Relative paths are read from the folder of the policy. With ``claims`` a rule tests what the subject declares of its
origin, with the weights in ``against`` (``NAME=SPEC`` ties one to a declared name); models are then compared only if the
rule also says what it forbids.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from fingerprint.canonical import digest, sha256
from fingerprint.errors import PolicyError
from fingerprint.models.spec import parse_spec
from fingerprint.text import safe_text
from fingerprint.verdict import ACCUSE, Direction, Kind

Outcome = Literal["passed", "undecided", "error", "failed"]
Claims = Literal["supported", "not-contradicted"]
#: From the best to the worst: a decision is as bad as its worst finding.
_SEVERITY: tuple[Outcome, ...] = ("passed", "undecided", "error", "failed")
EXIT: dict[Outcome, int] = {"passed": 0, "failed": 1, "undecided": 3, "error": 4}
_LINEAGE: tuple[Kind, ...] = ("same", "derived", "distilled")
_FILES = {"path", "gguf", "rec"}


class Rule(BaseModel):
    """One rule. ``min_log10_lr`` is the strength of evidence from which a forbidden kind fails it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
    sentence: Annotated[str, Field(min_length=1, max_length=1000)]
    subject: Annotated[str, Field(min_length=1)]
    against: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    controls: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    forbid: Annotated[tuple[Kind, ...], Field(min_length=1)] | None = None
    min_log10_lr: Annotated[FiniteFloat, Field(ge=0)] = ACCUSE
    on_undecided: Literal["undecided", "fail", "pass"] = "undecided"
    claims: Claims | None = None

    @model_validator(mode="after")
    def _sensible(self) -> Rule:
        if self.forbid and "inconclusive" in self.forbid:
            raise ValueError("`inconclusive` is no finding; say what it means with `on_undecided`")
        if not self.against and (self.forbid or not self.claims):
            raise ValueError("a rule needs models in `against`, or `claims`")
        return self

    @property
    def forbidden(self) -> tuple[Kind, ...]:
        """The kinds that fail the rule: descent and learning if nothing is said, none if it is only about claims."""
        return self.forbid or (() if self.claims else _LINEAGE)


class Policy(BaseModel):
    """A named list of rules, and how models are asked for all of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal["1.0"]
    name: Annotated[str, Field(min_length=1, max_length=200)]
    probes: str = "all"
    seed: int = 0
    temperature: Annotated[FiniteFloat, Field(ge=0)] = 1.0
    system: str = ""
    panel: str = ""
    rule: Annotated[tuple[Rule, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _distinct(self) -> Policy:
        ids = [rule.id for rule in self.rule]
        for name in ids:
            if ids.count(name) > 1:
                raise ValueError(f"the rule id {name} is used twice")
        return self

    @property
    def digest(self) -> str:
        return digest(self.model_dump(mode="json"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFile:
    """A policy, where it lies, the line on which each rule begins, and the SHA-256 of the file in hexadecimal."""

    policy: Policy
    path: Path
    lines: dict[str, int]
    sha256: str = ""

    def resolve(self, spec: str) -> str:
        """A model spec with its relative path read from the folder of the policy; a declared name before it is kept."""
        name, rest = declared(spec)
        if name:
            return f"{name}={self.resolve(rest)}"
        parsed = parse_spec(spec)
        if parsed.scheme not in _FILES or parsed.locator == "-":
            return spec
        return str(replace(parsed, locator=str(self.path.parent / Path(parsed.locator).expanduser())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What a comparison found, as far as a rule looks at it."""

    kind: Kind
    direction: Direction
    log10_lr: float
    interval: tuple[float, float]
    bounds: tuple[float, float]
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimTest:
    """A declared parent, and whether the evidence supports or contradicts the declaration."""

    parent: str
    status: Literal["supported", "contradicted", "untested"]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What became of one rule against one model, and why; ``against`` is empty for claims."""

    rule: Rule
    against: str
    outcome: Outcome
    reason: str
    observed: Observed | None = None
    from_baseline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """All findings of a policy; every renderer shows this and decides nothing."""

    file: PolicyFile
    findings: tuple[Finding, ...]

    @property
    def outcome(self) -> Outcome:
        return worst([finding.outcome for finding in self.findings])

    @property
    def exit_code(self) -> int:
        """0 passed, 1 failed, 3 undecided, 4 a model could not be reached."""
        return EXIT[self.outcome]

    def count(self, outcome: Outcome) -> int:
        return sum(finding.outcome == outcome for finding in self.findings)


def worst(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome that decides for all of them; passed where there is none."""
    return max(outcomes, key=_SEVERITY.index, default="passed")


def declared(spec: str) -> tuple[str, str]:
    """The declared name and the spec of ``NAME=SPEC``; no name where there is only a spec."""
    name, equals, rest = spec.partition("=")
    return (name, rest) if equals and "?" not in name else ("", spec)


def read_policy(path: Path) -> PolicyFile:
    """Read a policy.

    Raises:
        PolicyError: it is missing, not TOML, or no policy.

    """
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"The policy {path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    return parse_policy(text, path)


def parse_policy(text: str, path: Path) -> PolicyFile:
    """A policy from the text of its file."""
    name = safe_text(str(path))
    try:
        policy = Policy.model_validate(tomllib.loads(text))
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"]) or "the top"
        raise PolicyError(f"The policy {name} is not valid at {safe_text(place)}: {safe_text(fault['msg'])}.") from error
    except (ValueError, RecursionError) as error:  # of TOML: a number may be too long for Python as well
        raise PolicyError(f"The policy {name} is not valid TOML: {safe_text(error)}.") from error
    for rule in policy.rule:
        for spec in (rule.subject, *rule.against, *rule.controls):
            parse_spec(declared(spec)[1] if rule.claims else spec)
    bytes_ = text.encode("utf-8", "surrogatepass")
    return PolicyFile(policy=policy, path=path, lines=_lines(text, policy), sha256=sha256(bytes_).removeprefix("sha256:"))


def _lines(text: str, policy: Policy) -> dict[str, int]:
    """The line of each rule's ``[[rule]]``; 1 where the file writes its rules in another way."""
    heads = [number for number, line in enumerate(text.split("\n"), start=1) if re.match(r"\s*\[\[\s*rule\s*\]\]", line)]
    ids = [rule.id for rule in policy.rule]
    return dict(zip(ids, heads, strict=True)) if len(heads) == len(ids) else dict.fromkeys(ids, 1)


def judge(rule: Rule, observed: Observed) -> tuple[Outcome, str]:
    """What a comparison means for a rule, and why."""
    found = f"{observed.kind}, log10 LR {observed.log10_lr:+.2f}"
    if observed.kind in rule.forbidden:
        # Evidence for `unrelated` is a ratio below one.
        strength = -observed.log10_lr if observed.kind == "unrelated" else observed.log10_lr
        if strength >= rule.min_log10_lr:
            return "failed", f"found {found}; forbidden from {rule.min_log10_lr:+g} on"
        return _undecided(rule, f"found {found}; forbidden only from {rule.min_log10_lr:+g} on")
    if observed.kind == "inconclusive":
        return _undecided(rule, f"found {found}; the evidence does not decide")
    if observed.kind == "related" and set(_LINEAGE) & set(rule.forbidden):
        return _undecided(rule, f"found {found}; a common origin, and what the rule forbids is not excluded")
    return "passed", f"found {found}"


def judge_claims(rule: Rule, claims: Sequence[ClaimTest]) -> tuple[Outcome, str]:
    """What the subject's declared parents mean for a rule, and why."""
    by_status = {status: [c for c in claims if c.status == status] for status in ("contradicted", "untested")}
    if wrong := by_status["contradicted"]:
        return "failed", f"the declared parent {safe_text(wrong[0].parent)} is contradicted: {safe_text(wrong[0].reason)}"
    if not claims:
        return (
            _undecided(rule, "the model declares no parent")
            if rule.claims == "supported"
            else (
                "passed",
                "the model declares no parent, so nothing is contradicted",
            )
        )
    if rule.claims == "supported" and (open_ := by_status["untested"]):
        return _undecided(
            rule, f"the declared parent {safe_text(open_[0].parent)} is untested: {safe_text(open_[0].reason)}"
        )
    return "passed", f"{len(claims)} declared {'parent' if len(claims) == 1 else 'parents'}, none contradicted"


def _undecided(rule: Rule, why: str) -> tuple[Outcome, str]:
    if rule.on_undecided == "fail":
        return "failed", f"{why}; the rule fails what is undecided"
    if rule.on_undecided == "pass":
        return "passed", f"{why}; the rule lets pass what is undecided"
    return "undecided", why
