"""What a model says of its own origin: its card, its GGUF metadata, its configuration. Read, never believed.

Sources: ``base_model`` and ``base_model_relation`` of a model card's front matter, ``general.base_model.*`` of GGUF,
``base_model_name_or_path`` of an adapter, ``_name_or_path`` of a configuration.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fingerprint.errors import ModelError
from fingerprint.models.spec import ModelSpec, parse_spec
from fingerprint.models.weight_files import locate, read_json
from fingerprint.tensors.gguf_header import read_header
from fingerprint.text import safe_text

RELATIONS = ("finetune", "quantized", "merge", "adapter")
_REPOSITORY = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")
_URL = re.compile(r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+)")
#: A front matter longer than this is no front matter; more parents than this are no claim.
_MOST_TEXT, _MOST_CLAIMS = 1 << 16, 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A declared parent. Foreign strings: show them through `safe_text`.

    ``relation`` is one of `RELATIONS` or "unknown"; ``source`` says where it stands; ``spec`` names the parent's weights
    on this disk, and is empty where there are none.
    """

    parent: str
    relation: str
    source: str
    spec: str = ""


def read_claims(spec: str | ModelSpec) -> tuple[Claim, ...]:
    """All declared parents of a model, each once.

    Raises:
        SpecError: the spec names nothing that lies on this disk.
        ModelError: there is nothing at that place, or what it says cannot be read.

    """
    place = locate(spec)
    found = list(_from_gguf(place) if place.is_file() else _from_folder(place))
    parsed = parse_spec(spec) if isinstance(spec, str) else spec
    return tuple(replace(claim, spec=_resolved(claim.parent, place, parsed)) for claim in _merged(found))


def _merged(claims: Iterable[Claim]) -> list[Claim]:
    known: dict[str, Claim] = {}
    for claim in claims:
        before = known.get(claim.parent)
        if before is None:
            known[claim.parent] = claim
        else:
            relation = before.relation if before.relation != "unknown" else claim.relation
            known[claim.parent] = replace(before, relation=relation, source=f"{before.source}, {claim.source}")
    return list(known.values())[:_MOST_CLAIMS]


def _from_folder(folder: Path) -> Iterator[Claim]:
    yield from _from_card(folder / "README.md")
    adapter = read_json(folder / "adapter_config.json").get("base_model_name_or_path")
    if isinstance(adapter, str) and adapter.strip():
        yield Claim(parent=_plain(adapter), relation="adapter", source="adapter_config.json base_model_name_or_path")
    named = read_json(folder / "config.json").get("_name_or_path")
    # A configuration often names the model itself, which claims nothing.
    if isinstance(named, str) and named.strip("./ ") and _last(named) != folder.resolve().name:
        yield Claim(parent=_plain(named), relation="unknown", source="config.json _name_or_path")


def _from_gguf(path: Path) -> Iterator[Claim]:
    fields, _ = read_header(path)
    count = fields.get("general.base_model.count", 0)
    for number in range(min(int(count) if isinstance(count, int) else 0, _MOST_CLAIMS)):
        name, organization, url = (
            fields.get(f"general.base_model.{number}.{key}", "") for key in ("name", "organization", "repo_url")
        )
        linked = _URL.search(str(url))
        parent = linked.group(1) if linked else "/".join(str(part) for part in (organization, name) if part)
        if parent:
            yield Claim(parent=_plain(parent), relation="unknown", source=f"GGUF general.base_model.{number}")
    yield from _from_card(path.parent / "README.md")


def _from_card(path: Path) -> Iterator[Claim]:
    front = _front_matter(path)
    declared = front.get("base_model")
    names = [declared] if isinstance(declared, str) else declared if isinstance(declared, list) else []
    relation = front.get("base_model_relation")
    known = relation if relation in RELATIONS else "merge" if len(names) > 1 else "unknown"
    for name in names[:_MOST_CLAIMS]:
        if isinstance(name, str) and name.strip():
            yield Claim(parent=_plain(name), relation=str(known), source="README.md base_model")


def _front_matter(path: Path) -> dict[str, Any]:
    """The YAML between the first two lines of ``---``; empty where there is none.

    Raises:
        ModelError: it is there and is not YAML.

    """
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", errors="replace") as file:
        text = file.read(_MOST_TEXT)
    match = re.match(r"\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*$", text, re.DOTALL | re.MULTILINE)
    if match is None:
        return {}
    import yaml

    try:
        # The safe loader builds plain values only; aliases stay references, so they cannot grow.
        found = yaml.safe_load(match.group(1))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        line = str(getattr(error, "problem", "") or "it is not YAML")
        raise ModelError(
            f"The front matter of {safe_text(path.name)} cannot be read: {safe_text(line, limit=120)}.",
            hint="Correct the lines between the first two '---' of the card.",
        ) from error
    return found if isinstance(found, dict) else {}


def _plain(name: str) -> str:
    linked = _URL.fullmatch(name.strip().rstrip("/"))
    return linked.group(1) if linked else name.strip()[:200]


def _last(name: str) -> str:
    return name.strip().rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1]


def _resolved(parent: str, place: Path, own: ModelSpec) -> str:
    """A spec of the parent's weights: the hub's cache, or a neighbour of the model with the parent's name.

    A path that a card names is not opened: a card is written by strangers.
    """
    if _REPOSITORY.fullmatch(parent) and str(own) != f"hf:{parent}":
        try:
            locate(f"hf:{parent}")
        except ModelError:
            pass
        else:
            return f"hf:{parent}"
    last = _last(parent)
    if own.scheme == "hf" or not re.fullmatch(r"[\w-][\w.-]*", last):
        return ""
    for neighbour in (place.parent / last, place.parent / f"{last}.gguf"):
        if neighbour.resolve() != place.resolve() and (neighbour.is_file() or any(neighbour.glob("*.safetensors"))):
            return f"gguf:{neighbour}" if neighbour.is_file() else f"path:{neighbour}"
    return ""
