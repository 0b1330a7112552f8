"""The list of commands. Each lives in a file of its own, which is imported only when the command is used.

Building the options of forty commands takes longer than everything else that ``fingerprint --help`` does.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

#: Name → place of the command, or of the app of a group, and what the list says of it.
COMMANDS: dict[str, tuple[str, str]] = {
    "compare": ("compare:compare", "How much more probable is the evidence if A derives from B?"),
    "collect": ("collect:collect", "Ask models all probes and write recordings."),
    "claims": ("claims:claims", "Test the parents that models declare against their weights."),
    "weights": ("weights:weights", "Compare two models by their weights alone."),
    "identify": ("identify:identify", "Who of a panel may be behind a suspect, or none of these?"),
    "import": ("importing:import_answers", "Turn recorded answers into a recording."),
    "matrix": ("matrix:matrix", "Compare all models of a folder with each other."),
    "tree": ("tree:tree", "Group the models of a folder into families and draw them."),
    "check": ("check:check", "Decide a policy: the gate for CI."),
    "seal": ("seal:seal", "Fix probes, methods and thresholds before collecting."),
    "verify": ("verify:verify", "Recompute a report."),
    "report": ("report:report", "Show a report again, or write it in another format."),
    "explain": ("explain:explain", "Explain a word, an exit code or a report."),
    "schema": ("report:schema", "The JSON Schema of reports."),
    "demo": ("demo:demo", "Compare a shipped student with four shipped models."),
    "doctor": ("doctor:doctor", "What is installed, what works, where settings come from."),
    "version": ("report:version", "The version of this program."),
    "library": ("library:app", "Reference libraries of recordings."),
    "probes": ("probes:app", "List, show, rank and validate probe sets."),
    "zoo": ("zoo:app", "Models of known lineage: train and record them."),
    "bench": ("bench:app", "Measurements: where every number of the README comes from."),
    "cache": ("cache:app", "The store of collected answers."),
}


class Commands(TyperGroup):
    """The group of all commands."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  # the name that typer calls it by
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  # as above
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        found = getattr(import_module(f"fingerprint.cli.{module}"), name)
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        if isinstance(found, typer.Typer):
            single.add_typer(found, name=cmd_name)
            return typer.main.get_group(single).commands[cmd_name]
        single.command(cmd_name)(found)
        return typer.main.get_command(single)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  # as above
        with formatter.section("Commands"):
            formatter.write_dl([(name, said) for name, (_, said) in COMMANDS.items()])
