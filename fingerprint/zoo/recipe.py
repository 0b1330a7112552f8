"""A recipe says which small models to train and who descends from whom.

The whole idea: a TOML file of models is a directed acyclic graph. Each model names a *mechanism* (how it came to be)
and its parents (from whom), so the true lineage of every pair of models is known before anything is trained. Models
are built in the order of the file as far as their parents allow, so a recipe sorted by pedigree finishes pedigree by
pedigree.

    mechanism        weights start from     learns from
    pretrain         a seed                 a corpus
    distill_logits   a seed                 next-token distributions of one or two teachers (all, or top k) on a corpus
    distill_text     a seed                 text sampled from one or two teachers
    finetune         the parent             a corpus, with all weights or through low-rank adapters (merged)
    continue         the parent             more of a corpus of its own kind
    prefer           the parent             which of two continuations to prefer: the corpus's over its own
    quantize         the parent             nothing (int8 or int4, stored dequantised)
    prune            the parent             nothing (small weights set to zero)
    drop_layers      the parent             nothing (whole layers left out)
    merge            two parents            nothing (linear interpolation)
    add_tasks        a base and parents     nothing (task arithmetic: differences from the base are added up)

What models have in common is said once: `[defaults.MECHANISM]` and `[pedigrees.NAME]` fill the fields that a model
leaves out and has, the pedigree's first.

This module imports neither torch nor transformers: a recipe can be listed and checked without them.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from fingerprint.zoo.tables import (
    OWN_INIT,
    STUDENTS,
    TRAINED,
    AddTasks,
    Architecture,
    Corpus,
    DistillLogits,
    DistillText,
    Merge,
    Model,
    Name,
    Pretrain,
    Table,
    Tokenizer,
    filled,
)

# Part of every digest: raise it when the trainer changes what a recipe means, and finished models are trained again.
TRAINER_VERSION = 2


class RecipeError(ValueError):
    """A recipe that cannot be built; the message is one sentence that names the fault."""


class Recipe(Table):
    """Corpora, tokenizers and architectures by name, and the models built from them.

    `defaults` (by mechanism) and `pedigrees` (by name) have been filled into the models when a recipe exists.
    """

    name: Name
    seed: int = Field(default=0, ge=0)
    about: str = ""
    corpora: dict[str, Corpus]
    tokenizers: dict[str, Tokenizer]
    architectures: dict[str, Architecture]
    models: tuple[Model, ...] = Field(alias="model", min_length=1)
    defaults: dict[str, dict[str, Any]] = Field(default_factory=dict)
    pedigrees: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("model"), list):
            return data
        defaults, pedigrees = data.get("defaults", {}), data.get("pedigrees", {})
        return data | {"model": [filled(table, defaults, pedigrees) for table in data["model"]]}

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
        if isinstance(model, DistillText) and model.openings is not None:
            _known(model.openings, self.corpora, "corpus", where)
        if isinstance(model, STUDENTS) and model.init_of is not None:
            _known(model.init_of, {m.id for m in self.models}, "model", where)
        if isinstance(model, OWN_INIT):
            _known(model.architecture, self.architectures, "architecture", where)
            _known(model.tokenizer, self.tokenizers, "tokenizer", where)

    def _check_lineage(self, model: Model) -> None:
        if isinstance(model, DistillLogits):
            for teacher in model.parents:
                theirs = self.tokenizer_of(teacher)
                if model.tokenizer != theirs:
                    raise ValueError(
                        f"model '{model.id}' has tokenizer '{model.tokenizer}' but distill_logits needs that of its "
                        f"parent '{teacher}', which is '{theirs}'; use distill_text across tokenizers"
                    )
        if isinstance(model, STUDENTS) and model.init_of is not None:
            twin = self.get(model.init_of)
            if not isinstance(twin, OWN_INIT) or twin.architecture != model.architecture or self._init_of(twin):
                raise ValueError(f"model '{model.id}' cannot start as '{model.init_of}' did: not the same random weights")
        if isinstance(model, Merge | AddTasks):
            first, *others = model.parents
            for other in others:
                if self.root_of(first) != self.root_of(other):
                    raise ValueError(
                        f"model '{model.id}' merges '{first}' and '{other}', whose weights have no common base"
                    )

    def _init_of(self, model: Model) -> str | None:
        return model.init_of if isinstance(model, STUDENTS) else None

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
        openings = {model.openings} if isinstance(model, DistillText) and model.openings else set()
        corpora = {*tokenizer.corpora, self.corpus_of(model_id), *openings}
        content = {
            "trainer": TRAINER_VERSION,
            "seed": self.seed,
            "model": model.model_dump(mode="json", exclude_defaults=True),
            "architecture": self.architectures[self.architecture_of(model_id)].model_dump(mode="json"),
            "tokenizer": tokenizer.model_dump(mode="json"),
            "corpora": {name: self.corpora[name].model_dump(mode="json") for name in sorted(corpora)},
            "parents": [self.digest_of(parent) for parent in model.parents],
        }
        if (twin := self._init_of(model)) is not None:
            content["init"] = self.get(twin).model_dump(mode="json", exclude_defaults=True)
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
