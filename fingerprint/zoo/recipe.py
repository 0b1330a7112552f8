"""A recipe says which small models to train and who descends from whom.

The whole idea: a TOML file of `[[model]]` tables is a directed acyclic graph. Each model names a *mechanism* (how it
came to be) and its parents (from whom), so the true lineage of every pair of models is known before anything is
trained. Models are built in the order of the file as far as their parents allow, so a recipe sorted by pedigree
finishes pedigree by pedigree.

    mechanism        weights start from     learns from
    pretrain         a seed                 a corpus
    distill_logits   a seed                 the parent's full next-token distributions on a corpus
    distill_text     a seed                 text sampled from the parent
    finetune         the parent             a corpus
    quantize         the parent             nothing (int8 or int4, stored dequantised)
    prune            the parent             nothing (small weights set to zero)
    merge            two parents            nothing (linear interpolation)

This module imports neither torch nor transformers: a recipe can be listed and checked without them.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

NAME = r"^[a-z0-9][a-z0-9_-]*$"
Name = Annotated[str, Field(pattern=NAME, max_length=64)]

# Part of every digest: raise it when the trainer changes what a recipe means, and finished models are trained again.
TRAINER_VERSION = 1


class RecipeError(ValueError):
    """A recipe that cannot be built; the message is one sentence that names the fault."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Corpus(_Table):
    """A text file and the part of it that is used; two corpora on one file give disjoint halves."""

    file: str
    licence: str
    start: float = Field(default=0.0, ge=0.0, lt=1.0)
    end: float = Field(default=1.0, gt=0.0, le=1.0)

    @field_validator("file")
    @classmethod
    def _inside_data_dir(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"corpus file '{value}' must be relative to the data folder and stay inside it")
        if not value.endswith((".txt", ".txt.zst")):
            raise ValueError(f"corpus file '{value}' must end in .txt or .txt.zst")
        return value

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.start >= self.end:
            raise ValueError(f"corpus range {self.start}–{self.end} of '{self.file}' is empty")
        return self


class Tokenizer(_Table):
    """A byte-level BPE tokenizer: how many tokens, and the corpora whose training part it learns from."""

    vocab: int = Field(ge=257, le=65536)
    corpora: tuple[str, ...] = Field(min_length=1)
    sample_chars: int = Field(default=1_500_000, ge=1000)


class Architecture(_Table):
    """The shape of a transformer; `ffn` is the width of its feed-forward layers."""

    kind: Literal["llama", "gpt2"] = Field(alias="class")
    hidden: int = Field(ge=8)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    ffn: int = Field(ge=8)
    context: int = Field(default=256, ge=16)

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.hidden % (2 * self.heads):
            raise ValueError(f"hidden size {self.hidden} must be a multiple of twice the {self.heads} heads")
        return self


class _Model(_Table):
    id: Name
    pedigree: Name

    @property
    def parents(self) -> tuple[str, ...]:
        """Ids of the models that this one descends from, by weights or by outputs."""
        parent = getattr(self, "parent", None)
        return () if parent is None else (parent,)


class _Trained(_Model):
    corpus: str
    tokens: int = Field(ge=1)
    lr: float = Field(default=3e-3, gt=0.0, le=1.0)
    batch: int = Field(default=2, ge=1)
    seed: int = Field(ge=0)


class _OwnInit(_Trained):
    architecture: str
    tokenizer: str


class Pretrain(_OwnInit):
    mechanism: Literal["pretrain"]


class DistillLogits(_OwnInit):
    mechanism: Literal["distill_logits"]
    parent: str
    temperature: float = Field(default=1.0, gt=0.0)


class DistillText(_OwnInit):
    """Learns from `sampled_tokens` tokens of the parent; `corpus` only gives it the openings of half of the samples."""

    mechanism: Literal["distill_text"]
    parent: str
    sampled_tokens: int = Field(ge=1)
    temperature: float = Field(default=1.0, gt=0.0)


class Finetune(_Trained):
    mechanism: Literal["finetune"]
    parent: str


class Quantize(_Model):
    mechanism: Literal["quantize"]
    parent: str
    bits: Literal[4, 8]


class Prune(_Model):
    mechanism: Literal["prune"]
    parent: str
    share: float = Field(gt=0.0, lt=1.0)


class Merge(_Model):
    """(1 − weight) · first parent + weight · second parent."""

    mechanism: Literal["merge"]
    of: tuple[str, str]
    weight: float = Field(default=0.5, gt=0.0, lt=1.0)

    @property
    def parents(self) -> tuple[str, ...]:
        return self.of


Model = Annotated[
    Pretrain | DistillLogits | DistillText | Finetune | Quantize | Prune | Merge,
    Field(discriminator="mechanism"),
]
TRAINED = (Pretrain, DistillLogits, DistillText, Finetune)
OWN_INIT = (Pretrain, DistillLogits, DistillText)


class Recipe(_Table):
    """Corpora, tokenizers and architectures by name, and the models built from them."""

    name: Name
    seed: int = Field(default=0, ge=0)
    about: str = ""
    corpora: dict[str, Corpus]
    tokenizers: dict[str, Tokenizer]
    architectures: dict[str, Architecture]
    models: tuple[Model, ...] = Field(alias="model", min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        seen: set[str] = set()
        for model in self.models:
            if model.id in seen:
                raise ValueError(f"two models have the id '{model.id}'")
            seen.add(model.id)
        for name, tokenizer in self.tokenizers.items():
            for corpus in tokenizer.corpora:
                _known(corpus, self.corpora, "corpus", f"tokenizer '{name}'")
        for model in self.models:
            self._check_names(model)
        self.in_order()
        for model in self.models:
            self._check_lineage(model)
        return self

    def _check_names(self, model: Model) -> None:
        where = f"model '{model.id}'"
        for parent in model.parents:
            _known(parent, {m.id for m in self.models}, "parent", where)
        if isinstance(model, TRAINED):
            _known(model.corpus, self.corpora, "corpus", where)
        if isinstance(model, OWN_INIT):
            _known(model.architecture, self.architectures, "architecture", where)
            _known(model.tokenizer, self.tokenizers, "tokenizer", where)

    def _check_lineage(self, model: Model) -> None:
        if isinstance(model, DistillLogits):
            theirs = self.tokenizer_of(model.parent)
            if model.tokenizer != theirs:
                raise ValueError(
                    f"model '{model.id}' has tokenizer '{model.tokenizer}' but distill_logits needs that of its "
                    f"parent '{model.parent}', which is '{theirs}'; use distill_text across tokenizers"
                )
        if isinstance(model, Merge):
            first, second = model.of
            if self.root_of(first) != self.root_of(second):
                raise ValueError(f"model '{model.id}' merges '{first}' and '{second}', whose weights have no common base")

    def get(self, model_id: str) -> Model:
        """The model with this id."""
        for model in self.models:
            if model.id == model_id:
                return model
        raise KeyError(model_id)

    def root_of(self, model_id: str) -> str:
        """The model at which this one's *weights* began: itself, unless they were copied from a parent."""
        model = self.get(model_id)
        return model.id if isinstance(model, OWN_INIT) else self.root_of(model.parents[0])

    def tokenizer_of(self, model_id: str) -> str:
        """The name of the tokenizer of a model; inherited along with the weights."""
        return self._root(model_id).tokenizer

    def architecture_of(self, model_id: str) -> str:
        """The name of the architecture of a model; inherited along with the weights."""
        return self._root(model_id).architecture

    def corpus_of(self, model_id: str) -> str:
        """The corpus on whose held-out part a model is measured: its own, or that of its parent."""
        model = self.get(model_id)
        return model.corpus if isinstance(model, TRAINED) else self.corpus_of(model.parents[0])

    def _root(self, model_id: str) -> Pretrain | DistillLogits | DistillText:
        root = self.get(self.root_of(model_id))
        assert isinstance(root, OWN_INIT)
        return root

    def in_order(self) -> tuple[Model, ...]:
        """Parents before children, otherwise as in the file."""
        done: dict[str, Model] = {}
        waiting = list(self.models)
        while waiting:
            ready = next((m for m in waiting if all(p in done for p in m.parents)), None)
            if ready is None:
                names = ", ".join(f"'{m.id}'" for m in waiting)
                raise ValueError(f"the parents of {names} form a cycle")
            done[ready.id] = ready
            waiting.remove(ready)
        return tuple(done.values())

    def digest_of(self, model_id: str) -> str:
        """sha256 of all that decides a model's weights: its table, what that names, and the same of its ancestors.

        Other models can be added to a recipe, or its title changed, and finished models stay valid.
        """
        model = self.get(model_id)
        tokenizer = self.tokenizers[self.tokenizer_of(model_id)]
        corpora = {*tokenizer.corpora, self.corpus_of(model_id)}
        content = {
            "trainer": TRAINER_VERSION,
            "seed": self.seed,
            "model": model.model_dump(mode="json"),
            "architecture": self.architectures[self.architecture_of(model_id)].model_dump(mode="json"),
            "tokenizer": tokenizer.model_dump(mode="json"),
            "corpora": {name: self.corpora[name].model_dump(mode="json") for name in sorted(corpora)},
            "parents": [self.digest_of(parent) for parent in model.parents],
        }
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _known(
    name: str, known: dict[str, Corpus] | dict[str, Tokenizer] | dict[str, Architecture] | set[str], what: str, where: str
) -> None:
    if name not in known:
        raise ValueError(f"{where} names the {what} '{name}', which the recipe does not define")


def parse_recipe(text: str) -> Recipe:
    """A recipe from TOML text; every fault becomes one `RecipeError` sentence."""
    try:
        return Recipe.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"the recipe is not valid TOML: {error}") from error
    except ValidationError as error:
        raise RecipeError(_sentence(error)) from error


def load_recipe(name_or_path: str | Path) -> Recipe:
    """A recipe that ships with the package, by its bare name, or any TOML file by its path."""
    text = str(name_or_path)
    if text in shipped_recipes():
        return parse_recipe(resources.files(__package__).joinpath("recipes", f"{text}.toml").read_text("utf-8"))
    path = Path(name_or_path)
    if not path.is_file():
        known = ", ".join(shipped_recipes())
        raise RecipeError(f"there is no recipe file '{text}', and no shipped recipe of that name (there are: {known})")
    return parse_recipe(path.read_text("utf-8"))


def shipped_recipes() -> tuple[str, ...]:
    """Names of the recipes inside the package."""
    folder = resources.files(__package__).joinpath("recipes")
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")))


def _sentence(error: ValidationError) -> str:
    """The first fault that pydantic found, in one sentence with the place where it is."""
    fault = error.errors(include_url=False)[0]
    message = fault["msg"].removeprefix("Value error, ")
    place = ".".join(str(part) for part in fault["loc"])
    return f"{place}: {message}" if place else message
