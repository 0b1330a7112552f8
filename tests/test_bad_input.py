"""Bad input: one clear sentence, the right exit code, nothing lost, and never an accusation."""

from __future__ import annotations

import json
import shutil

import pytest

from fingerprint import shipped
from fingerprint.text import safe_text

TEACHER = shipped.root() / "models" / "teacher"


def copy_of_teacher(folder):
    shutil.copytree(TEACHER, folder)
    return folder


def fails(done, code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_a_missing_path(program):
    fails(program("compare", "./nothing", "toy:parrot"), 4, "no model folder")


def test_a_folder_without_config(program, tmp_path):
    (tmp_path / "empty").mkdir()
    fails(program("compare", "./empty", "toy:parrot"), 4, "config.json")


def test_pickled_weights_are_refused(program, tmp_path):
    folder = copy_of_teacher(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    fails(program("compare", "./m", "toy:parrot"), 4, "pickle")


def test_remote_code_is_refused(program, tmp_path):
    folder = copy_of_teacher(tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModelForCausalLM": "evil.Model"}}))
    fails(program("compare", "./m", "toy:parrot"), 4, "its own code")


def test_truncated_safetensors(program, tmp_path):
    weights = copy_of_teacher(tmp_path / "m") / "model.safetensors"
    weights.chmod(0o644)
    weights.write_bytes(weights.read_bytes()[:100_000])
    fails(program("compare", "./m", "toy:parrot"), 4, "damaged or cut off")


def test_broken_gguf(program, tmp_path):
    (tmp_path / "a.gguf").write_bytes(b"not a model")
    fails(program("compare", "gguf:./a.gguf", "toy:parrot"), 4, "not a GGUF file")
    (tmp_path / "b.gguf").write_bytes(b"GGUF\x03\x00\x00\x00" + b"\x00" * 40)
    fails(program("compare", "gguf:./b.gguf", "toy:parrot"), 4, "cannot be loaded")


def test_the_hub_is_not_reachable(program):
    fails(program("compare", "hf:nobody/nothing", "toy:parrot"), 4, "could not be fetched")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b'{"prompt": "a"}\n', "output"),
        (b"[1, 2]\n", "not a JSON object"),
        (b'{"prompt": "a", "output": "b"}\n{"pro', "not JSON"),
        (b'{"row": "header", "format": "fingerprint.recording/99"}\n', "format"),
        (b"\xff\xfe\x00", "not JSON"),
        (b'{"prompt": "a", "output": "b", "model": "x"}\n{"prompt": "c", "output": "d", "model": "y"}\n', "several models"),
    ],
)
def test_recordings_that_are_none(program, tmp_path, content, word):
    (tmp_path / "r.jsonl").write_bytes(content)
    fails(program("compare", "rec:r.jsonl", "toy:parrot"), 2, word)


def test_no_prompt_in_common(program, tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"prompt": name, "output": "x"}) + "\n")
    fails(program("compare", "rec:a.jsonl", "rec:b.jsonl"), 2, "no prompt in common")


def test_unknown_names(program):
    fails(
        program("compare", "toy:parrot", "toy:parrot?seed=1", "--probes", "nonsense"), 2, "no probe set", "border-choices"
    )
    fails(program("compare", "toy:nobody", "toy:parrot"), 2, "toy model")
    fails(program("compare", "what is this", "toy:parrot"), 2, "no shape")
    fails(program("compare", "toy:parrot", "toy:parrot?seed=1", "-o", "x.pdf"), 2, "ending")
    fails(program("compare", "toy:parrot", "toy:parrot?seed=1", "-o", "no/where.json"), 2, "no folder")


def test_nan_logits(program, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = copy_of_teacher(tmp_path / "m")
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    name = next(name for name in tensors if "mlp" in name)
    tensors[name][:] = float("nan")
    weights.unlink()
    save_file(tensors, weights, metadata={"format": "pt"})
    fails(program("compare", "./m", "toy:parrot"), 4, "NaN")
    fails(program("compare", "toy:broken", "toy:parrot"), 4, "NaN")


@pytest.mark.parametrize("suspect", ["toy:silent?access=text", "toy:constant?access=text"])
def test_a_model_without_anything_to_say_is_not_accused(program, suspect):
    done = program("compare", suspect, "toy:parrot?seed=1", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"]["verdict"]["kind"] in {"inconclusive", "unrelated"}


HOSTILE = [
    "\x1b[31mred\x1b[0m",
    "[bold red]x[/]",
    "<script>alert(1)</script>",
    "a\x00b",
    "\u202egnp.exe",
    "|`*_",
    "\ud800",
    "x" * 300_000,
]


def test_hostile_answers_reach_no_renderer_raw(program, tmp_path):
    for name in ("a", "b"):
        rows = [
            {"prompt": f"{text[:50]} {i}", "output": text + name, "model": HOSTILE[0] + HOSTILE[2] + HOSTILE[4] + name}
            for i, text in enumerate(HOSTILE * 5)
        ]
        data = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(data)
    for format_ in ("txt", "html", "md"):
        done = program("compare", "rec:a.jsonl", "rec:b.jsonl", "-o", f"out.{format_}")
        assert done.returncode == 0, done.stderr
        text = (tmp_path / f"out.{format_}").read_text()
        assert "\x1b" not in text + done.stdout
        assert "\x00" not in text + done.stdout
        assert "\u202e" not in text + done.stdout
        assert "<script" not in text or format_ == "txt"


def test_safe_text_shows_what_it_neutralises():
    assert safe_text("a\x1bb") == "a\\u001bb" or "\\" in safe_text("a\x1bb")
    assert safe_text("x" * 500).endswith("…")
