"""``fingerprint explain``: a word of the field, an error code, a method, or a report, in plain words."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fingerprint.cli import common


class Length(StrEnum):
    sentence = "sentence"
    paragraph = "paragraph"
    page = "page"


def explain(
    what: Annotated[
        str, typer.Argument(help="A term (log-lr, cllr, fpr …), error code (FP-…), exit code, method, or report in JSON.")
    ] = "",
    length: Annotated[Length, typer.Option("--in", help="How long the explanation of a report may be.")] = Length.page,
) -> None:
    """Explain a word or a report; without one, list the words."""
    from fingerprint.report import explain as plain
    from fingerprint.report.terms import entries, find

    if not what:
        for entry in entries().values():
            sys.stdout.write(f"{entry.key:26} {entry.title}\n")
    elif what.endswith(".json"):
        report = common.read_report(Path(what))
        tell = {"sentence": plain.sentence, "paragraph": plain.paragraph, "page": plain.page}[length.value]
        sys.stdout.write(tell(report).rstrip("\n") + "\n")
    else:
        sys.stdout.write(plain.entry_text(find(what)))
