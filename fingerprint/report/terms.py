"""Terms, error codes and methods in words; the words themselves are data, in ``terms.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import resources

from fingerprint.errors import UsageError
from fingerprint.text import safe_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One explained word: a term, an error code or a method."""

    key: str
    title: str
    text: str
    do: str = ""
    source: str = ""
    see: tuple[str, ...] = ()
    page: bool = False


@cache
def entries() -> dict[str, Entry]:
    """All entries by their key in lower case: terms, exit codes, error codes, methods."""
    text = (resources.files("fingerprint.report") / "terms.toml").read_text("utf-8")
    found = {}
    for group in tomllib.loads(text).values():
        for key, fields in group.items():
            see = tuple(fields.pop("see", ()))
            found[key.lower()] = Entry(key=key, see=see, **fields)
    return found


def glossary() -> tuple[Entry, ...]:
    """The terms that the page explains, in the order of the file."""
    return tuple(entry for entry in entries().values() if entry.page)


def find(word: str) -> Entry:
    """The entry of a word, whatever its case and its separators.

    Raises:
        UsageError: nobody has explained it; the message names words that look like it.

    """
    known = entries()
    wanted = word.strip().lower()
    dashed = wanted.replace(" ", "-").replace("_", "-")
    for spelling in (
        wanted,
        dashed,
        dashed.replace("-", "_"),
        f"fp-{dashed}",
        f"exit-{dashed}",
        dashed.replace("-code-", "-"),
    ):
        if spelling in known:
            return known[spelling]
    titles = {entry.title.lower(): entry for entry in known.values()}
    if wanted in titles:
        return titles[wanted]
    close = get_close_matches(wanted, known, n=5, cutoff=0.5)
    hint = f"Close to it: {', '.join(close)}." if close else "`fingerprint explain` without a word lists them all."
    raise UsageError(f"Nothing explains {safe_text(word, limit=60)!r}.", hint=hint)
