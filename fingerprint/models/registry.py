"""One door to all backends: built-in schemes and those that installed packages announce."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module, metadata
from typing import cast

from fingerprint.errors import SpecError
from fingerprint.models.base import Backend
from fingerprint.models.spec import ModelSpec

ENTRY_POINTS = "fingerprint.backends"
Opener = Callable[[ModelSpec], Backend]

# Strings, so that naming a backend does not import torch.
_BUILTIN = {
    "path": "fingerprint.models.local:open_path",
    "hf": "fingerprint.models.local:open_hub",
    "gguf": "fingerprint.models.local:open_gguf",
    "zoo": "fingerprint.models.local:open_zoo",
    "toy": "fingerprint.models.toy:open_toy",
    "openai": "fingerprint.models.http_open:open_server",
}


#: Packages that a kind of model needs beyond the standard library.
_NEEDS: dict[str, tuple[str, ...]] = {
    "path": ("torch", "transformers"),
    "hf": ("torch", "transformers", "huggingface_hub"),
    "gguf": ("torch", "transformers", "gguf", "accelerate"),
    "zoo": ("torch", "transformers"),
    "openai": ("httpx", "stamina"),
}


def schemes() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Every kind of model: where it comes from if it is not built in, and the packages it needs."""
    known = {name: ("", _NEEDS.get(name, ())) for name in _BUILTIN}
    for point in metadata.entry_points(group=ENTRY_POINTS):
        known.setdefault(point.name, (f" (from {point.value})", ()))
    return known


def open_model(spec: ModelSpec) -> Backend:
    """Open the model that a spec names.

    Raises:
        SpecError: nobody knows the scheme.
        ModelError: the model cannot be loaded or is not trusted.

    """
    announced = {point.name: point for point in metadata.entry_points(group=ENTRY_POINTS)}
    if spec.scheme in _BUILTIN:
        module, _, name = _BUILTIN[spec.scheme].partition(":")
        return cast("Opener", getattr(import_module(module), name))(spec)
    if spec.scheme in announced:
        return cast("Opener", announced[spec.scheme].load())(spec)
    known = ", ".join((*_BUILTIN, "rec", *announced))
    raise SpecError(f"There is no kind of model called {spec.scheme!r}.", hint=f"Known schemes: {known}.")
