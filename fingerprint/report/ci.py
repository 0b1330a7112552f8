"""A decision for machines that gate: JSON, JUnit XML, a Markdown summary, GitHub annotations. Nothing is decided here.

SARIF has a file of its own. Every foreign string is made harmless by `safe_text` and then escaped for its language.
"""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET  # written, never parsed

from fingerprint._version import __version__
from fingerprint.policy import Decision, Finding
from fingerprint.report import words
from fingerprint.report.markdown import escape
from fingerprint.text import json_text, safe_text

_LONG = 1000
_MARKS = {"passed": "✅", "failed": "❌", "undecided": "❔", "error": "⚠️"}
_COMMANDS = {"failed": "error", "undecided": "warning", "error": "error"}


def line(text: str) -> str:
    """A foreign sentence on one harmless line."""
    return safe_text(text, limit=_LONG)


def pair(finding: Finding) -> str:
    """Which comparison a finding is about."""
    subject = safe_text(finding.rule.subject)
    return f"{subject} against {safe_text(finding.against)}" if finding.against else f"claims of {subject}"


def headline(decision: Decision) -> str:
    """The whole decision on one line."""
    counts = [f"{count} {name}" for name in ("failed", "error", "undecided", "passed") if (count := decision.count(name))]
    return f"policy {safe_text(decision.file.policy.name)}: {decision.outcome} ({', '.join(counts) or 'nothing to check'})"


def to_json(decision: Decision) -> str:
    """The decision as JSON: the same inputs give the same bytes."""
    value = {
        "schema_version": "1.0",
        "policy": {"name": decision.file.policy.name, "digest": decision.file.policy.digest},
        "outcome": decision.outcome,
        "exit_code": decision.exit_code,
        "findings": [_finding(finding) for finding in decision.findings],
    }
    return json_text(value, indent=2)


def _finding(finding: Finding) -> dict[str, Any]:
    seen = finding.observed
    found = None
    if seen is not None:
        found = {
            "kind": seen.kind,
            "direction": seen.direction,
            "sentence": seen.sentence,
            "log10_lr": seen.log10_lr,
            "log10_lr_interval": list(seen.interval),
            "log10_lr_bounds": list(seen.bounds),
        }
    return {
        "rule": finding.rule.id,
        "sentence": finding.rule.sentence,
        "subject": finding.rule.subject,
        "against": finding.against or None,
        "outcome": finding.outcome,
        "reason": finding.reason,
        "found": found,
        "from_baseline": finding.from_baseline,
    }


def to_junit(decision: Decision) -> str:
    """JUnit XML: a failed rule is a failure; what is undecided or out of reach is an error, for neither passed."""
    name = line(decision.file.policy.name)
    counts = {
        "tests": str(len(decision.findings)),
        "failures": str(decision.count("failed")),
        "errors": str(decision.count("undecided") + decision.count("error")),
        "skipped": "0",
    }
    root = ET.Element("testsuites", {"name": "fingerprint", **counts})
    suite = ET.SubElement(root, "testsuite", {"name": name, **counts})
    for finding in decision.findings:
        case = ET.SubElement(suite, "testcase", {"classname": finding.rule.id, "name": pair(finding)})
        if finding.outcome != "passed":
            tag = "failure" if finding.outcome == "failed" else "error"
            said = ET.SubElement(case, tag, {"type": finding.outcome, "message": line(finding.reason)})
            said.text = "\n".join(details(finding))
        else:
            ET.SubElement(case, "system-out").text = "\n".join(details(finding))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def details(finding: Finding) -> list[str]:
    """What a person needs to know of a finding, line by line."""
    lines = [f"Rule {finding.rule.id}: {line(finding.rule.sentence)}", f"{finding.outcome}: {line(finding.reason)}"]
    if finding.observed is not None:
        seen = finding.observed
        lines.append(line(seen.sentence))
        lines.append(
            f"log10 LR {words.signed(seen.log10_lr)} {words.between(seen.interval, 2)}, "
            f"caps {words.signed(seen.bounds[0])} … {words.signed(seen.bounds[1])}"
        )
    if finding.from_baseline:
        lines.append("Unchanged since the baseline; its verdict was recomputed.")
    return lines


def to_markdown(decision: Decision) -> str:
    """The summary of a job."""
    policy = decision.file.policy
    lines = [
        f"## {_MARKS[decision.outcome]} {escape(policy.name)}: {decision.outcome}",
        "",
        f"{escape(headline(decision))}. A likelihood ratio is not the probability that a model was copied.",
        "",
        "| | Rule | Comparison | Found | log10 LR | Why |",
        "|---|---|---|---|---:|---|",
    ]
    for finding in decision.findings:
        seen = finding.observed
        cells = (
            f"{_MARKS[finding.outcome]} {finding.outcome}",
            escape(finding.rule.sentence),
            escape(pair(finding)),
            seen.kind if seen else "–",
            f"{words.signed(seen.log10_lr)} {words.between(seen.interval, 2)}" if seen else "–",
            escape(finding.reason),
        )
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", f"fingerprint {__version__}, policy {policy.digest[:19]}"]
    return "\n".join(lines) + "\n"


def to_annotations(decision: Decision, path: str) -> str:
    """GitHub workflow commands, one for every finding that did not pass; ``path`` is that of the policy in the checkout."""
    found = []
    for finding in decision.findings:
        if finding.outcome == "passed":
            continue
        where = {
            "file": path,
            "line": str(decision.file.lines[finding.rule.id]),
            "title": f"fingerprint: {finding.rule.id} {finding.outcome}",
        }
        properties = ",".join(f"{key}={_property(value)}" for key, value in where.items())
        message = f"{line(finding.rule.sentence)} {pair(finding)}: {line(finding.reason)}"
        found.append(f"::{_COMMANDS[finding.outcome]} {properties}::{_data(message)}")
    return "".join(each + "\n" for each in found)


def _data(text: str) -> str:
    """Text after the second pair of colons of a workflow command: line ends and per cent signs are encoded."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """The value of a property of a workflow command, in which colons and commas end it."""
    return _data(line(text)).replace(":", "%3A").replace(",", "%2C")
