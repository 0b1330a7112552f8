"""Files from anywhere: a reader gives what is in them or one of our own errors, whatever the bytes; showing decides nothing."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from reports import COMPAT, STORED, stored

from fingerprint import api, recording_file
from fingerprint.calibration.model import known
from fingerprint.calibration.model import read as read_calibration
from fingerprint.cli.compare import rendered
from fingerprint.errors import FingerprintError, RecordingError
from fingerprint.library import Library, _card_text
from fingerprint.policy import read_policy
from fingerprint.probes import load_path
from fingerprint.report import explain
from fingerprint.report.baseline import read_baseline
from fingerprint.report.schema import Report, from_json, load_report, to_json
from fingerprint.report.seal import read_seal
from fingerprint.report.verify import verify

NOW = COMPAT / "2026-11-25-0409669"


def read_library(path: Path) -> None:
    """A library whose list is the file in question, beside the recordings that it should name."""
    folder = path.with_suffix(".library")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(NOW / "library", folder)
    (folder / "library.json").write_bytes(path.read_bytes())
    library = Library.open(folder)
    library.faults()
    library.recordings()


def read_and_use_report(path: Path) -> None:
    """What is accepted as a report can be shown in every way, explained, and put to the test."""
    report = load_report(path)
    for suffix in (".json", ".html", ".md", ".txt", ".csv"):
        rendered(report, suffix)
    explain.page(report)
    report._repr_html_()
    if report.result.suspect.protocol is not None:
        verify(report, known())


def read_and_use_recording(path: Path) -> None:
    recording = recording_file.read(path)
    assert recording.digest.startswith("sha256:")
    assert str(recording)
    assert len(recording.answers) <= len(recording.prompts)


#: Reader, a valid file, and the ending that the file must have.
READERS: dict[str, tuple[Callable[[Path], Any], Path, str]] = {
    "policy": (read_policy, COMPAT / "2026-11-25-e1af47d" / "policy-gate.toml", ".toml"),
    "probes": (load_path, Path(__file__).parent.parent / "probes" / "style.toml", ".toml"),
    "report": (read_and_use_report, STORED["text"], ".json"),
    "old report": (read_and_use_report, COMPAT / "2026-11-24-9f7dc6a" / "report-toys.json", ".json"),
    "recording": (read_and_use_recording, NOW / "recording-parrot.jsonl.zst", ".jsonl"),
    "packed recording": (read_and_use_recording, NOW / "recording-parrot.jsonl.zst", ".jsonl.zst"),
    "rows": (read_and_use_recording, NOW / "rows-chat.jsonl", ".jsonl"),
    "baseline": (read_baseline, NOW / "baseline-panel.json", ".json"),
    "seal": (read_seal, NOW / "seal-style.json", ".json"),
    "library": (read_library, NOW / "library" / "library.json", ".json"),
    "card": (lambda path: _card_text(path.read_bytes()), NOW / "seal-style.json", ".json"),
    "calibration": (read_calibration, NOW / "calibration-zoo.json", ".json"),
}


def valid_bytes(name: str) -> bytes:
    _, path, ending = READERS[name]
    data = path.read_bytes()
    if path.name.endswith(".zst") and ending == ".jsonl":
        return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read()
    return data


VALID = {name: valid_bytes(name) for name in READERS}
ODD = [
    b"",
    b"\xff\xfe\x00\xd8",
    b"\xef\xbb\xbf{}",
    b"{",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"schema_version": "1.0", "result": ' + b"9" * 5000 + b"}",
    b"x = " + b"9" * 5000,
    b"x = " + b"[" * 5000,
    b'{"prompt": "\\ud800", "output": "\\udfff"}\n',
    b'{"prompt": "a", "output": "b", "prompt_id": 1e999}\n',
    b'{"prompt": "a", "output": "b", "system": [[[]]]}\n',
    b'{"row": "header", "format": "fingerprint.recording/1", "model": {"name": "x"}}\n',
    b'{"row": {}, "format": []}\n',
    b"null\n",
    b"NaN\n",
    b"(\xb5/\xfd\x00X\x01\x00\x00",
]


def reads_or_refuses(name: str, data: bytes) -> None:
    reader, _, ending = READERS[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file{ending}"
        path.write_bytes(data)
        try:
            reader(path)
        except FingerprintError as error:
            refusal = error
        else:
            return
    # A refusal is a sentence about the file, never "a bug".
    assert refusal.exit_code in {2, 4}
    assert str(refusal)


@pytest.mark.parametrize("name", READERS)
def test_the_valid_file_is_read(name, tmp_path):
    reader, _, ending = READERS[name]
    (tmp_path / f"file{ending}").write_bytes(VALID[name])
    reader(tmp_path / f"file{ending}")


@pytest.mark.parametrize("name", READERS)
def test_odd_files_are_read_or_refused(name):
    for data in ODD:
        reads_or_refuses(name, data)


@pytest.mark.parametrize("name", READERS)
@given(data=st.binary(max_size=300))
@settings(max_examples=15, deadline=None)
def test_any_bytes_are_read_or_refused(name, data):
    reads_or_refuses(name, data)


@st.composite
def damage(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """A change somewhere in a file: bytes replaced, put in or taken out, or the end missing."""
    at, size = draw(st.floats(0, 1, exclude_max=True)), draw(st.integers(0, 40))
    new, cut = draw(st.binary(max_size=8)), draw(st.booleans())

    def change(data: bytes) -> bytes:
        place = int(at * len(data))
        return data[:place] + new + (b"" if cut and size == 0 else data[place + size :])

    return change


@pytest.mark.parametrize("name", READERS)
@given(change=damage())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_damaged_file_is_read_or_refused(name, change):
    reads_or_refuses(name, change(VALID[name]))


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 1, 2**63, -(2**70), 1e300, -1e-300, 0.5, 10**400]),
    st.text(max_size=12),
    st.sampled_from(["", "\ud800", "\x1b[31m", "<script>", "../../etc", "sha256:", "\u202e"]),
    st.lists(st.integers(-1, 3), max_size=3),
    st.dictionaries(st.sampled_from(["", "row", "name", "\ud800"]), st.none(), max_size=2),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in inner for found in [(*path, key), *places(item, (*path, key))]]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    copy = json.loads(json.dumps(value))
    spot = copy
    for step in path[:-1]:
        spot = spot[step]
    spot[path[-1]] = new
    return copy


JSON_FILES = [name for name, data in VALID.items() if data[:1] == b"{"]
TREES = {
    name: [json.loads(line) for line in VALID[name].splitlines()]
    if name in {"recording", "rows"}
    else json.loads(VALID[name])
    for name in JSON_FILES
}
SPOTS = {name: places(tree) for name, tree in TREES.items()}


@pytest.mark.parametrize("name", JSON_FILES)
@given(data=st.data())
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_file_with_one_value_of_another_kind_is_read_or_refused(name, data):
    changed = replaced(TREES[name], data.draw(st.sampled_from(SPOTS[name])), data.draw(VALUES))
    lines = changed if isinstance(changed, list) and name in {"recording", "rows"} else [changed]
    reads_or_refuses(name, b"\n".join(json.dumps(line).encode() for line in lines))


def test_a_packed_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(recording_file, "MAX_LINE", 1 << 20)
    path = tmp_path / "bomb.jsonl.zst"
    path.write_bytes(zstandard.ZstdCompressor().compress(b" " * (1 << 24)))
    assert path.stat().st_size < 10_000
    with pytest.raises(RecordingError, match="longer than"):
        recording_file.read(path)


def test_rows_of_equal_answers_are_no_proof_of_equal_weights(tmp_path):
    """Rows are known by their answers alone: two models that always say the same thing are not the same model."""
    for name in ("first", "second", "other"):
        rows = [
            {"prompt": f"Question {n}?", "output": f"I cannot help with that, {name == 'other'}.", "model": name}
            for n in range(30)
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, second, other = (f"rec:{tmp_path}/{name}.jsonl" for name in ("first", "second", "other"))
    report = api.compare(first, second, controls=[other])
    assert report.result.suspect.digest == report.result.reference.digest
    assert report.result.verdict.kind in {"inconclusive", "unrelated", "related"}
    assert "same weights" not in report.result.verdict.sentence


def decided(report: Report) -> tuple[Any, ...]:
    result = report.result
    return result.verdict, result.log10_lr, result.log10_lr_interval, result.log10_lr_bounds, report.content_digest()


def said(report: Report, suffix: str) -> str:
    """The kind of the verdict, as it is read back from a rendering."""
    text = rendered(report, suffix)
    if suffix == ".json":
        return str(json.loads(text)["result"]["verdict"]["kind"])
    if suffix == ".csv":
        return next(csv.DictReader(io.StringIO(text)))["method"]
    found = {
        ".html": r'<body class="kind-(\w+)">',
        ".md": r"\A## ([A-Z][a-z]+)",
        ".txt": r"\A([A-Z]+)",
    }[suffix]
    return re.search(found, text)[1].lower()  # type: ignore[index]


@given(
    kind=st.sampled_from(sorted(STORED)),
    order=st.permutations([".json", ".html", ".md", ".txt", ".csv"]),
    ratio=st.floats(-3, 3),
    verdict=st.sampled_from(["same", "derived", "distilled", "related", "unrelated", "inconclusive"]),
)
@example(kind="distilled", order=[".html"], ratio=0.0, verdict="unrelated")
@settings(max_examples=15, deadline=None)
def test_rendering_never_changes_the_decision(kind, order, ratio, verdict):
    result = stored(kind).result
    changed = result.model_copy(update={"log10_lr": ratio, "verdict": result.verdict.model_copy(update={"kind": verdict})})
    report = stored(kind).model_copy(update={"result": changed})
    before = decided(report), to_json(report)
    for suffix in order:
        assert said(report, suffix) == verdict
    assert (decided(report), to_json(report)) == before
    assert from_json(to_json(report)) == report
    first, again = (rendered(report, ".html") for _ in range(2))
    assert first == again
