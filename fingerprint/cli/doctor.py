"""``fingerprint doctor``: what is installed, which kinds of models can be opened, where settings come from."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

_NEEDED = (
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "numpy",
    "scipy",
    "scikit-learn",
    "pydantic",
    "httpx",
    "stamina",
)
_EXTRAS = {"gguf": "GGUF files", "accelerate": "GGUF files", "ray": "work on several machines"}
_SETTINGS = (
    "FINGERPRINT_CACHE",
    "FINGERPRINT_DEBUG",
    "XDG_CACHE_HOME",
    "OPENAI_BASE_URL",
    "HF_HOME",
    "HF_HUB_OFFLINE",
    "NO_COLOR",
)
_KEYS = ("OPENAI_API_KEY", "HF_TOKEN")


def doctor(
    model: Annotated[str, typer.Argument(help="A model to open and shake hands with, e.g. openai:… or zoo:teacher.")] = "",
) -> None:
    """Say what is installed, what works, and where settings come from; keys are shown as set or not set."""
    from fingerprint.text import safe_text

    for line in [*_installed(), "", *_backends(), "", *_settings()]:
        sys.stdout.write(safe_text(line, limit=500) + "\n")
    if model:
        sys.stdout.write("\n")
        for line in _handshake(model):
            sys.stdout.write(safe_text(line, limit=1000) + "\n")


def _installed() -> Iterator[str]:
    from importlib import metadata
    from platform import machine, python_version, system

    from fingerprint._version import __version__

    yield f"fingerprint {__version__}, Python {python_version()}, {system()} {machine()}"
    for name in (*_NEEDED, *_EXTRAS):
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            version = f"not installed (only for {_EXTRAS[name]})" if name in _EXTRAS else "NOT INSTALLED"
        yield f"  {name:<14} {version}"


def _backends() -> Iterator[str]:
    """Every kind of model, and whether its code can be imported here; nothing is opened."""
    from importlib.util import find_spec

    from fingerprint.models.registry import schemes

    yield "kinds of models:"
    for name, (origin, needs) in schemes().items():
        missing = [need for need in needs if find_spec(need) is None]
        yield f"  {name + ':':<10} {'needs ' + ', '.join(missing) if missing else 'works'}{origin}"


def _settings() -> Iterator[str]:
    from fingerprint.collection.store import Store, default_root

    yield "settings:"
    root = default_root()
    came_from = next((name for name in ("FINGERPRINT_CACHE", "XDG_CACHE_HOME") if os.environ.get(name)), "the default")
    yield f"  store          {root} (from {came_from})"
    yield f"                 {Store.size(root).told}; {_writable(root)}"
    for name in _SETTINGS:
        value = os.environ.get(name)
        # An address may hold a password.
        shown = "not set" if value is None else "set" if "URL" in name else value
        yield f"  {name:<18} {shown}"
    yield "keys (never shown, never stored):"
    for name in _KEYS:
        yield f"  {name:<18} {'set' if os.environ.get(name) else 'not set'}"


def _writable(root: os.PathLike[str]) -> str:
    from pathlib import Path

    path = Path(root)
    there = next(parent for parent in (path, *path.parents) if parent.exists())
    return "writable" if os.access(there, os.W_OK) else "NOT WRITABLE"


def _handshake(model: str) -> Iterator[str]:
    from fingerprint.models.handshake import shake_hands
    from fingerprint.models.http import HttpModel
    from fingerprint.models.registry import open_model
    from fingerprint.models.spec import parse_spec

    backend = open_model(parse_spec(model))
    agreed = shake_hands(backend)
    can = agreed.capabilities
    yield f"{backend.info.name}: {backend.runtime}, digest {backend.info.digest[:19]}"
    yield f"  answers        {'yes' if can.samples else 'no'}"
    inside = ", inside prompts too" if can.inner_positions else ""
    yield f"  next tokens    {f'lists of {can.topk}{inside}' if can.topk else 'no'}"
    yield f"  scores texts   {'yes' if can.scores else 'no'}"
    yield f"  weights        {'open' if can.weights else 'closed'}"
    notes = list(agreed.notes)
    if isinstance(backend, HttpModel):
        terms, options = backend.terms, backend.options
        channels = [name for name, there in (("chat", terms.chat), ("completions", terms.raw)) if there]
        yield f"  server         {' and '.join(channels)}; {options.concurrency} requests at a time"
        yield f"  key            {'set, from ' + options.key_env if options.key else 'none sent'}"
        notes += backend.notes
    for note in notes:
        yield f"  note           {note.text}"
