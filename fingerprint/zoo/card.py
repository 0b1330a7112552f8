"""The card of a model: everything about its origin that is true wherever it was trained.

No clock, host or path is in it, so the same recipe writes the same card.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

CARD = "card.json"


class Card(BaseModel):
    """What is known about a model of the zoo; written last, so a folder that has one is complete."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    pedigree: str
    mechanism: str
    parents: tuple[str, ...]
    architecture: str
    architecture_class: str
    parameters: int
    tokenizer: str
    vocab: int
    context: int
    corpora: tuple[str, ...]
    """Every corpus that this model or an ancestor has read, its own first."""
    data_licences: tuple[str, ...]
    training_tokens: int
    steps: int
    seed: int | None
    settings: dict[str, float]
    """What else the mechanism needs: temperature, bits, share, weight, sampled_tokens, lr, batch."""
    held_out_corpus: str
    held_out_bits_per_byte: float
    parents_held_out_bits_per_byte: dict[str, float]
    """The parents on the same text."""
    stored: str = "float16"
    init_of: str | None = None
    """The model whose first random numbers this one began from, where it did not draw its own."""
    weights_sha256: str
    recipe: str
    recipe_digest: str


def read_card(folder: Path) -> Card | None:
    """The card of a finished model, or None where there is no finished model."""
    path = folder / CARD
    return Card.model_validate_json(path.read_bytes()) if path.is_file() else None


def write_card(card: Card, folder: Path) -> None:
    (folder / CARD).write_text(card.model_dump_json(indent=2) + "\n", "utf-8")
