"""Probe sets: curated prompts with a card each; loaded by name, by path or from entry points."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fingerprint.canonical import digest
from fingerprint.errors import ProbeError
from fingerprint.recording import Channel, ProbeSetRef, Prompt
from fingerprint.text import safe_text

ENTRY_POINTS = "fingerprint.probes"
_ID = r"^[a-z0-9][a-z0-9._-]*$"


class Card(BaseModel):
    """What a set is for, what it needs, and how it could mislead."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=_ID)]
    version: str
    title: str
    purpose: str
    access: tuple[Literal["text", "topk", "score"], ...]
    language: tuple[str, ...]
    confounder: str
    licence: str
    digest: str = ""


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    channel: Channel = "chat"
    max_tokens: Annotated[int, Field(ge=1, le=4096)] = 32
    draws: Annotated[int, Field(ge=0, le=1000)] = 1
    positions: Annotated[int, Field(ge=0, le=64)] = 1


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=_ID)]
    text: Annotated[str, Field(min_length=1, max_length=20_000)]
    tags: tuple[str, ...] = ()
    system: str = ""
    twin: str = ""
    answer: str = ""
    channel: Channel | None = None
    max_tokens: int | None = None
    draws: int | None = None
    positions: int | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    card: Card
    defaults: _Settings = _Settings()
    probe: Annotated[tuple[_Row, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One question to a model, and how it is to be asked."""

    id: str
    text: str
    set: str
    channel: Channel = "chat"
    tags: tuple[str, ...] = ()
    system: str = ""
    twin: str = ""
    answer: str = ""
    max_tokens: int = 32
    draws: int = 1
    positions: int = 1

    @property
    def prompt(self) -> Prompt:
        """The probe as a recording keeps it; ``family`` is the block for clustered statistics."""
        family = "/".join((self.set, *self.tags[:1]))
        return Prompt(id=self.id, text=self.text, channel=self.channel, system=self.system, family=family, set=self.set)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSet:
    """A card and its probes. ``digest`` is over all that a model could notice."""

    card: Card
    probes: tuple[Probe, ...]
    digest: str

    @property
    def ref(self) -> ProbeSetRef:
        return ProbeSetRef(name=self.card.name, version=self.card.version, digest=self.digest)


def parse(text: str, origin: str) -> ProbeSet:
    """A probe set from the text of its TOML file.

    Raises:
        ProbeError: it is not TOML, lacks something, or uses an id twice.

    """
    try:
        file = _File.model_validate(tomllib.loads(text))
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise ProbeError(f"The probe set {origin} is not valid at {safe_text(place)}: {fault['msg']}.") from error
    except (ValueError, RecursionError) as error:  # of TOML: a number may be too long for Python as well
        raise ProbeError(f"The probe set {origin} is not valid TOML: {error}.") from error
    probes = tuple(_probe(row, file) for row in file.probe)
    ids = [probe.id for probe in probes]
    for probe in probes:
        if ids.count(probe.id) > 1:
            raise ProbeError(f"The probe set {origin} uses the id {probe.id} twice.")
        if probe.twin and probe.twin not in ids:
            twin = safe_text(probe.twin)
            raise ProbeError(f"The probe {probe.id} of {origin} names the twin {twin}, which is not there.")
    content = {"defaults": file.defaults.model_dump(), "probe": [row.model_dump() for row in file.probe]}
    return ProbeSet(card=file.card, probes=probes, digest=digest(content))


def _probe(row: _Row, file: _File) -> Probe:
    own = row.model_dump(exclude_none=True)
    return Probe(set=file.card.name, **{**file.defaults.model_dump(), **own})


@cache
def builtin() -> dict[str, ProbeSet]:
    """The sets that ship with the package and those that installed packages announce, by name."""
    folder: Traversable = resources.files("fingerprint._probes")
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".toml")), key=lambda e: e.name)
    sets = [parse(entry.read_text("utf-8"), entry.name) for entry in files]
    sets.extend(load_path(Path(str(point.load()))) for point in metadata.entry_points(group=ENTRY_POINTS))
    return {probe_set.card.name: probe_set for probe_set in sets}


def load_path(path: Path) -> ProbeSet:
    """A probe set from a TOML file."""
    try:
        return parse(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ProbeError(f"The probe set {path} cannot be read: {error}.") from error


def load(names: str = "all") -> tuple[ProbeSet, ...]:
    """Probe sets by a comma-separated list of names and paths; ``all`` is every built-in set.

    Raises:
        ProbeError: a name is unknown, or two sets share probe ids.

    """
    known = builtin()
    chosen: list[ProbeSet] = []
    for name in (part.strip() for part in names.split(",")):
        if name == "all":
            chosen.extend(known.values())
        elif name in known:
            chosen.append(known[name])
        elif name.endswith(".toml"):
            chosen.append(load_path(Path(name)))
        else:
            raise ProbeError(
                f"There is no probe set {safe_text(name)!r}.",
                hint=f"Known: {', '.join(known)}; or the path of a .toml file.",
            )
    seen: dict[str, str] = {}
    for probe_set in chosen:
        for probe in probe_set.probes:
            if probe.id in seen:
                raise ProbeError(f"The id {probe.id} is in {seen[probe.id]} and in {probe_set.card.name}.")
            seen[probe.id] = probe_set.card.name
    return tuple(chosen)


def with_digest(text: str, value: str) -> str:
    """The text of a probe set's file with ``value`` as the digest in its card."""
    import re

    return re.sub(r'(?m)^digest = ".*"$', f'digest = "{value}"', text, count=1)
