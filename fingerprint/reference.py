"""Pages that are made from the program itself: the reference of its commands, and the tables of its benchmarks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its full name, groups before what is in them, as typer makes them."""
    import typer

    from fingerprint.cli.app import app

    yield from _walk("fingerprint", typer.main.get_command(app))


def _walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    for part in command.list_commands(None) if hasattr(command, "list_commands") else ():
        inner = command.get_command(None, part)
        if not inner.hidden:
            yield from _walk(f"{name} {part}", inner)


def cli_page() -> str:
    """The reference of all commands as Markdown."""
    parts = ["# Commands", "", "Made from the program; `fingerprint COMMAND --help` says the same.", ""]
    for name, command in commands():
        parts += [f"## `{name}`", "", (command.help or "").strip(), ""]
        if not hasattr(command, "commands"):
            parts += _usage(name, command)
    return "\n".join(parts)


def _usage(name: str, command: Any) -> list[str]:
    context = command.make_context(name, [], resilient_parsing=True)
    usage = " ".join(command.collect_usage_pieces(context))
    rows = [_row(parameter, context) for parameter in command.get_params(context)]
    table = ["| argument or option | meaning | default |", "|---|---|---|", *rows, ""] if rows else []
    return ["```", f"{name} {usage}", "```", "", *table]


def _row(parameter: Any, context: Any) -> str:
    if parameter.param_type_name == "option":
        label = ", ".join((*parameter.opts, *parameter.secondary_opts))
        default = parameter.get_default(context)
        plain = isinstance(default, int | float | str) and not isinstance(default, bool)
        shown = str(default) if plain else ""
        shown = parameter.show_default if isinstance(parameter.show_default, str) else shown
    else:
        label, shown = parameter.metavar or parameter.name.upper(), ""
    return f"| `{label}` | {_cell(parameter.help or '')} | {_cell(shown)} |"


def error_page(folder: Path) -> str:
    """All tables of the benchmarks (``*.json`` in a folder) as Markdown."""
    parts = [
        "# Error rates",
        "",
        "Made from the files that `fingerprint bench …` wrote into `bench/`; nothing here was typed by hand.",
        "What is measured stands in [Methods](methods.md); the populations are described in [Calibration](calibration.md).",
        "",
    ]
    for path in sorted(folder.glob("*.json")):
        value = json.loads(path.read_text("utf-8"))
        parts += [f"## {path.stem}", "", *_table(value, 3), ""]
    return "\n".join(parts)


def _table(value: Any, level: int) -> list[str]:
    """JSON as Markdown: a list or mapping of flat mappings is a table, the rest is told key by key."""
    rows = _rows(value)
    if rows:
        columns = list(dict.fromkeys(key for _, row in rows for key in row))
        head = [_line(["", *(column.replace("_", " ") for column in columns)]), "|---" * (len(columns) + 1) + "|"]
        return [*head, *(_line([name, *(row.get(column, "") for column in columns)]) for name, row in rows)]
    if isinstance(value, list):
        value = {f"{place}. {_title(row)}": row for place, row in enumerate(value, 1)}
    if not isinstance(value, Mapping):
        return [_cell(value), ""]
    flat = {key: inner for key, inner in value.items() if _is_flat(inner)}
    parts = [f"* {_cell(key).replace('_', ' ')}: {_cell(inner)}" for key, inner in flat.items()]
    for key, inner in value.items():
        if key not in flat:
            parts += ["", f"{'#' * min(level, 6)} {_cell(key).replace('_', ' ')}", "", *_table(inner, level + 1)]
    return parts


def _title(row: Any) -> str:
    """What a row of a list is called: its first words."""
    words = [str(each) for each in row.values() if isinstance(each, str)] if isinstance(row, Mapping) else []
    return " · ".join(words[:2])


def _line(cells: Sequence[Any]) -> str:
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _rows(value: Any) -> list[tuple[str, Mapping[str, Any]]]:
    if not isinstance(value, Mapping | list):
        return []
    named = list(value.items() if isinstance(value, Mapping) else enumerate(value, 1))
    whole = bool(named) and all(isinstance(row, Mapping) and all(map(_is_flat, row.values())) for _, row in named)
    return [(str(name), row) for name, row in named] if whole else []


def _is_flat(value: Any) -> bool:
    """A number, a word, or a short list of them."""
    if isinstance(value, list):
        return len(value) <= 4 and all(isinstance(part, int | float | str | None) for part in value)
    return not isinstance(value, Mapping)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        value = " … ".join(str(part) for part in value)
    return str(value).replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
