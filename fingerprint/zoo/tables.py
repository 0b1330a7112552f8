"""The tables of a recipe: corpora, tokenizers, architectures, and one class of model per mechanism.

What each mechanism does is told in `recipe`; here is what it may be given.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

NAME = r"^[a-z0-9][a-z0-9_-]*$"
Name = Annotated[str, Field(pattern=NAME, max_length=64)]


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Corpus(Table):
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


class Tokenizer(Table):
    """A byte-level BPE tokenizer: how many tokens, and the corpora whose training part it learns from."""

    vocab: int = Field(ge=257, le=65536)
    corpora: tuple[str, ...] = Field(min_length=1)
    sample_chars: int = Field(default=1_500_000, ge=1000)


class Architecture(Table):
    """The shape of a network; `ffn` is the width of its feed-forward layers.

    `lfm2` is a hybrid: short convolutions with one attention layer in every three, so most of its layers are no
    transformer's.
    """

    kind: Literal["llama", "gpt2", "lfm2"] = Field(alias="class")
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


class _Model(Table):
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
    seed: int = Field(default=0, ge=0)


class _OwnInit(_Trained):
    architecture: str
    tokenizer: str


class Pretrain(_OwnInit):
    mechanism: Literal["pretrain"]


class _Student(_OwnInit):
    """`second` is another teacher, who teaches half; `init_of` starts from the random weights of that model."""

    parent: str
    second: str | None = None
    temperature: float = Field(default=1.0, gt=0.0)
    init_of: str | None = None

    @property
    def parents(self) -> tuple[str, ...]:
        return (self.parent,) if self.second is None else (self.parent, self.second)


class DistillLogits(_Student):
    """`top_k` hides all but the k likeliest tokens of the teacher, as an interface that lists a few of them does."""

    mechanism: Literal["distill_logits"]
    top_k: int | None = Field(default=None, ge=2)


class DistillText(_Student):
    """Learns from `sampled_tokens` tokens of its teachers.

    Half of the samples begin with a few tokens of `corpus` and half with nothing; where `openings` names another
    corpus, all of them begin with a few tokens of that.
    """

    mechanism: Literal["distill_text"]
    sampled_tokens: int = Field(ge=1)
    openings: str | None = None


class Finetune(_Trained):
    """`lora_rank` trains only low-rank adapters, which are merged into the weights at the end."""

    mechanism: Literal["finetune"]
    parent: str
    lora_rank: int | None = Field(default=None, ge=1)


class Continue(_Trained):
    mechanism: Literal["continue"]
    parent: str


class Prefer(_Trained):
    """Direct preference optimisation; `beta` is how strictly it stays with its parent."""

    mechanism: Literal["prefer"]
    parent: str
    beta: float = Field(default=0.1, gt=0.0)


class Quantize(_Model):
    mechanism: Literal["quantize"]
    parent: str
    bits: Literal[4, 8]


class Prune(_Model):
    mechanism: Literal["prune"]
    parent: str
    share: float = Field(gt=0.0, lt=1.0)


class DropLayers(_Model):
    """`layers` are the numbers of the layers that go, from 0."""

    mechanism: Literal["drop_layers"]
    parent: str
    layers: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)


class Merge(_Model):
    """(1 − weight) · first parent + weight · second parent."""

    mechanism: Literal["merge"]
    of: tuple[str, str]
    weight: float = Field(default=0.5, gt=0.0, lt=1.0)

    @property
    def parents(self) -> tuple[str, ...]:
        return self.of


class AddTasks(_Model):
    """Task arithmetic: base + weight · Σ (parent − base), after Ilharco et al. 2023."""

    mechanism: Literal["add_tasks"]
    base: str
    of: tuple[str, ...] = Field(min_length=1)
    weight: float = Field(default=0.5, gt=0.0, le=2.0)

    @property
    def parents(self) -> tuple[str, ...]:
        return (self.base, *self.of)


Model = Annotated[
    Pretrain
    | DistillLogits
    | DistillText
    | Finetune
    | Continue
    | Prefer
    | Quantize
    | Prune
    | DropLayers
    | Merge
    | AddTasks,
    Field(discriminator="mechanism"),
]
TRAINED = (Pretrain, DistillLogits, DistillText, Finetune, Continue, Prefer)
OWN_INIT = (Pretrain, DistillLogits, DistillText)
STUDENTS = (DistillLogits, DistillText)
_KINDS: dict[str, type[_Model]] = {
    "pretrain": Pretrain,
    "distill_logits": DistillLogits,
    "distill_text": DistillText,
    "finetune": Finetune,
    "continue": Continue,
    "prefer": Prefer,
    "quantize": Quantize,
    "prune": Prune,
    "drop_layers": DropLayers,
    "merge": Merge,
    "add_tasks": AddTasks,
}


def filled(table: Any, defaults: Any, pedigrees: Any) -> Any:
    """A model's table with what its pedigree and its mechanism say for all; faults are left to validation."""
    if not isinstance(table, dict) or not isinstance(defaults, dict) or not isinstance(pedigrees, dict):
        return table
    kind = _KINDS.get(str(table.get("mechanism")))
    if kind is None:
        return table
    common = {**defaults.get(str(table["mechanism"]), {}), **pedigrees.get(str(table.get("pedigree")), {})}
    return {name: value for name, value in common.items() if name in kind.model_fields} | table
