"""Models on this disk or in the hub's cache, through transformers: safetensors and GGUF, no code, no pickle."""

from __future__ import annotations

import io
import json
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fingerprint.errors import ModelError, ModelRefused, SpecError
from fingerprint.text import safe_text

if TYPE_CHECKING:
    from fingerprint.models.spec import ModelSpec
    from fingerprint.models.torch_model import TorchModel

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
_HUB_FILES = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.model", "*.txt", "*.jinja"]
_ZOO = "fingerprint.zoo"


def open_path(spec: ModelSpec) -> TorchModel:
    """A folder with ``config.json``, a tokenizer and safetensors."""
    folder = Path(spec.locator).expanduser()
    return _open_folder(folder, folder.resolve().name)


def open_zoo(spec: ModelSpec) -> TorchModel:
    """One of the small models that ship with the package."""
    root = Path(str(resources.files(_ZOO))) / "models"
    names = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    if spec.locator not in names:
        raise SpecError(f"The zoo has no model {safe_text(spec.locator)!r}.", hint=f"It has: {', '.join(names)}.")
    return _open_folder(root / spec.locator, spec.locator)


def open_hub(spec: ModelSpec) -> TorchModel:
    """A repository of the model hub; downloaded once, then read from its cache."""
    from huggingface_hub import snapshot_download

    try:
        with _quiet():
            folder = snapshot_download(
                spec.locator, revision=spec.revision or None, allow_patterns=_HUB_FILES, max_workers=2
            )
    except Exception as error:  # the hub client raises a dozen unrelated classes, some of them builtins
        raise ModelError(
            f"The hub model {spec.locator} could not be fetched: {_reason(error)}.",
            hint="Check the name, the revision and the network, or give a local folder as ./folder.",
        ) from error
    return _open_folder(Path(folder), spec.locator)


def open_gguf(spec: ModelSpec) -> TorchModel:
    """A GGUF file, dequantised to float32."""
    path = Path(spec.locator).expanduser()
    if not path.is_file():
        raise ModelError(f"There is no GGUF file {safe_text(spec.locator)}.", hint="Check the path.")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ModelError(f"{safe_text(path.name)} is not a GGUF file: it does not start with the letters GGUF.")
    try:
        import gguf  # noqa: F401  # only whether it is there
    except ImportError as error:
        raise ModelError("GGUF files need an extra package.", hint="pip install 'fingerprint-lineage[gguf]'") from error
    return _load(path.parent, [path], name=path.stem, kind="gguf", gguf_file=path.name)


def _open_folder(folder: Path, name: str) -> TorchModel:
    if not folder.exists():
        raise ModelError(f"There is no model folder {safe_text(folder)}.", hint="Check the path.")
    if not folder.is_dir():
        raise ModelError(f"{safe_text(folder)} is a file, not a model folder.", hint="Give the folder that holds it.")
    config = _read_config(folder)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        _refuse_without_safetensors(folder)
    if "auto_map" in config:
        raise ModelRefused(
            f"The model {safe_text(name)} wants to run its own code (auto_map in config.json).",
            hint="fingerprint never runs code from a model; convert it to an architecture of transformers.",
        )
    _check_shards(folder, weights)
    return _load(folder, weights, name=name, kind="transformers")


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise ModelError(
            f"The folder {safe_text(folder)} has no config.json, so it is not a model of transformers.",
            hint="Give the folder that save_pretrained wrote.",
        )
    try:
        config = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ModelError(f"{safe_text(path)} is not valid JSON: {safe_text(error)}.") from error
    if not isinstance(config, dict):
        raise ModelError(f"{safe_text(path)} is not a JSON object.")
    return config


def _refuse_without_safetensors(folder: Path) -> None:
    pickles = [path.name for pattern in _PICKLES for path in folder.glob(pattern)]
    if pickles:
        raise ModelRefused(
            f"The folder {safe_text(folder)} has pickled weights only ({safe_text(pickles[0])}), which can run code.",
            hint="Convert them to safetensors.",
        )
    raise ModelError(f"The folder {safe_text(folder)} has no .safetensors file.", hint="Give a folder with weights.")


def _check_shards(folder: Path, weights: list[Path]) -> None:
    from safetensors import SafetensorError, safe_open

    for path in weights:
        try:
            with safe_open(path, framework="pt") as file:
                file.keys()
        except (SafetensorError, OSError) as error:
            raise ModelError(
                f"The weights {safe_text(path.name)} are damaged or cut off: {_reason(error)}.",
                hint="Copy or download the file again.",
            ) from error
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        named = set(json.loads(index.read_text("utf-8")).get("weight_map", {}).values())
        missing = sorted(named - {path.name for path in weights})
        if missing:
            raise ModelError(f"The weights are not whole: {safe_text(missing[0])} is named in the index but missing.")


def _load(folder: Path, weights: list[Path], *, name: str, kind: str, gguf_file: str | None = None) -> TorchModel:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from fingerprint.models.identity import describe, weights_digest
    from fingerprint.models.torch_model import TorchModel

    extra: dict[str, Any] = {"gguf_file": gguf_file} if gguf_file else {"use_safetensors": True}
    try:
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True, **({"gguf_file": gguf_file} if gguf_file else {})
            )
            model = AutoModelForCausalLM.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True, dtype=torch.float32, **extra
            )
    except Exception as error:  # loaders of dozens of architectures raise whatever they like
        raise ModelError(
            f"The model {safe_text(name)} cannot be loaded: {_reason(error)}.",
            hint="It must be a causal language model that this version of transformers knows.",
        ) from error
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(f"The model {safe_text(name)} has no fast tokenizer, which byte alignment needs.")
    digest = weights_digest(weights)
    info = describe(name=name, kind=kind, weights=digest, model=model, tokenizer=tokenizer)
    return TorchModel(model, tokenizer, info)


def _reason(error: Exception) -> str:
    """The first sentence of a foreign error, without the paths in it."""
    text = str(error).strip() or type(error).__name__
    line = next((part for part in text.splitlines() if part.strip()), type(error).__name__)
    return safe_text(re.sub(r"(/[\w.@+-]+){2,}", "…", line), limit=160).rstrip(".")


@contextmanager
def _quiet() -> Iterator[None]:
    """Loaders talk a lot; our own messages say what matters."""
    from transformers.utils import logging as transformers_logging

    hub, level = logging.getLogger("huggingface_hub"), transformers_logging.get_verbosity()
    hub_level = hub.level
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    hub.setLevel(logging.ERROR)
    try:
        # The GGUF reader draws its progress whatever the settings say.
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers_logging.set_verbosity(level)
        hub.setLevel(hub_level)
