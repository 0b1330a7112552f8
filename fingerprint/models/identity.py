"""Identity of a model: digests of its weights, configuration, tokenizer and chat template."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fingerprint.canonical import digest
from fingerprint.recording import ModelInfo

_CHUNK = 1 << 22
#: Configuration keys that say where a file came from or who wrote it, not what the model computes.
_VOLATILE = {"_name_or_path", "transformers_version", "dtype", "torch_dtype", "_commit_hash"}


def file_digest(path: Path) -> str:
    """SHA-256 of a file. The next piece is read while one is digested, so the slower of the two sets the pace."""
    found = hashlib.sha256()
    with path.open("rb", buffering=0) as file, ThreadPoolExecutor(1) as reader:
        piece = file.read(_CHUNK)
        while piece:
            following = reader.submit(file.read, _CHUNK)
            found.update(piece)
            piece = following.result()
    return "sha256:" + found.hexdigest()


def weights_digest(files: Sequence[Path]) -> str:
    """One digest of all weight files, by the content and order of their names, not by where they lie."""
    if len(files) == 1:
        return file_digest(files[0])
    return digest([[path.name, file_digest(path)] for path in sorted(files)])


def describe(*, name: str, kind: str, weights: str, model: Any, tokenizer: Any) -> ModelInfo:
    """`ModelInfo` of a loaded transformers model and its tokenizer."""
    config = {key: value for key, value in model.config.to_dict().items() if key not in _VOLATILE}
    vocabulary = digest(sorted(tokenizer.get_vocab().items()))
    template = getattr(tokenizer, "chat_template", None)
    template_digest = digest(template) if template else ""
    config_digest = digest(_plain(config))
    return ModelInfo(
        name=name,
        kind=kind,
        digest=digest([weights, config_digest, vocabulary, template_digest]),
        architecture=type(model).__name__,
        parameters=int(model.num_parameters()),
        vocabulary=int(model.config.get_text_config().vocab_size),
        weights=weights,
        tokenizer=vocabulary,
        template=template_digest,
    )


def _plain(value: Any) -> Any:
    """JSON-able copy of a configuration: anything unusual by its text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | bool) or value is None else repr(value)
