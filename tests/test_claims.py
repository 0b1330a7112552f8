"""Declared parents: read from everywhere they stand, tested against weights, and never a way into the program."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from fingerprint import shipped
from fingerprint.bench import weights_transforms as change
from fingerprint.bench.weights_gguf import write_gguf
from fingerprint.claims import check_claims
from fingerprint.errors import ModelError, SpecError
from fingerprint.models.claims import read_claims

MODELS = shipped.root() / "models"


@pytest.fixture
def tuned(tmp_path: Path) -> Path:
    """A fine-tune in a folder of its own, without any claim."""
    folder = tmp_path / "tuned"
    shutil.copytree(MODELS / "finetune", folder)
    return folder


def card(folder: Path, front: str) -> None:
    (folder / "README.md").write_text(f"---\n{front}\n---\n# A model\n", "utf-8")


def test_claims_are_read_from_every_place(tuned: Path):
    card(tuned, "base_model:\n- org/first\n- org/second\nbase_model_relation: merge")
    config = json.loads((tuned / "config.json").read_text())
    (tuned / "config.json").write_text(json.dumps(config | {"_name_or_path": "org/third"}))
    (tuned / "adapter_config.json").write_text('{"base_model_name_or_path": "org/first"}')
    found = {claim.parent: claim for claim in read_claims(str(tuned))}
    assert {name: claim.relation for name, claim in found.items()} == {
        "org/first": "merge",
        "org/second": "merge",
        "org/third": "unknown",
    }
    assert found["org/first"].source == "README.md base_model, adapter_config.json base_model_name_or_path"


def test_gguf_metadata_is_read(tmp_path: Path):
    path = write_gguf(change.read_small(MODELS / "teacher"), tmp_path / "q.gguf", "Q8_0", base_model="org/teacher")
    (claim,) = read_claims(str(path))
    assert (claim.parent, claim.source) == ("org/teacher", "GGUF general.base_model.0")
    (found,) = check_claims(str(path), against=["zoo:teacher"])
    assert (found.status, found.kind) == ("supported", "copy")


def test_a_true_claim_is_supported_and_a_false_one_contradicted(tuned: Path):
    card(tuned, "base_model: org/teacher\nbase_model_relation: finetune")
    assert [item.status for item in check_claims(str(tuned))] == ["untested"]
    (true,) = check_claims(str(tuned), against=["zoo:teacher"])
    assert (true.status, true.kind) == ("supported", "descent")
    assert true.log10_p is not None
    assert true.log10_p < -50
    (false,) = check_claims(str(tuned), against=["org/teacher=zoo:twin"])
    assert (false.status, false.kind) == ("contradicted", "independent")


def test_a_neighbour_with_the_claimed_name_is_used(tuned: Path):
    shutil.copytree(MODELS / "twin", tuned.parent / "base")
    card(tuned, "base_model: org/base")
    (found,) = check_claims(str(tuned))
    assert found.status == "contradicted"


def test_an_undeclared_parent_contradicts_the_card(tuned: Path):
    assert check_claims(str(tuned)) == ()
    (found,) = check_claims(str(tuned), against=["zoo:teacher"])
    assert (found.claim.source, found.status) == ("undeclared", "contradicted")
    (other,) = check_claims(str(tuned), against=["zoo:unrelated"])
    assert other.status == "untested"


def test_a_claimed_quantisation_that_changed_more_says_so(tmp_path: Path):
    model = change.noise(0.2)(change.read_small(MODELS / "teacher"), np.random.default_rng(0))
    folder = change.write_small(model, tmp_path / "q")
    card(folder, "base_model: org/teacher\nbase_model_relation: quantized")
    (found,) = check_claims(str(folder), against=["zoo:teacher"])
    assert found.status == "supported"
    assert "more than rounding" in found.reason


@pytest.mark.parametrize(
    "front",
    [
        "base_model: {a: b}",
        "base_model: 7",
        "base_model: [null, 3, '']",
        "license: mit",
        "- a\n- b",
        "a: &a [x, x]\nb: &b [*a, *a]\nbase_model: *b",
    ],
)
def test_odd_cards_claim_nothing(front: str, tuned: Path):
    card(tuned, front)
    assert read_claims(str(tuned)) == ()


@pytest.mark.parametrize("front", ["base_model: [", "base_model: !!python/object/apply:os.system ['true']", "a: b: c"])
def test_broken_or_hostile_cards_are_one_clear_sentence(front: str, tuned: Path):
    card(tuned, front)
    with pytest.raises(ModelError, match="front matter"):
        read_claims(str(tuned))


def test_paths_that_a_card_names_are_not_opened(tuned: Path, tmp_path: Path):
    shutil.copytree(MODELS / "teacher", tmp_path / "elsewhere" / "secret")
    card(tuned, f"base_model: {tmp_path}/elsewhere/secret")
    (claim,) = read_claims(str(tuned))
    assert claim.spec == ""


def test_nothing_on_disk_is_a_clear_error(tmp_path: Path):
    with pytest.raises(SpecError):
        read_claims("toy:parrot")
    with pytest.raises(ModelError):
        read_claims(str(tmp_path / "nowhere"))


def test_the_command_shows_foreign_names_harmlessly(program, tuned: Path):
    card(tuned, 'base_model: "evil\\e[31m/name"')
    done = program("claims", str(tuned))
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "UNTESTED" in done.stdout
    rows = json.loads(program("claims", str(tuned), "--against", "zoo:teacher", "--json").stdout)["result"]["claims"]
    assert rows[0]["status"] == "supported"
