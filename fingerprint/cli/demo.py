"""``fingerprint demo``: the main job on the models that ship, offline."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fingerprint.cli import common

SUSPECT = "zoo:student"
REFERENCES = (
    ("zoo:teacher", "its teacher: it was trained on the teacher's distributions", ("zoo:twin", "zoo:twin-gpt2")),
    ("zoo:twin", "the teacher's twin: same data, another seed; the student never met it", ("zoo:teacher", "zoo:twin-gpt2")),
    ("zoo:finetune", "a fine-tune of the teacher: a relative, not an ancestor", ("zoo:twin", "zoo:twin-gpt2")),
    ("zoo:unrelated", "another model on other data", ("zoo:twin", "zoo:unrelated-gpt2")),
)


def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the reports.")] = Path("demo-reports"),
    store: common.StoreOption = None,
    quiet: common.QuietOption = False,
) -> None:
    """Compare a shipped student with four models; print four verdicts and one full report."""
    from rich.console import Console

    from fingerprint import api
    from fingerprint.cli.compare import rendered
    from fingerprint.report.terminal import render, verdict_line

    out.mkdir(parents=True, exist_ok=True)
    options = common.make_options(
        probes="all", seed=0, temperature=1.0, system="", store=store, max_requests=None, quiet=quiet
    )
    reports = []
    for reference, what, controls in REFERENCES:
        common.say(f"{SUSPECT} against {reference}, {what} …")
        report = api.compare(SUSPECT, reference, controls=controls, options=options)
        reports.append(report)
        name = reference.removeprefix("zoo:")
        for suffix in (".json", ".html"):
            common.write_text(rendered(report, suffix), out / f"student-{name}{suffix}")
    Console().print(render(reports[0]))
    sys.stdout.write("\nFour verdicts on the same suspect:\n")
    for (_, what, _), report in zip(REFERENCES, reports, strict=True):
        sys.stdout.write(f"  {verdict_line(report)}\n      ({what})\n")
    sys.stdout.write(f"\nReports (JSON and HTML): {out}/\n")
