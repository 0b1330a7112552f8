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
    "openai": "fingerprint.models.http:open_server",
}


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
