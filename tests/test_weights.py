"""Reading weights from disk, and the lineage of real small checkpoints after everything that people do to them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest
from safetensors.numpy import save_file

from fingerprint import lineage, shipped
from fingerprint.bench import weights_transforms as change
from fingerprint.bench.weights_gguf import write_gguf
from fingerprint.calibration.model import shipped as shipped_calibration
from fingerprint.errors import FingerprintError, ModelBroken, ModelError, ModelRefused, SpecError
from fingerprint.evidence.case import Case
from fingerprint.evidence.weights import rounded
from fingerprint.models.weight_files import open_weights
from fingerprint.stats.weights_round import UNIFORM, Rounding
from fingerprint.verdict import decide

MODELS = shipped.root() / "models"


@pytest.fixture(scope="module")
def teacher() -> change.Small:
    return change.read_small(MODELS / "teacher")


def changed(model: change.Small, how: change.Change, folder: Path) -> str:
    return str(change.write_small(how(model, np.random.default_rng(1)), folder))


def kind(first: str, second: str) -> str:
    return lineage.weights_relation(first, second).kind


COPIES = {
    "sharded in float32": lambda m, p: change.write_small(m, p, dtype="<f4", shards=3),
    "8-bit blocks": lambda m, p: change.write_small(change.rounded(8)(m, np.random.default_rng(0)), p),
    "4-bit blocks": lambda m, p: change.write_small(change.rounded(4)(m, np.random.default_rng(0)), p),
    "other names": lambda m, p: change.write_small(change.names_changed(m, np.random.default_rng(0)), p),
    "GGUF Q4_0": lambda m, p: write_gguf(m, p.with_suffix(".gguf"), "Q4_0"),
    "GGUF Q5_1": lambda m, p: write_gguf(m, p.with_suffix(".gguf"), "Q5_1"),
    "GGUF BF16": lambda m, p: write_gguf(m, p.with_suffix(".gguf"), "BF16"),
}


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_in_another_format_is_the_same(how: str, teacher: change.Small, tmp_path: Path):
    path = str(COPIES[how](teacher, tmp_path / "copy"))
    assert kind(path, "zoo:teacher") == "copy"
    assert kind("zoo:teacher", path) == "copy"
    assert kind(path, "zoo:finetune") == "descent"


def stored_in(model: change.Small, kind_: str) -> change.Small:
    """The values that a GGUF file of this kind gives back."""
    types = gguf.GGMLQuantizationType[kind_]

    def back(value: np.ndarray) -> np.ndarray:
        wide = value.ndim > 1 and value.shape[-1] % 32 == 0
        return gguf.dequantize(gguf.quantize(value, types), types).astype(np.float32) if wide else value

    return replace(model, tensors={name: back(value) for name, value in model.tensors.items()})


@pytest.mark.parametrize("how", ["Q4_0", "Q5_1", "Q8_0", "BF16"])
@pytest.mark.parametrize("size", [0.0003, 0.003])
def test_a_short_fine_tune_of_a_rounded_model_is_no_copy(how: str, size: float, teacher: change.Small, tmp_path: Path):
    rounded = str(write_gguf(teacher, tmp_path / "rounded.gguf", how))
    as_stored = stored_in(teacher, how)
    assert kind(str(change.write_small(as_stored, tmp_path / "stored", dtype="<f4")), rounded) == "copy"
    tuned = change.noise(size)(as_stored, np.random.default_rng(1))
    path = str(change.write_small(tuned, tmp_path / "tuned", dtype="<f4"))
    assert kind(path, rounded) == "descent"
    assert kind(rounded, path) == "descent"


@pytest.mark.parametrize("top", [127, 7])
def test_sketches_tell_a_rounded_copy_from_a_short_fine_tune_of_it(top: int):
    rng = np.random.default_rng(0)
    source = [rng.standard_normal((8, 32)) for _ in range(8)]
    steps = [np.abs(each).max(axis=1, keepdims=True) / top for each in source]
    copy = [np.round(each / step) * step for each, step in zip(source, steps, strict=True)]
    tuned = [each + 0.1 * step * rng.standard_normal(each.shape) for each, step in zip(copy, steps, strict=True)]
    for one, other in ((copy, source), (source, copy)):
        found = rounded(list(zip(one, other, strict=True)))
        assert found.share > 0.97
        assert found.spread == pytest.approx(UNIFORM, abs=0.03)
    for one, other in ((copy, tuned), (tuned, copy)):
        assert rounded(list(zip(one, other, strict=True))).spread < 0.2
    half = [each.astype(np.float16).astype(np.float64) for each in source]
    assert rounded(list(zip(source, half, strict=True))) == Rounding(share=1.0)


CHANGES: dict[str, change.Change] = {
    "noise": change.noise(0.3),
    "low rank": change.low_rank(4, 0.05),
    "pruned": change.magnitude_pruned(0.6),
    "neurons removed": change.neurons_removed(0.25),
    "neurons shuffled and scaled": change.neurons_shuffled,
    "heads shuffled": change.heads_shuffled,
    "layer dropped": change.layer_dropped,
    "all of it": change.chained(
        change.neurons_shuffled,
        change.heads_shuffled,
        change.layer_dropped,
        change.neurons_removed(0.2),
        change.noise(0.2),
        change.rounded(4),
    ),
    "residual turned": change.residual_turned,
    "residual turned, neurons shuffled": change.chained(change.residual_turned, change.neurons_shuffled),
    "width cut": change.width_cut(0.25),
}


@pytest.mark.parametrize("how", CHANGES)
def test_changed_weights_descend_and_their_twin_does_not(how: str, teacher: change.Small, tmp_path: Path):
    path = changed(teacher, CHANGES[how], tmp_path / "changed")
    assert kind(path, "zoo:teacher") == "descent"
    assert kind("zoo:teacher", path) == "descent"
    assert kind(path, "zoo:twin") == "independent"


@pytest.mark.parametrize("how", ["neurons shuffled and scaled", "heads shuffled", "layer dropped", "neurons removed"])
def test_gpt2_is_read_across(how: str, tmp_path: Path):
    path = changed(change.read_small(MODELS / "twin-gpt2"), CHANGES[how], tmp_path / "changed")
    assert kind(path, "zoo:twin-gpt2") == "descent"
    assert kind(path, "zoo:unrelated-gpt2") == "independent"
    assert kind(path, "zoo:twin") == "independent"


@pytest.mark.parametrize("shuffled", [False, True])
def test_another_vocabulary_is_matched_by_token(shuffled: bool, teacher: change.Small, tmp_path: Path):
    how = change.vocabulary_changed(added=64, shuffled=shuffled)
    path = str(change.write_with_vocabulary(how(teacher, np.random.default_rng(2)), tmp_path / "words"))
    report = lineage.compare_weights(path, "zoo:teacher")
    assert report.result.verdict.kind == "derived"
    places = next(item for item in report.result.evidence if item.method == "tensor_places")
    assert places.effect > 0.99


def test_independent_pairs_of_the_zoo_are_never_accused():
    names = ["teacher", "twin", "student", "student-text", "unrelated", "twin-gpt2", "unrelated-gpt2"]
    for place, first in enumerate(names):
        for second in names[:place]:
            assert kind(f"zoo:{first}", f"zoo:{second}") == "independent", (first, second)


def by_size(model: change.Small) -> change.Small:
    """Hidden units in the order of their size, as tools that prune by importance leave them."""
    tensors = dict(model.tensors)
    for layer in range(model.layers):
        stem = f"model.layers.{layer}.mlp"
        order = np.argsort(-np.linalg.norm(tensors[f"{stem}.gate_proj.weight"], axis=1))
        for name, axis in (("gate_proj", 0), ("up_proj", 0), ("down_proj", 1)):
            tensors[f"{stem}.{name}.weight"] = np.take(tensors[f"{stem}.{name}.weight"], order, axis=axis)
    return change.replace(model, tensors=tensors)


def test_independent_models_with_sorted_neurons_are_not_accused(tmp_path: Path):
    for name in ("teacher", "twin"):
        change.write_small(by_size(change.read_small(MODELS / name)), tmp_path / name)
    assert kind(str(tmp_path / "teacher"), str(tmp_path / "twin")) == "independent"
    assert kind(str(tmp_path / "teacher"), "zoo:teacher") == "descent"


def test_little_of_a_common_start_is_related_and_no_accusation(teacher: change.Small, tmp_path: Path):
    path = changed(teacher, change.noise(1.5), tmp_path / "far")
    found = lineage.weights_relation(path, "zoo:teacher")
    assert (found.kind, found.verdict) == ("descent", "related")
    result = lineage.compare_weights(path, "zoo:teacher").result
    assert "neither is shown to be made from the other" in result.verdict.sentence
    assert any("same random numbers" in limit for limit in result.limits)


def test_the_report_says_what_independence_does_not_exclude():
    result = lineage.compare_weights("zoo:student", "zoo:teacher").result
    assert result.verdict.kind == "inconclusive"
    assert "Independent initialisation found: this does not exclude distillation." in result.limits
    assert any(item.method == "behaviour" for item in result.skipped)


def test_the_same_inputs_give_the_same_bytes():
    first, second = (lineage.compare_weights("zoo:twin", "zoo:teacher", seed=3).result for _ in range(2))
    assert first.model_dump_json() == second.model_dump_json()


def test_a_merge_shows_its_shares_and_siblings_their_parent(teacher: change.Small, tmp_path: Path):
    tuned = [change.noise(0.2)(teacher, np.random.default_rng(seed)) for seed in (1, 2)]
    paths = [str(change.write_small(model, tmp_path / f"tuned{row}")) for row, model in enumerate(tuned)]
    child = str(change.write_small(change.averaged(*tuned, 0.3), tmp_path / "merged"))
    result = lineage.compare_weights(child, paths[0], others=[paths[1]]).result
    found = next(item for item in result.evidence if item.method == "tensor_merge")
    assert found.effect == pytest.approx(0.7, abs=0.03)
    assert "xploratory" in found.note
    siblings = lineage.compare_weights(paths[0], paths[1], others=["zoo:teacher"]).result
    assert siblings.verdict.kind == "related"
    assert lineage.compare_weights(paths[0], paths[1]).result.verdict.kind == "derived"


def test_untied_heads_and_tied_ones_are_compared(teacher: change.Small, tmp_path: Path):
    head = teacher.tensors["model.embed_tokens.weight"]
    untied = change.replace(teacher, tensors=teacher.tensors | {"lm_head.weight": head})
    path = str(change.write_small(untied, tmp_path / "untied"))
    result = lineage.compare_weights(path, "zoo:teacher").result
    assert result.verdict.kind in ("same", "derived")
    described = next(item for item in result.evidence if item.method == "tensor_description")
    assert "a matrix of its own in the suspect" in described.note


def test_integers_with_scales_are_multiplied_out(tmp_path: Path):
    rng = np.random.default_rng(0)
    codes = rng.integers(-127, 128, size=(6, 32)).astype(np.int8)
    scale = rng.uniform(0.01, 0.1, size=(6, 1)).astype(np.float32)
    words = rng.integers(0, 2**32, size=(6, 4), dtype=np.uint64).astype(np.uint32)
    groups = rng.uniform(0.1, 1, size=(6, 2)).astype(np.float16)
    stored = {
        "model.embed_tokens.weight": np.zeros((8, 32), np.float32),
        "model.layers.0.mlp.up_proj.weight": codes,
        "model.layers.0.mlp.up_proj.weight_scale": scale,
        "model.layers.0.self_attn.q_proj.weight": codes,
        "model.layers.0.self_attn.q_proj.SCB": scale[:, 0] * 127,
        "model.layers.0.mlp.gate_proj.weight_packed": words.view(np.int32),
        "model.layers.0.mlp.gate_proj.weight_scale": groups,
    }
    save_file(stored, tmp_path / "model.safetensors")
    parts = open_weights(str(tmp_path)).parts
    assert np.allclose(parts[0, "up"].vectors(), codes * scale)
    assert np.allclose(parts[0, "q"].vectors(), codes * scale)
    nibbles = (words[..., None] >> np.arange(0, 32, 4, dtype=np.uint32)) & 15
    expected = (nibbles.reshape(6, 32).astype(np.float32) - 8) * np.repeat(groups.astype(np.float32), 16, axis=1)
    assert np.allclose(parts[0, "gate"].vectors(), expected)
    assert np.allclose(parts[0, "up"].steps(2, 4), np.repeat(scale[2:4], 32, axis=1))


def test_gptq_words_run_along_the_inputs(tmp_path: Path):
    rng = np.random.default_rng(1)
    codes, zeros = rng.integers(0, 16, size=(32, 8)), rng.integers(0, 15, size=(2, 8))
    scales = rng.uniform(0.1, 1, size=(2, 8)).astype(np.float16)

    def packed(values: np.ndarray, axis: int) -> np.ndarray:
        pieces = [np.take(values, range(shift, values.shape[axis], 8), axis=axis).astype(np.uint32) for shift in range(8)]
        return np.bitwise_or.reduce([piece << np.uint32(4 * n) for n, piece in enumerate(pieces)]).view(np.int32)

    stem = "model.layers.0.mlp.down_proj"
    save_file(
        {
            "model.embed_tokens.weight": np.zeros((8, 8), np.float32),
            f"{stem}.qweight": packed(codes, 0),
            f"{stem}.qzeros": packed(zeros, 1),
            f"{stem}.scales": scales,
            f"{stem}.g_idx": (np.arange(32) // 16).astype(np.int32),
        },
        tmp_path / "model.safetensors",
    )
    group = np.arange(32) // 16
    expected = (codes - (zeros + 1)[group]) * scales.astype(np.float32)[group]
    tensor = open_weights(str(tmp_path)).parts[0, "down"].tensor
    assert tensor.shape == (8, 32)
    assert np.allclose(tensor.read(0, 8), expected.T)
    assert np.allclose(tensor.read(3, 5), expected.T[3:5])


def test_float8_is_read_as_torch_reads_it():
    torch = pytest.importorskip("torch")
    from fingerprint.tensors.numbers import decode

    codes = np.arange(256, dtype=np.uint8)
    for name, dtype in (("F8_E4M3", torch.float8_e4m3fn), ("F8_E5M2", torch.float8_e5m2)):
        theirs = torch.frombuffer(bytearray(codes.tobytes()), dtype=dtype).float().numpy()
        assert np.array_equal(decode(codes, name), theirs, equal_nan=True)
    half = np.random.default_rng(0).integers(0, 256, size=512, dtype=np.uint8)
    theirs = torch.frombuffer(bytearray(half.tobytes()), dtype=torch.bfloat16).float().numpy()
    assert np.array_equal(decode(half, "BF16"), theirs, equal_nan=True)


def write_header(path: Path, table: dict[str, object], data: bytes = b"") -> None:
    head = json.dumps(table).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + data)


def swap_two_shards(index: Path) -> None:
    table = json.loads(index.read_text())
    first, second = sorted(table["weight_map"])[:2]
    table["weight_map"][first], table["weight_map"][second] = table["weight_map"][second], table["weight_map"][first]
    index.write_text(json.dumps(table))


def odd_format(folder: Path) -> None:
    write_header(folder / "x.safetensors", {"x": {"dtype": "F4", "shape": [4, 4], "data_offsets": [0, 8]}}, b"0" * 8)


SHARD = "model-00002-of-00003.safetensors"
INDEX = "model.safetensors.index.json"
FAULTS = {
    "shard missing": lambda f: (f / SHARD).unlink(),
    "shard missing, no index": lambda f: [(f / name).unlink() for name in (INDEX, SHARD)],
    "index wrong": lambda f: swap_two_shards(f / INDEX),
    "index no JSON": lambda f: (f / INDEX).write_text("{"),
    "cut off": lambda f: (f / SHARD).write_bytes((f / SHARD).read_bytes()[:5000]),
    "pickle only": lambda f: [path.rename(path.with_suffix(".bin")) for path in f.glob("*.safetensors")],
    "same tensor twice": lambda f: shutil.copy(f / SHARD, f / "model-copy.safetensors"),
    "nothing": lambda f: [path.unlink() for path in f.iterdir()],
    "odd number format": odd_format,
}


def broken(folder: Path, model: change.Small, how: str) -> str:
    change.write_small(model, folder, shards=3)
    FAULTS[how](folder)
    return str(folder)


@pytest.mark.parametrize(
    ("how", "error", "says"),
    [
        ("shard missing", ModelError, "model-00002-of-00003.safetensors is named in the index but missing"),
        ("shard missing, no index", ModelError, "model-00002-of-00003.safetensors is missing"),
        ("index wrong", ModelError, "The index is wrong"),
        ("index no JSON", ModelError, "cannot be read"),
        ("cut off", ModelError, "damaged or cut off"),
        ("pickle only", ModelRefused, "pickled weights only"),
        ("same tensor twice", ModelError, "lies in two files"),
        ("nothing", ModelError, "no .safetensors file"),
        ("odd number format", ModelError, "F4"),
    ],
)
def test_bad_weights_are_one_clear_sentence(how: str, error: type, says: str, teacher: change.Small, tmp_path: Path):
    with pytest.raises(error) as caught:
        lineage.compare_weights(broken(tmp_path / "bad", teacher, how), "zoo:teacher")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nan_is_refused_by_name_and_skipped_in_a_larger_comparison(teacher: change.Small, tmp_path: Path):
    tensors = {name: value.copy() for name, value in teacher.tensors.items()}
    tensors["model.layers.1.mlp.up_proj.weight"][3, 4] = np.nan
    path = str(change.write_small(change.replace(teacher, tensors=tensors), tmp_path / "nan"))
    with pytest.raises(ModelBroken, match=r"model\.layers\.1\.mlp\.up_proj\.weight .* NaN"):
        lineage.compare_weights(path, "zoo:teacher")
    recordings = {recording.model.name: recording for recording in shipped.recordings()}
    case = Case(suspect=recordings["student"], reference=recordings["teacher"])
    evidence, skipped = lineage.open_tensor_evidence(case, [path, "zoo:teacher"])
    assert not evidence
    assert "NaN" in skipped[0].reason


@pytest.mark.parametrize("spec", ["toy:parrot", "rec:answers.jsonl", "hf:nobody/nothing", "./nowhere", "gguf:./no.gguf"])
def test_closed_or_absent_weights_are_a_clear_error(spec: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises((SpecError, ModelError)):
        lineage.compare_weights(spec, "zoo:teacher")


def test_damaged_gguf_is_a_clear_error(teacher: change.Small, tmp_path: Path):
    whole = write_gguf(teacher, tmp_path / "m.gguf", "Q8_0").read_bytes()
    for name, data in {
        "short": whole[:100],
        "half": whole[: len(whole) // 2],
        "other": b"GGML" + whole[4:],
        "version": b"GGUF\x63\x00\x00\x00" + whole[8:],
        "huge": whole[:8] + b"\xff" * 16 + whole[24:],
    }.items():
        path = tmp_path / f"{name}.gguf"
        path.write_bytes(data)
        with pytest.raises(FingerprintError) as caught:
            lineage.compare_weights(str(path), "zoo:teacher")
        assert caught.value.exit_code == 4, name


def test_the_command_prints_a_report_and_never_imports_torch(program):
    done = program("weights", "zoo:finetune", "zoo:teacher", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"]["verdict"]["kind"] == "derived"
    assert program("weights", "zoo:finetune", "./nowhere").returncode == 4
    code = (
        "import sys; from fingerprint import lineage, claims; lineage.weights_relation('zoo:twin', 'zoo:teacher'); "
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    import subprocess

    assert subprocess.run([__import__("sys").executable, "-c", code], timeout=120).returncode == 0


def test_the_output_image_tells_a_served_copy_from_a_student():
    closed = {r.model.name: change.replace(r, sketch=()) for r in shipped.recordings()}
    blind = change.replace(closed["teacher"].model, weights="", digest="sha256:0")
    served = change.replace(closed["teacher"], model=blind)
    residuals = {}
    for name, suspect in {"copy": served, "student": closed["student"], "twin": closed["twin"]}.items():
        case = Case(suspect=suspect, reference=closed["teacher"])
        (found,), _ = lineage.open_tensor_evidence(case, ["rec:answers.jsonl", "zoo:teacher"])
        residuals[name] = found.effect
        verdict = decide(case, [found], shipped_calibration())
        assert verdict.kind == ("derived" if name == "copy" else "inconclusive")
    assert residuals["copy"] < 0.001
    assert residuals["student"] > 0.05
    assert residuals["twin"] > residuals["student"]


def test_short_lists_have_no_output_image():
    recordings = {recording.model.name: recording for recording in shipped.recordings()}
    cut = tuple(change.replace(d, tokens=d.tokens[:20], logprobs=d.logprobs[:20]) for d in recordings["twin"].distributions)
    case = Case(suspect=change.replace(recordings["twin"], distributions=cut), reference=recordings["teacher"])
    evidence, skipped = lineage.open_tensor_evidence(case, ["rec:answers.jsonl", "zoo:teacher"])
    assert not evidence
    assert "more than 129 are needed" in " ".join(item.reason for item in skipped)
