"""A decision as SARIF 2.1.0 (OASIS): one result for each finding that did not pass, at its rule in the policy."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fingerprint._version import __version__
from fingerprint.canonical import digest
from fingerprint.policy import Decision, Finding, Rule
from fingerprint.report.ci import line, pair
from fingerprint.text import json_text, safe_text

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"failed": "error", "undecided": "warning", "error": "warning"}


def forbids(rule: Rule) -> str:
    """What a rule forbids, in words."""
    parts = [f"Forbidden: {', '.join(rule.forbidden)}."] if rule.forbidden else []
    return " ".join((*parts, *([f"Declared parents: {rule.claims}."] if rule.claims else [])))


def to_sarif(decision: Decision, path: str) -> str:
    """The log; ``path`` is that of the policy from the root of the checkout, with forward slashes."""
    policy = decision.file.policy
    rules = list(dict.fromkeys(finding.rule for finding in decision.findings))
    run = {
        "tool": {
            "driver": {
                "name": "fingerprint",
                "semanticVersion": __version__,
                "version": __version__,
                "rules": [
                    {
                        "id": rule.id,
                        "shortDescription": {"text": line(rule.sentence)},
                        "fullDescription": {"text": f"{line(rule.sentence)} {forbids(rule)}"},
                        "defaultConfiguration": {"level": "error"},
                        "help": {"text": "Run `fingerprint explain` with the finding's words, or read the HTML report."},
                    }
                    for rule in rules
                ],
            }
        },
        "automationDetails": {"id": f"fingerprint/{quote(safe_text(policy.name), safe='')}/"},
        "invocations": [
            {
                "executionSuccessful": decision.outcome != "error",
                "exitCode": decision.exit_code,
                "exitCodeDescription": decision.outcome,
            }
        ],
        "columnKind": "unicodeCodePoints",
        "results": [
            _result(decision, finding, rules.index(finding.rule), path)
            for finding in decision.findings
            if finding.outcome != "passed"
        ],
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json_text(log, indent=2)


def _result(decision: Decision, finding: Finding, index: int, path: str) -> dict[str, Any]:
    seen = finding.observed
    numbers = {} if seen is None else {"log10_lr": seen.log10_lr, "kind": seen.kind}
    same = digest([finding.rule.id, finding.rule.subject, finding.against]).removeprefix("sha256:")
    return {
        "ruleId": finding.rule.id,
        "ruleIndex": index,
        # Code scanning shows levels; "kind" other than "fail" would force the level "none" and hide what is undecided.
        "kind": "fail",
        "level": _LEVELS[finding.outcome],
        "message": {"text": f"{line(finding.rule.sentence)} {pair(finding)}: {line(finding.reason)}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(path), "uriBaseId": "%SRCROOT%"},
                    "region": {"startLine": decision.file.lines[finding.rule.id]},
                }
            }
        ],
        # The same rule on the same models is the same result in every run, whatever the numbers. GitHub looks at the second
        # name only, and would else take all results of a rule, which lie on one line, for one.
        "partialFingerprints": {"lineage/v1": same, "primaryLocationLineHash": same},
        "properties": {"outcome": finding.outcome, "subject": line(finding.rule.subject), **numbers},
    }
