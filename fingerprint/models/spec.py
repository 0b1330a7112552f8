"""Model specs: one token that names a model, read by its shape and never by what happens to exist."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from fingerprint.errors import SpecError
from fingerprint.text import safe_text

_SCHEME = re.compile(r"^([a-z][a-z0-9+-]*):(?!//)(.*)$", re.DOTALL)
_EXAMPLES = "Examples: ./checkpoint, hf:org/name@rev, gguf:./m.gguf, rec:answers.jsonl, zoo:teacher, toy:parrot."


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A parsed spec; ``str()`` prints one that parses to the same."""

    scheme: str
    locator: str
    revision: str = ""
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        at = f"@{self.revision}" if self.revision else ""
        query = f"?{urlencode(self.options)}" if self.options else ""
        return f"{self.scheme}:{self.locator}{at}{query}"

    def option(self, name: str, default: str) -> str:
        return dict(self.options).get(name, default)


def parse_spec(text: str) -> ModelSpec:
    """Parse ``[scheme:]locator[@revision][?key=value&…]``.

    Without a scheme: a leading ``.``, ``/`` or ``~`` is a path, the endings ``.gguf``, ``.jsonl`` and
    ``.jsonl.zst`` decide the kind, ``-`` is a recording on stdin, and ``a/b`` is a hub repository.

    Raises:
        SpecError: it has none of these shapes.

    """
    body, _, query = text.strip().partition("?")
    options = tuple(parse_qsl(query, keep_blank_values=True))
    if not body:
        raise SpecError("A model spec is empty.", hint=_EXAMPLES)
    if body == "-":
        return ModelSpec(scheme="rec", locator="-", options=options)
    match = _SCHEME.match(body)
    scheme, rest = (match.group(1), match.group(2)) if match else ("", body)
    if not rest:
        raise SpecError(f"The model spec {safe_text(body)!r} names no model after its scheme.", hint=_EXAMPLES)
    scheme = scheme or _scheme_by_shape(rest)
    revision = ""
    if scheme == "hf":
        rest, _, revision = rest.partition("@")
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", rest):
            raise SpecError(f"{safe_text(rest)!r} is not a hub repository of the form org/name.", hint=_EXAMPLES)
    return ModelSpec(scheme=scheme, locator=rest, revision=revision, options=options)


def _scheme_by_shape(rest: str) -> str:
    if rest.endswith(".gguf"):
        return "gguf"
    if rest.endswith((".jsonl", ".jsonl.zst")):
        return "rec"
    if rest[0] in "./~":
        return "path"
    if re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", rest):
        return "hf"
    # The options are left out: somebody may have put a key there.
    raise SpecError(f"The model spec {safe_text(rest)!r} has no shape that names a model.", hint=_EXAMPLES)
