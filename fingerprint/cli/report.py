"""``fingerprint report``, ``schema``, ``version``: re-render what was found, without any model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fingerprint.cli import common


def report(
    file: Annotated[Path, typer.Argument(help="A report in JSON, as written by compare.")],
    output: common.OutputOption = None,
) -> None:
    """Show a report again, or write it in another format."""
    from fingerprint.cli.compare import check_format, deliver

    for path in output or []:
        check_format(path)
    deliver(common.read_report(file), json_out=False, output=output or [])


def schema() -> None:
    """The JSON Schema of reports."""
    import json

    from fingerprint.report.schema import json_schema

    sys.stdout.write(json.dumps(json_schema(), indent=2, sort_keys=True) + "\n")


def version() -> None:
    """The version of this program."""
    from fingerprint import __version__

    sys.stdout.write(f"fingerprint {__version__}\n")
