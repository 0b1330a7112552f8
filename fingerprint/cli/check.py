"""``fingerprint check``: gates. One decision is made; formats only show it, and the exit code is its."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fingerprint.cli import common

if TYPE_CHECKING:
    from fingerprint.gate import Checked
    from fingerprint.policy import Decision

FORMATS = (".json", ".xml", ".sarif", ".md", ".txt", ".intoto.json")


def check(
    policy: Annotated[Path, typer.Argument(help="The policy, in TOML.")],
    rule: Annotated[list[str] | None, typer.Option("--rule", help="Only the rule with this id.")] = None,
    claims_only: Annotated[
        bool, typer.Option("--claims-only", help="Only what models declare of their origin; asks no model.")
    ] = False,
    json_out: Annotated[bool, typer.Option("--json", help="JSON to stdout instead of lines for people.")] = False,
    output: Annotated[
        list[Path] | None,
        typer.Option("-o", "--output", help="Write .xml (JUnit), .sarif, .json, .md, .txt or .intoto.json, by the ending."),
    ] = None,
    reports: Annotated[
        Path | None, typer.Option("--reports", help="Write the report of every comparison into this folder, JSON and HTML.")
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option("--baseline", help="Compare only what changed since this file; it is written anew.")
    ] = None,
    github: Annotated[
        bool, typer.Option("--github", help="Annotations, job summary and outputs for a GitHub workflow.")
    ] = False,
    store: common.StoreOption = None,
    max_requests: common.MaxRequestsOption = None,
    engine: common.EngineOption = "here",
    workers: common.WorkersOption = 2,
    ray_address: common.RayAddressOption = "",
    quiet: common.QuietOption = False,
) -> None:
    """Decide a policy. Exit 0: passed, 1: failed, 2: wrong policy or file, 3: undecided, 4: a model is out of reach."""
    from fingerprint import gate
    from fingerprint.collection.execution import engine as named
    from fingerprint.report.ci import headline

    for path in output or []:
        _check_format(path)
    options = common.make_options(
        probes="all", seed=0, temperature=1.0, system="", store=store, max_requests=max_requests, quiet=quiet
    )
    done = gate.check(
        policy,
        options=options,
        baseline=baseline,
        rules=rule or (),
        claims_only=claims_only,
        # Here, answers are asked for as the comparisons need them.
        engine=None if engine == "here" else named(engine, workers=workers, address=ray_address),
    )
    if baseline is not None:
        from fingerprint.report.baseline import to_text

        common.write_text(to_text(done.baseline), baseline)
    if reports is not None:
        _write_reports(done, reports)
    for path in output or []:
        _write(done, path)
    if github:
        _tell_github(done.decision)
    sys.stdout.write(rendered(done.decision, ".json" if json_out else ".txt"))
    if done.decision.exit_code:
        common.say(f"fingerprint: {headline(done.decision)}")
    raise typer.Exit(done.decision.exit_code)


def _check_format(path: Path) -> None:
    from fingerprint.errors import OutputError

    if not common.ending(path, FORMATS):
        raise OutputError(f"{path} has no known ending.", hint=f"Use {', '.join(FORMATS)}.")
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: there is no folder {path.parent}.", hint="Create it first.")


def _write(done: Checked, path: Path) -> None:
    suffix = common.ending(path, FORMATS)
    if suffix != ".intoto.json":
        common.write_text(rendered(done.decision, suffix), path)
        return
    from fingerprint.errors import OutputError
    from fingerprint.report.intoto import decision_statement

    try:
        common.write_text(decision_statement(done.decision, done.reports, policy_path(done.decision)), path)
    except OutputError as error:
        # The decision stands and its other files are written; there is only nobody to attest it of.
        common.say(f"fingerprint: {path} was not written. {error}")


def rendered(decision: Decision, suffix: str) -> str:
    """The decision in the format of a file ending."""
    from fingerprint.report import ci
    from fingerprint.report.sarif import to_sarif

    if suffix == ".sarif":
        return to_sarif(decision, policy_path(decision))
    if suffix == ".txt":
        blocks = [
            "\n".join((ci.pair(finding), *(f"  {line}" for line in ci.details(finding)))) for finding in decision.findings
        ]
        return "\n\n".join((*blocks, ci.headline(decision))) + "\n"
    return {".json": ci.to_json, ".xml": ci.to_junit, ".md": ci.to_markdown}[suffix](decision)


def policy_path(decision: Decision) -> str:
    """The policy's path from the root of the checkout, or from here, with forward slashes."""
    root = Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd()).resolve()
    path = decision.file.path.resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def _write_reports(done: Checked, folder: Path) -> None:
    from fingerprint.cli.compare import rendered as report_as
    from fingerprint.text import safe_file_name

    folder.mkdir(parents=True, exist_ok=True)
    for (rule, against), report in done.reports.items():
        for suffix in (".json", ".html"):
            common.write_text(report_as(report, suffix), folder / f"{rule}-{safe_file_name(against)}{suffix}")


def _tell_github(decision: Decision) -> None:
    """Annotations to stderr, which the runner reads as it reads stdout; summary and outputs to the files it names."""
    from fingerprint.report import ci

    sys.stderr.write(ci.to_annotations(decision, policy_path(decision)))
    outputs = f"outcome={decision.outcome}\nexit-code={decision.exit_code}\n"
    for variable, text in (("GITHUB_STEP_SUMMARY", ci.to_markdown(decision)), ("GITHUB_OUTPUT", outputs)):
        if name := os.environ.get(variable):
            with Path(name).open("a", encoding="utf-8") as file:
                file.write(text)
