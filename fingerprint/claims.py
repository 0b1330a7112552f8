"""Claims of origin against the weights: supported, contradicted, or untested and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fingerprint.errors import ModelError, SpecError
from fingerprint.lineage import Relation, weights_relation
from fingerprint.models.claims import Claim, read_claims
from fingerprint.models.weight_files import locate
from fingerprint.text import safe_text

Status = Literal["supported", "contradicted", "untested"]
UNDECLARED = "undeclared"
#: A folder with one of these holds a model.
_OF_A_MODEL = ("config.json", "adapter_config.json", "*.safetensors")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimResult:
    """One claim and what the weights say of it: ``kind`` is copy, descent, independent, unclear, or "" if untested."""

    claim: Claim
    status: Status
    reason: str
    tested_against: str = ""
    kind: str = ""
    log10_p: float | None = None


def check_claims(spec: str, *, against: Sequence[str] = (), seed: int = 0) -> tuple[ClaimResult, ...]:
    """Test every declared parent whose weights are here.

    Args:
        spec: the model whose claims are read: a folder, a GGUF file, ``zoo:name`` or ``hf:org/name`` in the cache.
        against: specs of open weights to test with. ``NAME=SPEC`` ties one to the claimed name; a bare spec is tied to the
            claim with the same last part of its name, or to the only claim that has no weights yet. What fits no claim is
            tested as well: descent from it is an undeclared parent, and contradicts the card.
        seed: seed of the relabellings.

    Raises:
        SpecError: a spec names no open weights.
        ModelError: the model or a given reference cannot be read.

    """
    claims = list(read_claims(spec))
    tied, free = _tie(claims, against)
    found = [_tested(claim, spec, tied.get(claim.parent, claim.spec), seed) for claim in claims]
    return (*found, *_undeclared(spec, free, seed))


def models_of(files: Sequence[Path]) -> tuple[str, ...]:
    """Specs of the models that some files belong to, each once, in order.

    A GGUF file is a model; a card speaks for its folder and for the GGUF files beside it; any other file belongs to the
    model in its folder. Files of no model stand for nothing.
    """
    found: dict[str, None] = {}
    for file in files:
        if file.suffix == ".gguf":
            found[f"gguf:{file}"] = None
            continue
        if any(True for pattern in _OF_A_MODEL for _ in file.parent.glob(pattern)):
            found[f"path:{file.parent}"] = None
        if file.name == "README.md":
            found |= dict.fromkeys(f"gguf:{beside}" for beside in sorted(file.parent.glob("*.gguf")))
    return tuple(found)


def _tie(claims: Sequence[Claim], against: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    tied: dict[str, str] = {}
    free: list[str] = []
    for given in against:
        name, equals, rest = given.partition("=")
        if equals and any(claim.parent == name for claim in claims):
            tied[name] = rest
            continue
        last = locate(given).stem if given.endswith(".gguf") else locate(given).name
        named = [claim.parent for claim in claims if claim.parent.rsplit("/", 1)[-1].lower() in {last.lower(), _end(given)}]
        if named:
            tied[named[0]] = given
        else:
            free.append(given)
    waiting = [claim.parent for claim in claims if claim.parent not in tied and not claim.spec]
    if len(waiting) == 1 and len(free) == 1:
        tied[waiting[0]] = free.pop()
    return tied, free


def _end(spec: str) -> str:
    return spec.rsplit(":", 1)[-1].rstrip("/").rsplit("/", 1)[-1].lower()


def _tested(claim: Claim, spec: str, parent: str, seed: int) -> ClaimResult:
    if not parent:
        return ClaimResult(
            claim=claim, status="untested", reason="the weights of the claimed parent are not on this disk; give --against"
        )
    try:
        relation = weights_relation(spec, parent, seed=seed)
    except (ModelError, SpecError) as error:
        return ClaimResult(claim=claim, status="untested", reason=str(error), tested_against=parent)
    return _judged(claim, relation, parent)


def _judged(claim: Claim, relation: Relation, parent: str) -> ClaimResult:
    status: Status = "untested"
    reason = "the weights neither show a common descent nor exclude it"
    if relation.kind == "copy":
        status, reason = "supported", "the weights are the same, apart from their number format"
    elif relation.kind == "descent":
        status, reason = "supported", "the weights descend from one initialisation; the direction is not tested"
        if claim.relation == "quantized":
            reason += ", and they differ by more than rounding"
    elif relation.kind == "independent":
        status, reason = "contradicted", "the weights began from random numbers of their own"
    return ClaimResult(
        claim=claim,
        status=status,
        reason=reason,
        tested_against=parent,
        kind=relation.kind,
        log10_p=relation.log10_p,
    )


def _undeclared(spec: str, free: Sequence[str], seed: int) -> Iterator[ClaimResult]:
    for given in free:
        relation = weights_relation(spec, given, seed=seed)
        claim = Claim(parent=safe_text(given), relation="unknown", source=UNDECLARED, spec=given)
        descends = relation.kind in ("copy", "descent")
        yield ClaimResult(
            claim=claim,
            status="contradicted" if descends else "untested",
            reason="no claim names it, but the weights descend from one initialisation"
            if descends
            else "no claim names it, and no descent is shown",
            tested_against=given,
            kind=relation.kind,
            log10_p=relation.log10_p,
        )
