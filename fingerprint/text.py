"""Foreign strings: everything a model, a file or a server said passes here before a person sees it."""

from __future__ import annotations

import unicodedata

_SHOWN = 200
# Bidirectional overrides and invisible joiners can make a terminal or a page show other text than is there.
_KEPT_SPACE = {" "}


def safe_text(value: object, *, limit: int = _SHOWN) -> str:
    """One harmless line: control, escape, bidirectional and invisible characters become visible escapes.

    Markup is left alone here, since each renderer escapes for its own language; the line is cut at
    ``limit`` characters with an ellipsis.
    """
    raw = value if isinstance(value, str) else str(value)
    cut = len(raw) > limit
    shown = "".join(_visible(char) for char in raw[:limit])
    return shown + "…" if cut else shown


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
