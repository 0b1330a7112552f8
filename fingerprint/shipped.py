"""What ships with the package: models of known lineage, their cards, and their recordings as a default population."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from fingerprint import recording_file
from fingerprint.recording import Recording


def root() -> Path:
    """The folder of the shipped zoo."""
    return Path(str(resources.files("fingerprint"))) / "zoo"


@cache
def cards() -> dict[str, dict[str, Any]]:
    """Cards of the shipped models, by id, as plain JSON."""
    found = sorted((root() / "models").glob("*/card.json"))
    return {path.parent.name: json.loads(path.read_text("utf-8")) for path in found}


@cache
def recordings() -> tuple[Recording, ...]:
    """Recordings of the shipped models on the built-in probe sets."""
    return tuple(recording_file.read(path) for path in sorted((root() / "recordings").glob("*.jsonl.zst")))


def descendants(weights: str) -> set[str]:
    """Weight digests of the shipped models that descend from the one with the digest ``weights``, by their cards."""
    known = cards()
    found = {name for name, card in known.items() if f"sha256:{card['weights_sha256']}" == weights}
    size = -1
    while size != len(found):
        size = len(found)
        found |= {name for name, card in known.items() if set(card["parents"]) & found}
    return {f"sha256:{known[name]['weights_sha256']}" for name in found} - {weights}
