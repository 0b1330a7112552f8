"""Foreign strings: everything a model, a file or a server said passes here before a person sees it."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

_SHOWN = 200
#: What a runner of workflows takes for a command in a program's output: after blanks at the start of a line, which
#: wrapping can make of any place, or anywhere (actions/runner, ActionCommand.cs; Azure and TeamCity have their own).
_COMMAND = re.compile(
    r"::(?=(?:error|warning|notice|debug|group|endgroup|echo|stop-commands|set-env|set-output|save-state|add-path"
    r"|add-mask|add-matcher|remove-matcher)(?![\w-]))|##(?=\[|vso\[|teamcity\[)",
    re.IGNORECASE,
)
#: In JSON, which readers turn back: what no eye can see, half characters, and the commands that act anywhere in a line.
_UNSEEN = re.compile(
    "[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\uffff\U000e0000-\U000e0fff]"
    r"|(?<=#)#(?=\[|vso\[|teamcity\[)",
    re.IGNORECASE,
)
# Bidirectional overrides and invisible joiners can make a terminal or a page show other text than is there.
_KEPT_SPACE = {" "}


def safe_text(value: object, *, limit: int = _SHOWN) -> str:
    """One harmless line: control, escape, bidirectional and invisible characters become visible escapes.

    So do the beginnings of commands that a CI runner would obey. Markup is left alone here, since each renderer escapes
    for its own language; the line is cut at ``limit`` characters with an ellipsis.
    """
    raw = value if isinstance(value, str) else str(value)
    cut = len(raw) > limit
    shown = _COMMAND.sub(_inert, "".join(_visible(char) for char in raw[:limit]))
    return shown + "…" if cut else shown


def _inert(found: re.Match[str]) -> str:
    return f"{found.group()[0]}\\u{ord(found.group()[1]):04x}"


def whole_text(text: str) -> str:
    """Text that every format can hold: half characters, which no UTF-8 holds, become replacement characters."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def safe_cell(value: str, *, limit: int = _SHOWN) -> str:
    """A cell of a table that no spreadsheet takes for a formula."""
    shown = safe_text(value, limit=limit)
    return "'" + shown if shown.lstrip()[:1] in tuple("=+-@＝＋－＠|%") else shown


def json_text(value: Any, *, indent: int | None = None) -> str:
    """JSON that does nothing to a terminal: it holds the same value, with escapes for what cannot be seen. One line end."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    return _UNSEEN.sub(lambda found: json.dumps(found.group())[1:-1] if found.group() != "#" else "\\u0023", text) + "\n"


def _visible(char: str) -> str:
    if char in _KEPT_SPACE:
        return char
    if char in "\n\t\r":
        return {"\n": "⏎", "\t": "⇥", "\r": "␍"}[char]
    category = unicodedata.category(char)
    if category[0] in "CZ":
        return f"\\u{ord(char):04x}"
    return char


def safe_file_name(value: str) -> str:
    """A file name out of any string: letters, digits, dots, dashes; never empty, never hidden."""
    kept = "".join(char if char.isalnum() or char in "._-" else "-" for char in value[:80])
    return kept.strip(".-") or "model"
