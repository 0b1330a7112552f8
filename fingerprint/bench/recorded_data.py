"""Reads recorded answers of real models and what is documented of their lineage."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import zstandard

from fingerprint.errors import UsageError

STUDENTS = "distilled_from_outputs_of"
#: Sets of recorded answers: file, and the name that ``lineage_small_sets.csv`` gives to it ("": ``lineage.csv``).
SETS = {
    "assistants": "",
    "ratings_eqbench": "eqbench",
    "qlora_vicuna80": "qlora_vicuna80",
    "mmlu_pro": "mmlu_pro",
}
_WINDOW = 2**31


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """Answers (models × prompts, None missing) and the documented relation of every pair, as (row, row)."""

    name: str
    models: tuple[str, ...]
    prompts: tuple[str, ...]
    answers: list[list[str | None]]
    relations: dict[tuple[int, int], str]
    students: list[tuple[int, int]]

    @cached_property
    def pairs(self) -> list[tuple[int, int]]:
        return [(i, j) for i in range(len(self.models)) for j in range(i + 1, len(self.models))]

    @cached_property
    def relation_of_pairs(self) -> list[str]:
        """The relation of every pair, "" where none is documented."""
        return [self.relations.get(pair, "") for pair in self.pairs]

    @cached_property
    def families(self) -> list[int]:
        """Connected components of the documented relations, numbered by their first model."""
        component = list(range(len(self.models)))

        def root(model: int) -> int:
            while component[model] != model:
                model = component[model]
            return model

        for (i, j), relation in self.relations.items():
            # "indirect" only repeats what the other edges imply.
            if relation != "indirect":
                first, second = sorted((root(i), root(j)))
                component[second] = first
        return [root(model) for model in range(len(self.models))]


def read_sets(folder: Path) -> list[Recorded]:
    """All sets that the folder holds, the assistants first.

    Raises:
        UsageError: there is none, or one cannot be read.

    """
    found = [read_set(folder, name) for name in SETS if (folder / f"{name}.jsonl.zst").is_file()]
    if not found or found[0].name != "assistants":
        raise UsageError(f"There is no file assistants.jsonl.zst in {folder}.")
    return found


def read_set(folder: Path, name: str) -> Recorded:
    """One set; models that the lineage does not name are kept, as unrelated to all; the first answer counts."""
    lineage_file, source = ("lineage_small_sets.csv", SETS[name]) if SETS[name] else ("lineage.csv", None)
    try:
        rows = _rows(folder / f"{name}.jsonl.zst")
        with (folder / lineage_file).open(encoding="utf-8", newline="") as file:
            lineage = [edge for edge in csv.DictReader(file) if source is None or edge["source"] == source]
    except OSError as error:
        raise UsageError(f"The recorded answers in {folder} cannot be read: {error}.") from error
    models = tuple(dict.fromkeys(row["model"] for row in rows))
    texts = {row["prompt_id"]: row["prompt"] for row in rows}
    column = {key: place for place, key in enumerate(texts)}
    place = {model: row for row, model in enumerate(models)}
    answers: list[list[str | None]] = [[None] * len(column) for _ in models]
    for row in rows:
        line, cell = answers[place[row["model"]]], column[row["prompt_id"]]
        line[cell] = row["output"] if line[cell] is None else line[cell]
    relations, students = {}, []
    for edge in lineage:
        if edge["child"] in place and edge["parent"] in place:
            child, parent = place[edge["child"]], place[edge["parent"]]
            relations[min(child, parent), max(child, parent)] = edge["relation"]
            if edge["relation"] == STUDENTS:
                students.append((child, parent))
    return Recorded(
        name=name, models=models, prompts=tuple(texts.values()), answers=answers, relations=relations, students=students
    )


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open("rb") as file:
        reader = zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(file)
        return [json.loads(line) for line in io.TextIOWrapper(reader, "utf-8") if line.strip()]
