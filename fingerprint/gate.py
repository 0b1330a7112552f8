"""From a policy to a decision: each rule's comparisons, every model recorded once, what has not changed not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fingerprint import api, many
from fingerprint.calibration.model import known
from fingerprint.canonical import digest
from fingerprint.code import STATISTICS, source_digest
from fingerprint.collection.execution import Engine
from fingerprint.collection.plan import Settings
from fingerprint.errors import FingerprintError, PolicyError
from fingerprint.models.spec import parse_spec
from fingerprint.policy import (
    ClaimTest,
    Decision,
    Finding,
    Observed,
    Outcome,
    PolicyFile,
    Rule,
    judge,
    judge_claims,
    read_policy,
)
from fingerprint.probes import load
from fingerprint.report.baseline import Baseline, read_baseline
from fingerprint.report.schema import Report
from fingerprint.report.verify import verify
from fingerprint.sources import Memory

if TYPE_CHECKING:
    from fingerprint.claims import ClaimResult

#: Errors of this exit code are findings: one model that cannot be reached must not hide what the others showed.
_UNREACHABLE = 4


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A decision, the reports behind its findings by (rule id, model), and the baseline for the next run."""

    decision: Decision
    reports: dict[tuple[str, str], Report]
    baseline: Baseline

    def __str__(self) -> str:
        from fingerprint.report.notebook import decision_text

        return decision_text(self.decision)

    def _repr_html_(self) -> str:
        from fingerprint.report.notebook import decision_fragment

        return decision_fragment(self.decision)


def check(
    policy: PolicyFile | Path | str,
    *,
    options: api.Options | None = None,
    baseline: Path | None = None,
    rules: Sequence[str] = (),
    claims_only: bool = False,
    engine: Engine | None = None,
) -> Checked:
    """Decide a policy.

    Args:
        policy: the policy, or the path of its TOML file.
        options: store, budget, progress; probes and settings are the policy's.
        baseline: a file of earlier comparisons; what is in it unchanged is not compared again. It need not exist yet.
        rules: only the rules with these ids.
        claims_only: only what models declare of their origin, which needs their files and asks no model.
        engine: where the models answer, each on its own, before they are compared here; the decision is the same.

    Raises:
        FingerprintError: a policy, file or probe set is wrong. A model that cannot be reached is a finding.

    """
    file = policy if isinstance(policy, PolicyFile) else read_policy(Path(policy))
    gate = _Gate(file, options or api.Options(), read_baseline(baseline) if baseline else Baseline())
    chosen = _chosen(file, rules)
    if claims_only:
        chosen = [rule.model_copy(update={"forbid": None}) for rule in chosen if rule.claims]
    if engine is not None:
        many.fill_store(gate.to_record(chosen), gate.options, engine)
    findings = tuple(finding for rule in chosen for finding in gate.findings(rule))
    # A run over some rules keeps what was known of the others.
    fresh = Baseline(reports={**(gate.baseline.reports if rules or claims_only else {}), **gate.kept})
    return Checked(decision=Decision(file=file, findings=findings), reports=gate.reports, baseline=fresh)


def judge_declared(model: str, found: Sequence[ClaimResult]) -> tuple[Outcome, str]:
    """What a rule would make of a model's claims that forbids contradicted ones, and why."""
    rule = Rule(id="claims", sentence="No declared parent is contradicted.", subject=model, claims="not-contradicted")
    return judge_claims(rule, _tests(found))


def _tests(found: Sequence[ClaimResult]) -> list[ClaimTest]:
    return [ClaimTest(parent=item.claim.parent, status=item.status, reason=item.reason) for item in found]


def _chosen(file: PolicyFile, rules: Sequence[str]) -> list[Rule]:
    ids = [rule.id for rule in file.policy.rule]
    for name in rules:
        if name not in ids:
            raise PolicyError(f"The policy has no rule {name!r}.", hint=f"It has: {', '.join(ids)}.")
    return [rule for rule in file.policy.rule if not rules or rule.id in rules]


class _Gate:
    """One run over a policy: what it has recorded, compared and kept so far."""

    def __init__(self, file: PolicyFile, options: api.Options, baseline: Baseline) -> None:
        policy = file.policy
        settings = Settings(temperature=policy.temperature, seed=policy.seed, system=policy.system)
        self.file = file
        self.options = replace(options, probes=policy.probes, settings=settings)
        self.panel = file.path.parent / Path(policy.panel).expanduser() if policy.panel else None
        self.memory = Memory()
        self.baseline = baseline
        self.kept: dict[str, Report] = {}
        self.reports: dict[tuple[str, str], Report] = {}

    def findings(self, rule: Rule) -> list[Finding]:
        claims = [self._claims(rule)] if rule.claims else []
        return [*claims, *(self._compared(rule, against) for against in rule.against if rule.forbidden)]

    def to_record(self, rules: Sequence[Rule]) -> list[str]:
        """The models that comparisons need answers of, each once; none for comparisons that are in the baseline."""
        found: dict[str, None] = {}
        for rule in rules:
            for against in rule.against if rule.forbidden else ():
                specs = [self.file.resolve(spec) for spec in (rule.subject, against, *rule.controls)]
                if not self._known_before(specs):
                    found |= dict.fromkeys(spec for spec in specs if parse_spec(spec).scheme != "rec")
        return list(found)

    def _known_before(self, specs: Sequence[str]) -> bool:
        try:
            return bool(self.baseline.reports) and self._unchanged(self._key(specs)) is not None
        except FingerprintError as error:
            if error.exit_code != _UNREACHABLE:
                raise
            return False
        finally:
            self._close_all_but(specs[0])

    def _claims(self, rule: Rule) -> Finding:
        """What the subject declares of its origin, tested with the weights at hand."""
        from fingerprint.claims import check_claims

        against = [self.file.resolve(spec) for spec in rule.against]
        try:
            found = check_claims(self.file.resolve(rule.subject), against=against, seed=self.file.policy.seed)
        except FingerprintError as error:
            if error.exit_code != _UNREACHABLE:
                raise
            return Finding(rule=rule, against="", outcome="error", reason=str(error))
        outcome, reason = judge_claims(rule, _tests(found))
        return Finding(rule=rule, against="", outcome=outcome, reason=reason)

    def _compared(self, rule: Rule, against: str) -> Finding:
        specs = [self.file.resolve(spec) for spec in (rule.subject, against, *rule.controls)]
        try:
            key = self._key(specs)
            report = self._unchanged(key)
            known_before = report is not None
            if report is None:
                report = api.compare(
                    specs[0], specs[1], controls=specs[2:], panel=self.panel, options=self.options, memory=self.memory
                )
        except FingerprintError as error:
            if error.exit_code != _UNREACHABLE:
                raise
            return Finding(rule=rule, against=against, outcome="error", reason=str(error))
        finally:
            self._close_all_but(specs[0])
        self.kept[key] = self.reports[rule.id, against] = report
        observed = _observed(report)
        outcome, reason = judge(rule, observed)
        return Finding(
            rule=rule,
            against=against,
            outcome=outcome,
            reason=reason,
            observed=observed,
            from_baseline=known_before,
        )

    def _unchanged(self, key: str) -> Report | None:
        """The earlier report on the same models, probes, settings and statistics, if its verdict comes out again."""
        report = self.baseline.reports.get(key)
        return report if report is not None and verify(report, known()).same else None

    def _key(self, specs: Sequence[str]) -> str:
        """All that goes into a comparison, known before any model is asked."""
        settings = self.options.settings
        return digest(
            {
                "models": [self._identity(spec) for spec in specs],
                "panel": [each.digest for each in api.read_folder(self.panel)] if self.panel else "shipped",
                "probes": [probe_set.digest for probe_set in load(self.options.probes)],
                "settings": [settings.temperature, settings.topk, settings.seed, settings.system],
                "statistics": source_digest(STATISTICS),
                "calibration": sorted(known()),
            }
        )

    def _identity(self, spec: str) -> list[str]:
        parsed = parse_spec(spec)
        if parsed.scheme == "rec":
            return [self.memory.read(parsed).digest]
        backend = self.memory.open(parsed, self.options).backend
        return [backend.info.digest, backend.runtime]

    def _close_all_but(self, spec: str) -> None:
        """Let go of models that no later comparison of the same subject needs open; their recordings stay."""
        subject = parse_spec(spec)
        for spare in [each for each in self.memory.collectors if each != subject]:
            del self.memory.collectors[spare]


def _observed(report: Report) -> Observed:
    result = report.result
    return Observed(
        kind=result.verdict.kind,
        direction=result.verdict.direction,
        log10_lr=result.log10_lr,
        interval=result.log10_lr_interval,
        bounds=result.log10_lr_bounds,
        sentence=result.verdict.sentence,
    )
