"""The hooks of pre-commit: the manifest as pre-commit reads it, and its entries run by pre-commit on real models.

pre-commit would install the program from this repository, for which it needs the network; here the same hooks run with
``language: system`` and the program under test on the path. What files a hook is given is pre-commit's own doing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fingerprint import shipped
from fingerprint.claims import models_of

ROOT = Path(__file__).parent.parent
MANIFEST = ROOT / ".pre-commit-hooks.yaml"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A git repository with a teacher and a fine-tune of it, and the program on the path."""
    pytest.importorskip("pre_commit", reason="pre-commit is not installed: pip install 'fingerprint-lineage[test]'")
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    bin_, root = tmp_path / "bin", tmp_path / "repository"
    bin_.mkdir()
    (bin_ / "fingerprint").write_text(f'#!/bin/sh\nexec {sys.executable} -m fingerprint.cli.app "$@"\n')
    (bin_ / "fingerprint").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "home"))
    for name in ("teacher", "twin", "finetune"):
        shutil.copytree(shipped.root() / "models" / name, root / "models" / name)
    (root / "README.md").write_text("---\nbase_model: org/nobody\n---\nNo model lies here.\n")
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    return root


def pre_commit(root: Path, hook: str, *args: str) -> subprocess.CompletedProcess[str]:
    declared = next(each for each in yaml.safe_load(MANIFEST.read_text()) if each["id"] == hook)
    local = {**declared, "language": "system", "args": list(args)}
    config = {"repos": [{"repo": "local", "hooks": [local]}]}
    (root / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    subprocess.run(["git", "add", "-A"], cwd=root, check=True)
    command = [sys.executable, "-m", "pre_commit", "run", "--verbose", hook]
    return subprocess.run(command, cwd=root, capture_output=True, text=True)


def declare(root: Path, parent: str) -> None:
    (root / "models" / "finetune" / "README.md").write_text(f"---\nbase_model: {parent}\n---\n# A model\n")


def test_pre_commit_reads_the_manifest():
    clientlib = pytest.importorskip("pre_commit.clientlib", reason="pre-commit is not installed")
    found = clientlib.load_manifest(str(MANIFEST))
    assert [hook["id"] for hook in found] == ["fingerprint-claims", "fingerprint-check"]


@pytest.mark.parametrize(("parent", "code"), [("org/teacher", 0), ("org/twin", 1)])
def test_a_commit_with_a_false_claim_is_stopped(repository, parent, code):
    declare(repository, parent)
    done = pre_commit(repository, "fingerprint-claims")
    assert done.returncode == code, done.stdout + done.stderr
    assert ("SUPPORTED" in done.stdout) == (code == 0)
    assert ("CONTRADICTED" in done.stdout) == (code == 1)
    if code:
        assert "exit code: 1" in done.stdout
        assert f"the declared parent {parent} is contradicted" in done.stdout
    # The card of the whole repository belongs to no model.
    assert "nobody" not in done.stdout


def test_the_claims_of_a_policy_are_a_hook(repository):
    declare(repository, "org/teacher")
    (repository / "gate.toml").write_text(
        'schema_version = "1.0"\nname = "gate"\n[[rule]]\nid = "claims"\nsentence = "S."\n'
        'subject = "./models/finetune"\nagainst = ["org/teacher=./models/twin"]\nclaims = "supported"\n'
    )
    done = pre_commit(repository, "fingerprint-check", "gate.toml")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "exit code: 1" in done.stdout
    assert "policy gate: failed" in done.stdout


def test_files_stand_for_their_models(tmp_path):
    for name in (
        "a/config.json",
        "a/README.md",
        "a/model.safetensors",
        "b/one.gguf",
        "b/two.gguf",
        "b/README.md",
        "c/README.md",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    a, b, c = (tmp_path / name for name in "abc")
    assert models_of([a / "README.md", a / "config.json"]) == (f"path:{a}",)
    assert models_of([b / "two.gguf"]) == (f"gguf:{b / 'two.gguf'}",)
    assert models_of([b / "README.md"]) == (f"gguf:{b / 'one.gguf'}", f"gguf:{b / 'two.gguf'}")
    assert models_of([c / "README.md"]) == ()


def test_claims_describe_unless_they_are_told_to_gate(program, tmp_path):
    shutil.copytree(shipped.root() / "models" / "finetune", tmp_path / "tuned")
    (tmp_path / "tuned" / "README.md").write_text("---\nbase_model: org/base\n---\n")
    against = ["--against", "org/base=zoo:twin"]
    done = program("claims", "./tuned", "./nowhere", "--strict", *against)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 2
    gone = program("claims", "./nowhere", "--strict", "--json")
    assert gone.returncode == 4
    assert "nowhere" in gone.stderr
