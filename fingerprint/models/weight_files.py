"""From a model spec to its weights on this disk; nothing is fetched, nothing is run, torch is not imported."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from fingerprint.errors import ModelError, ModelRefused, SpecError
from fingerprint.models.spec import ModelSpec, parse_spec
from fingerprint.tensors.base import Checkpoint
from fingerprint.tensors.gguf_file import read_gguf
from fingerprint.tensors.model import Weights
from fingerprint.tensors.packed import unpack
from fingerprint.tensors.safetensors_files import check_index, read_headers
from fingerprint.text import safe_text

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
OPEN_SCHEMES = frozenset({"path", "hf", "gguf", "zoo"})
_MOST_JSON = 1 << 28


def open_weights(spec: str | ModelSpec) -> Weights:
    """The weights that a spec names.

    Raises:
        SpecError: the spec names no open weights.
        ModelError: they are not on this disk, damaged, not whole, or in a format that is not read.
        ModelRefused: there is nothing but pickle.

    """
    place = locate(spec)
    if place.is_file():
        tensors, fields = read_gguf(place)
        tokens = fields.get("tokenizer.ggml.tokens")
        return Weights(
            checkpoint=Checkpoint(
                name=place.stem,
                files=(place,),
                tensors=tensors,
                config={key: value for key, value in fields.items() if not key.startswith("tokenizer.")},
                vocabulary={str(token): row for row, token in enumerate(tokens)} if isinstance(tokens, list) else None,
                container="gguf",
            )
        )
    return Weights(checkpoint=_open_folder(place, _name(spec, place)))


def locate(spec: str | ModelSpec) -> Path:
    """The folder or GGUF file of a spec.

    Raises:
        SpecError: the spec names no open weights.
        ModelError: there is nothing at that place, or a hub model is not in the cache.

    """
    parsed = parse_spec(spec) if isinstance(spec, str) else spec
    if parsed.scheme not in OPEN_SCHEMES:
        raise SpecError(
            f"{safe_text(parsed)} names no open weights.", hint="Give a folder, a GGUF file, hf:org/name or zoo:name."
        )
    if parsed.scheme == "hf":
        return _cached(parsed)
    place = Path(parsed.locator).expanduser()
    if parsed.scheme == "zoo":
        place = Path(str(resources.files("fingerprint.zoo"))) / "models" / parsed.locator
    wanted = "GGUF file" if parsed.scheme == "gguf" else "model folder"
    if not (place.is_file() if parsed.scheme == "gguf" else place.is_dir()):
        raise ModelError(f"There is no {wanted} {safe_text(parsed.locator)}.", hint="Check the path.")
    return place


def _cached(spec: ModelSpec) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(spec.locator, revision=spec.revision or None, local_files_only=True))
    except Exception as error:  # the hub client raises a dozen unrelated classes, some of them builtins
        raise ModelError(
            f"The hub model {spec.locator} is not in the cache on this disk.",
            hint="Fetch it first, or give a local folder as ./folder.",
        ) from error


def _name(spec: str | ModelSpec, folder: Path) -> str:
    parsed = parse_spec(spec) if isinstance(spec, str) else spec
    return parsed.locator if parsed.scheme in ("hf", "zoo") else folder.resolve().name


def _open_folder(folder: Path, name: str) -> Checkpoint:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        _refuse(folder)
    stored = read_headers(files)
    check_index(folder, files, stored)
    return Checkpoint(
        name=name,
        files=tuple(files),
        tensors=unpack(stored),
        config=read_json(folder / "config.json"),
        vocabulary=_vocabulary(folder / "tokenizer.json"),
        container="safetensors",
    )


def _refuse(folder: Path) -> None:
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        raise ModelRefused(
            f"The folder {safe_text(folder)} has pickled weights only ({safe_text(pickles[0])}), which can run code.",
            hint="Convert them to safetensors.",
        )
    raise ModelError(f"The folder {safe_text(folder)} has no .safetensors file.", hint="Give a folder with weights.")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, empty where there is no file.

    Raises:
        ModelError: it is no JSON object.

    """
    if not path.is_file():
        return {}
    if path.stat().st_size > _MOST_JSON:
        raise ModelError(f"{safe_text(path.name)} is too large to be what its name says.")
    try:
        value = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{safe_text(path.name)} is not valid JSON: {safe_text(error)}.") from error
    if not isinstance(value, dict):
        raise ModelError(f"{safe_text(path.name)} is not a JSON object.")
    return value


def _vocabulary(path: Path) -> dict[str, int] | None:
    """Token strings and ids of a fast tokenizer; a list of (token, score) pairs counts by place."""
    found = read_json(path)
    model = found.get("model")
    entries = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(entries, list):
        entries = {str(entry[0]): row for row, entry in enumerate(entries) if isinstance(entry, list) and entry}
    if not isinstance(entries, dict):
        return None
    known = {str(token): int(row) for token, row in entries.items() if isinstance(row, int)}
    for added in found.get("added_tokens") or []:
        if isinstance(added, dict) and isinstance(added.get("id"), int):
            known[str(added.get("content"))] = added["id"]
    return known
