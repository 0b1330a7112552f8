"""What people bring to the commands for many models: each gets one sentence with its exit code, and nothing is lost."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from test_library import NEWER, recorded
from typer.testing import CliRunner

from fingerprint import lookup, recording_file
from fingerprint.cli.app import app
from fingerprint.errors import FingerprintError
from fingerprint.library import LIST, create


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(done, *words):
    """The one sentence of an error with exit code 2."""
    assert isinstance(done.exception, FingerprintError), (done.exception, done.output)
    assert done.exception.exit_code == 2
    assert "\n" not in str(done.exception)
    for word in words:
        assert word in str(done.exception)


@pytest.fixture
def shelf(tmp_path):
    library = create(tmp_path / "lib", recorded("a"))
    for name in "abc":
        library.add(recorded(name))
    recording_file.write(recorded("suspect"), tmp_path / "suspect.jsonl")
    return library


POLICY = """
schema_version = "1.0"
name = "gate"
probes = "style"
panel = "lib"

[[rule]]
id = "one"
sentence = "S."
subject = "suspect.jsonl"
against = ["lib/a.jsonl.zst"]
"""


def commands(root):
    (root.parent / "p.toml").write_text(POLICY)
    return {
        "matrix": ("matrix", root),
        "tree": ("tree", root, "--replicates", 2),
        "identify": ("identify", root.parent / "suspect.jsonl", "--panel", root),
        "nearest": ("library", "nearest", root, root.parent / "suspect.jsonl"),
        "index": ("library", "index", root),
        "compare": ("compare", root.parent / "suspect.jsonl", root / "a.jsonl.zst", "--panel", root),
        "check": ("check", root.parent / "p.toml"),
    }


@pytest.mark.parametrize("command", ["matrix", "tree", "identify", "nearest", "index", "compare", "check"])
def test_one_corrupt_recording_stops_every_command_by_name(shelf, command):
    path = shelf.root / "b.jsonl.zst"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    refused(run(*commands(shelf.root)[command]), "b.jsonl.zst", "digest differs", "library prune")
    assert path.read_bytes() == whole[:-20]
    run("library", "prune", shelf.root)
    # Put aside, it stops nobody, and two are left to compare.
    done = run(*commands(shelf.root)["matrix"])
    assert done.exit_code == 0, done.exception


def test_a_corrupt_recording_in_a_plain_folder_is_named(tmp_path):
    for name in "ab":
        recording_file.write(recorded(name), tmp_path / f"{name}.jsonl.zst")
    (tmp_path / "b.jsonl.zst").write_bytes((tmp_path / "b.jsonl.zst").read_bytes()[:-20])
    for command in ("matrix", "tree"):
        refused(run(command, tmp_path), "b.jsonl.zst")


def test_two_of_one_name(shelf, tmp_path):
    recording_file.write(recorded("a", words="shouts"), tmp_path / "again.jsonl")
    done = run("library", "add", shelf.root, tmp_path / "again.jsonl")
    refused(done, "1 of 1")
    assert "another recording named a" in done.stderr
    assert "--name" in done.stderr
    assert run("library", "add", shelf.root, tmp_path / "again.jsonl", "--name", "a, louder").exit_code == 0
    # In a plain folder both are kept, and told apart by their digests.
    folder = tmp_path / "plain"
    folder.mkdir()
    for place, words in enumerate(("says", "shouts")):
        recording_file.write(recorded("twice", words=words), folder / f"{place}.jsonl")
    names = json.loads(run("matrix", folder, "--json").stdout)["models"]
    assert len(set(names)) == 2
    assert all(name.startswith("twice (") for name in names)
    assert len(set(json.loads(run("tree", folder, "--replicates", 2, "--json").stdout)["models"])) == 2


@pytest.mark.parametrize("command", ["matrix", "tree", "identify", "nearest", "index", "compare"])
def test_no_model_at_all(tmp_path, command):
    library = create(tmp_path / "lib", recorded("a"))
    recording_file.write(recorded("suspect"), tmp_path / "suspect.jsonl")
    recording_file.write(recorded("a"), tmp_path / "a.jsonl.zst")
    arguments = [
        tmp_path / "a.jsonl.zst" if str(each).endswith("lib/a.jsonl.zst") else each
        for each in commands(library.root)[command]
    ]
    refused(run(*arguments), "holds no recording")
    (tmp_path / "empty").mkdir()
    arguments = [tmp_path / "empty" if each == library.root else each for each in arguments]
    refused(run(*arguments), "library.json" if command == "index" else "holds no recording")


def test_one_model_is_no_pair_and_no_tree_but_can_be_ranked(tmp_path):
    library = create(tmp_path / "lib", recorded("a"))
    library.add(recorded("a"))
    recording_file.write(recorded("suspect"), tmp_path / "suspect.jsonl")
    for command in ("matrix", "tree"):
        refused(run(*commands(library.root)[command]), "one recording only")
    done = run(*commands(library.root)["identify"], "--json")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert [(row["name"], row["kind"], row["accused"]) for row in found["candidates"]] == [("a", "inconclusive", False)]
    assert found["none_of_these"]["answer"] == "undecided"


def test_three_prompts_in_common_claim_nothing_anywhere(tmp_path, monkeypatch):
    """Rows of other people; a library refuses them, a folder compares them and says that it shows nothing."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for place in range(22):
        recording_file.write(recorded(f"m{place:02d}", sets=()), folder / f"m{place:02d}.jsonl")
    few = recorded("few", sets=(), prompts=range(27, 57))
    recording_file.write(few, folder / "few.jsonl")
    recording_file.write(few, tmp_path / "few.jsonl")
    pairs = json.loads(run("matrix", folder, "--json").stdout)["pairs"]
    theirs = [row for row in pairs if "few" in {row["a"], row["b"]}]
    assert {(row["shared_prompts"], row["log10_lr"], row["kind"]) for row in theirs} == {(3, 0.0, "inconclusive")}
    tree = json.loads(run("tree", folder, "--replicates", 2, "--json").stdout)
    assert {"kind": "open", "length": 0.0, "model": "few"} in tree["root"]["children"]
    (folder / "few.jsonl").unlink()
    for large in (300, 10):
        monkeypatch.setattr(lookup, "LARGE", large)
        found = json.loads(run("identify", tmp_path / "few.jsonl", "--panel", folder, "--json").stdout)
        assert {(row["shared_prompts"], row["log10_lr"], row["accused"]) for row in found["candidates"]} == {
            (3, 0.0, False)
        }
        assert any("fewer than 20 answered prompts" in limit for limit in found["limits"])
    done = run("library", "add", tmp_path / "lib", folder / "m00.jsonl", tmp_path / "few.jsonl")
    refused(done, "1 of 2")
    assert "3 prompts in common" in done.stderr


def test_another_version_of_the_probes_is_refused_with_the_reason(shelf, tmp_path):
    recording_file.write(recorded("late", sets=(NEWER,)), tmp_path / "late.jsonl")
    before = (shelf.root / LIST).read_bytes()
    done = run("library", "add", shelf.root, tmp_path / "late.jsonl")
    refused(done, "1 of 1")
    assert "answers style 2" in done.stderr
    assert "cannot be ranked together" in done.stderr
    assert (shelf.root / LIST).read_bytes() == before


def test_a_library_whose_files_answer_other_probes_is_found_out(shelf):
    """A list that was written by hand: the digests fit, the versions do not."""
    library = shelf
    late = replace(recorded("c"), probe_sets=(NEWER,))
    recording_file.write(late, library.root / "c.jsonl.zst")
    from fingerprint.canonical import sha256

    listed = json.loads((library.root / LIST).read_text())
    for entry in listed["entries"]:
        if entry["name"] == "c":
            entry |= {"sha256": sha256((library.root / "c.jsonl.zst").read_bytes()), "recording": late.digest}
    (library.root / LIST).write_text(json.dumps(listed))
    done = run("library", "verify", library.root)
    refused(done, "1 faults")
    assert "answers other probe sets than the library" in done.stdout


def test_an_engine_that_a_small_panel_does_not_use_is_said_and_changes_nothing(shelf):
    """Otherwise a cluster that is not there would look as if it had worked."""
    for command in (("matrix", shelf.root, "--json"), ("tree", shelf.root, "--replicates", 2, "--json")):
        plain, spread = run(*command), run(*command, "--engine", "processes")
        assert "the engine processes was not used" in spread.stderr
        assert "engine" not in plain.stderr
        assert spread.stdout == plain.stdout
