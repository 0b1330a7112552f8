"""The zoo: recipes with faults, a tiny one from end to end, and what the cards say."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fingerprint import shipped
from fingerprint.zoo.build import build_zoo
from fingerprint.zoo.card import Card
from fingerprint.zoo.pairs import all_pairs, controls_for
from fingerprint.zoo.recipe import RecipeError, load_recipe, parse_recipe

TINY = """
name = "tiny"
[corpora.words]
file = "words.txt"
licence = "ours"
[tokenizers.a]
vocab = 300
corpora = ["words"]
[architectures.llama]
class = "llama"
hidden = 16
layers = 1
heads = 2
ffn = 32
context = 32
[[model]]
id = "teacher"
pedigree = "p"
mechanism = "pretrain"
architecture = "llama"
tokenizer = "a"
corpus = "words"
tokens = 2000
seed = 1
[[model]]
id = "student"
pedigree = "p"
mechanism = "distill_logits"
parent = "teacher"
architecture = "llama"
tokenizer = "a"
corpus = "words"
tokens = 2000
seed = 2
[[model]]
id = "int8"
pedigree = "p"
mechanism = "quantize"
parent = "teacher"
bits = 8
"""


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    words = "The ferry left before the fog did, and nobody on the quay could say which of the two had been the kinder. "
    lines = [f"{words}Log entry {n}: wind {n % 9}, tide {n % 5}, {n * 7 % 31} crates of lamp oil.\n" for n in range(600)]
    (folder / "words.txt").write_text("".join(lines))
    return folder


def test_a_tiny_zoo_builds_resumes_and_repeats_itself(data, tmp_path):
    recipe = parse_recipe(TINY)
    said: list[str] = []
    cards = build_zoo(recipe, data, tmp_path / "one", 1, said.append)
    assert [card.id for card in cards] == ["teacher", "student", "int8"]
    stamp = (tmp_path / "one" / "teacher" / "model.safetensors").stat().st_mtime_ns
    build_zoo(recipe, data, tmp_path / "one", 1)
    assert (tmp_path / "one" / "teacher" / "model.safetensors").stat().st_mtime_ns == stamp
    again = build_zoo(recipe, data, tmp_path / "two", 1)
    assert [card.weights_sha256 for card in again] == [card.weights_sha256 for card in cards]
    text = (tmp_path / "one" / "student" / "card.json").read_text()
    assert str(tmp_path) not in text
    assert json.loads(text)["parents"] == ["teacher"]


def test_quantised_weights_are_recognised_as_a_copy(data, tmp_path):
    from fingerprint import api
    from fingerprint.evidence.case import Case
    from fingerprint.evidence.weights import weight_descent

    recipe = parse_recipe(TINY.replace("hidden = 16", "hidden = 64").replace("ffn = 32", "ffn = 64"))
    build_zoo(recipe, data, tmp_path / "zoo", 1)
    options = api.Options(probes="style", store=tmp_path / "store")
    names = ("teacher", "int8", "student")
    teacher, copy, student = (api.collect(str(tmp_path / "zoo" / name), options) for name in names)
    same = weight_descent(Case(suspect=copy, reference=teacher))
    other = weight_descent(Case(suspect=student, reference=teacher))
    assert same.features["rounded_share"] > 0.97
    assert same.effect > 0.99
    assert other.effect < 0.2
    assert other.features["rounded_share"] < 0.5


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (('parent = "teacher"', 'parent = "nobody"'), "nobody"),
        (('mechanism = "pretrain"', 'mechanism = "magic"'), "magic"),
        (('corpus = "words"', 'corpus = "verbs"'), "verbs"),
        (('id = "student"', 'id = "teacher"'), "teacher"),
    ],
)
def test_faults_of_a_recipe_are_named(change, word):
    with pytest.raises(RecipeError, match=word):
        parse_recipe(TINY.replace(*change))


@pytest.mark.parametrize("name", ["shipped", "small", "standard"])
def test_shipped_recipes_are_valid(name):
    assert len(load_recipe(name).models) >= 8


def test_shipped_models_are_small_and_their_cards_name_data_and_parents():
    folder = shipped.root() / "models"
    sizes = [path.stat().st_size for path in folder.glob("*/*")]
    assert len(shipped.cards()) >= 6
    assert sum(sizes) <= 15_000_000
    for card in shipped.cards().values():
        assert card["corpora"]
        assert card["data_licences"]


def test_truth_is_read_off_the_cards():
    cards = {name: Card.model_validate(card) for name, card in shipped.cards().items()}
    truth = {(pair.suspect, pair.reference): pair.truth for pair in all_pairs(cards)}
    assert truth["student", "teacher"] == "distilled"
    assert truth["finetune", "teacher"] == "derived"
    assert truth["student", "finetune"] == "related"
    assert truth["student", "twin"] == "unrelated"
    assert set(controls_for(cards, "student", "teacher")) == {"twin", "twin-gpt2", "unrelated", "unrelated-gpt2"}


def test_a_sketch_does_not_depend_on_who_takes_it():
    from fingerprint.models.sketch import block_starts

    assert block_starts("a.weight", (64, 64), 4096) == block_starts("a.weight", (64, 64), 4096)
    starts = block_starts("a.weight", (64, 64), 4096)
    assert np.all(np.diff(starts) > 0)
    assert all(start % 32 == 0 for start in starts)
