"""The reference library: what goes in comes out, what does not belong is refused with the reason, nothing is lost."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import zipfile
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from fingerprint import api, recording_file
from fingerprint.canonical import digest
from fingerprint.cli.app import app
from fingerprint.errors import FingerprintError, LibraryError
from fingerprint.library import ASIDE, LIST, Library, create, version_of
from fingerprint.library_archive import open_archive
from fingerprint.recording import ModelInfo, ProbeSetRef, Prompt, Recording, Sample

STYLE = ProbeSetRef(name="style", version="1", digest=digest("style 1"))
NEWER = ProbeSetRef(name="style", version="2", digest=digest("style 2"))


def recorded(name, sets=(STYLE,), prompts=range(30), words="says"):
    asked = tuple(Prompt(id=f"p{place}", text=f"Question {place}?", set="style") for place in prompts)
    samples = tuple(Sample(prompt=prompt.id, draw=0, text=f"{name} {words} {prompt.text}") for prompt in asked)
    return Recording(
        model=ModelInfo(name=name, kind="toy", digest=digest([name, words])),
        probe_sets=sets,
        prompts=asked,
        samples=samples,
    )


@pytest.fixture
def shelf(tmp_path):
    library = create(tmp_path / "lib", recorded("a"))
    for name in "abc":
        library.add(recorded(name), card=json.dumps({"parents": []}).encode())
    return library


def run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result, result.exception if isinstance(result.exception, FingerprintError) else None


def test_what_goes_in_comes_out(shelf):
    again = Library.open(shelf.root)
    assert [recording.digest for recording in again.recordings()] == [recorded(name).digest for name in "abc"]
    assert again.digest == shelf.digest
    assert not again.faults()
    assert [recording.model.name for recording in api.read_folder(shelf.root)] == ["a", "b", "c"]
    assert again.add(recorded("b")) is None


def test_the_digest_is_that_of_the_content_and_not_of_the_order(shelf, tmp_path):
    other = create(tmp_path / "other", recorded("a"))
    for name in "cab":
        other.add(recorded(name), card=json.dumps({"parents": []}).encode())
    assert other.digest == shelf.digest
    other.add(recorded("d"))
    assert other.digest != shelf.digest


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (recorded("d", sets=(NEWER,)), "answers style 2"),
        (recorded("d", sets=(STYLE, replace(NEWER, name="ratings"))), "has ratings 2"),
        (recorded("d", sets=()), "without a probe set"),
        (recorded("a", words="shouts"), "another recording named a"),
    ],
)
def test_what_does_not_belong_is_refused_with_the_reason(shelf, bad, words):
    before = (shelf.root / LIST).read_bytes()
    with pytest.raises(LibraryError, match=words):
        shelf.add(bad)
    assert (shelf.root / LIST).read_bytes() == before


def test_foreign_rows_need_prompts_in_common(tmp_path):
    library = create(tmp_path / "lib", recorded("a", sets=()))
    library.add(recorded("a", sets=()))
    with pytest.raises(LibraryError, match="3 prompts in common"):
        library.add(recorded("b", sets=(), prompts=range(27, 57)))
    assert library.add(recorded("b", sets=(), prompts=range(5, 35)))


def test_version_does_not_depend_on_the_order_of_the_sets():
    other = replace(NEWER, name="ratings")
    assert version_of([STYLE, other]) == version_of([other, STYLE]) != version_of([STYLE])
    assert version_of([]) == ""


def test_a_damaged_recording_is_named_and_moved_aside(shelf):
    path = shelf.root / "b.jsonl.zst"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LibraryError, match=r"b\.jsonl\.zst .* prune"):
        api.read_folder(shelf.root)
    assert [(fault.file, "digest" in fault.what) for fault in shelf.faults()] == [("b.jsonl.zst", True)]
    shelf.prune()
    assert [recording.model.name for recording in api.read_folder(shelf.root)] == ["a", "c"]
    assert (shelf.root / ASIDE / "b.jsonl.zst").read_bytes() == whole[: len(whole) // 2]
    assert (shelf.root / ASIDE / "b.card.json").exists()
    assert shelf.add(recorded("b"))


def test_strangers_in_the_folder_are_not_read_silently(shelf):
    recording_file.write(recorded("stray"), shelf.root / "stray.jsonl.zst")
    with pytest.raises(LibraryError, match="not in its list"):
        shelf.recordings()
    (shelf.root / "a.jsonl.zst").unlink()
    assert {fault.what for fault in shelf.faults()} == {"is not in the list", "is missing"}
    moved = shelf.prune()
    assert {path.name for path in moved} == {"stray.jsonl.zst", "a.card.json"}
    assert len(shelf.recordings()) == 2


def test_a_list_from_elsewhere_cannot_name_files_outside(shelf):
    text = (shelf.root / LIST).read_text()
    (shelf.root / LIST).write_text(text.replace('"a.jsonl.zst"', '"../secret.jsonl"'))
    with pytest.raises(LibraryError, match="outside its folder"):
        Library.open(shelf.root)
    (shelf.root / LIST).write_text(text[:50])
    with pytest.raises(LibraryError, match="damaged"):
        Library.open(shelf.root)


@pytest.mark.parametrize("ending", [".zip", ".tar.gz"])
def test_an_archive_is_a_library(shelf, tmp_path, monkeypatch, ending):
    monkeypatch.setenv("FINGERPRINT_CACHE", str(tmp_path / "cache"))
    path = tmp_path / shutil.make_archive("packed", {".zip": "zip", ".tar.gz": "gztar"}[ending], tmp_path, "lib")
    path = path.rename(tmp_path / path.name) if path.parent != tmp_path else path
    assert open_archive(path).digest == shelf.digest
    assert len(api.read_folder(path)) == 3
    cut = tmp_path / ("cut" + ending)
    cut.write_bytes(path.read_bytes()[:200])
    with pytest.raises(LibraryError, match="damaged"):
        open_archive(cut)


def test_an_archive_writes_nowhere_else(tmp_path, monkeypatch):
    monkeypatch.setenv("FINGERPRINT_CACHE", str(tmp_path / "cache"))
    evil = tmp_path / "evil.tar"
    with tarfile.open(evil, "w") as tape:
        for name in ("../../escaped.jsonl", LIST):
            info = tarfile.TarInfo(name)
            info.size = 2
            tape.addfile(info, io.BytesIO(b"{}"))
    with pytest.raises(LibraryError):
        open_archive(evil)
    assert not (tmp_path / "escaped.jsonl").exists()
    assert not (tmp_path / "cache" / "escaped.jsonl").exists()
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(LibraryError, match="no library"):
        open_archive(tmp_path / "none.zip")


def test_commands_add_what_they_can_and_say_what_they_cannot(tmp_path):
    good, torn, other = tmp_path / "good.jsonl.zst", tmp_path / "torn.jsonl", tmp_path / "other.jsonl"
    recording_file.write(recorded("good"), good)
    torn.write_text("{")
    recording_file.write(recorded("other", sets=(NEWER,)), other)
    (tmp_path / "good.card.json").write_text('{"parents": ["x"]}')
    result, error = run("library", "add", tmp_path / "lib", torn, good, other)
    assert error is not None
    assert "2 of 3" in str(error)
    assert "torn.jsonl is not JSON" in result.stderr
    assert "answers style 2" in result.stderr
    result, _ = run("library", "list", tmp_path / "lib", "--json")
    listed = json.loads(result.stdout)
    assert [entry["name"] for entry in listed["entries"]] == ["good"]
    assert (tmp_path / "lib" / listed["entries"][0]["card"]).read_text() == '{"parents": ["x"]}'
    result, _ = run("library", "verify", tmp_path / "lib", "--digest", listed["digest"])
    assert "all whole" in result.stdout
    _, error = run("library", "verify", tmp_path / "lib", "--digest", "sha256:0")
    assert "not the one that was published" in str(error)
    assert good.exists()


def test_a_model_is_recorded_with_the_probes_of_the_library(tmp_path):
    arguments = ("--store", tmp_path / "store", "-q")
    _, error = run("library", "add", tmp_path / "lib", "toy:parrot?seed=1", "--probes", "style", *arguments)
    assert error is None
    _, error = run("library", "add", tmp_path / "lib", "toy:parrot?seed=2", "--name", "second", *arguments)
    assert error is None
    library = Library.open(tmp_path / "lib")
    assert [ref.name for ref in library.listing.probe_sets] == ["style"]
    assert len(library.entries) == 2
    result, _ = run("library", "prune", tmp_path / "lib")
    assert "2 models left, 0 files moved" in result.stdout


def test_identify_and_check_use_a_library_or_an_archive_of_it_alike(tmp_path):
    library = create(tmp_path / "lib", recorded("m0"))
    for place in range(22):
        library.add(recorded(f"m{place}"))
    recording_file.write(recorded("suspect"), tmp_path / "suspect.jsonl")
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "lib")
    answers, decisions = [], []
    for panel in (library.root, archive):
        result, error = run("identify", tmp_path / "suspect.jsonl", "--panel", panel, "--json")
        assert error is None
        answers.append(json.loads(result.stdout))
        (tmp_path / "p.toml").write_text(
            f'schema_version = "1.0"\nname = "gate"\nprobes = "style"\npanel = "{panel}"\n[[rule]]\nid = "one"\nsentence = "S."\n'
            'subject = "suspect.jsonl"\nagainst = ["lib/m0.jsonl.zst"]\n'
        )
        result, error = run("check", tmp_path / "p.toml", "--json", "--reports", tmp_path / "reports")
        assert error is None
        assert result.exit_code == 3, result.output
        report = json.loads(next((tmp_path / "reports").glob("*.json")).read_text())
        decisions.append(report["result"])
    assert answers[0] == answers[1]
    assert len(answers[0]["candidates"]) == 22
    assert decisions[0] == decisions[1]
    # The population is the library: without it the package's own models would stand there.
    alone = api.compare(
        f"rec:{tmp_path / 'suspect.jsonl'}", f"rec:{library.root / 'm0.jsonl.zst'}", options=api.Options(probes="style")
    )
    assert json.loads(alone.result.model_dump_json()) != decisions[0]
