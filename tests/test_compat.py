"""What earlier versions wrote is read for ever: loaded, rendered to every format, and verified with its own calibration."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pytest
from jsonschema import Draft202012Validator
from reports import COMPAT
from typer.testing import CliRunner

from fingerprint import recording_file
from fingerprint.calibration import ties
from fingerprint.calibration.model import Calibration, known
from fingerprint.calibration.panel import PanelCalibration
from fingerprint.cli.app import app
from fingerprint.cli.compare import rendered
from fingerprint.errors import UsageError
from fingerprint.library import Library
from fingerprint.policy import read_policy
from fingerprint.recording_file import read
from fingerprint.report.baseline import read_baseline, to_text
from fingerprint.report.intoto import lineage_schema
from fingerprint.report.schema import json_schema, load_report, to_json
from fingerprint.report.seal import read_seal
from fingerprint.report.verify import verify

FORMATS = (".json", ".html", ".md", ".txt", ".csv")


def files(pattern: str) -> list[Path]:
    found = sorted(COMPAT.glob(pattern))
    assert found, pattern
    return found


def named(path: Path) -> str:
    return str(path.relative_to(COMPAT))


REPORTS = files("*/report-*.json")


OLD = "tests/compat/2026-11-25-0409669"
TOYS = ("toy:parrot?seed=1&parent=2", "toy:parrot?seed=2", "--control", "toy:parrot?seed=3", "--control", "toy:parrot?seed=4")
#: Answers that only other people's scripts read, by the first word of their file, with the command that gave them.
ANSWERS = {
    "matrix": ("matrix", f"{OLD}/library", "--json"),
    "identify": ("identify", f"rec:{OLD}/recording-parrot.jsonl.zst", "--panel", f"{OLD}/library", "--json"),
    "tree": ("tree", f"{OLD}/library", "--replicates", "2", "--json"),
    "plan": ("compare", *TOYS, "--probes", "style", "--dry-run", "--json"),
    "decision": ("check", "tests/compat/2026-11-25-923f4c9/policy-gate.toml", "--json", "-q"),
    "nearest": ("library", "nearest", f"{OLD}/library", f"rec:{OLD}/recording-parrot.jsonl.zst", "--json"),
}


def calibrations() -> dict[str, Calibration]:
    """Those of the package, and those that it had when the reports were written."""
    old = [Calibration.model_validate_json(path.read_text("utf-8")) for path in files("*/calibration-*.json")]
    return {**known(), **{calibration.digest: calibration for calibration in old}}


def test_every_file_is_of_a_kind_that_is_tested():
    kinds = ("report-", "recording-", "rows-", "policy-", "baseline-", "seal-", "calibration-", "panel-", "ties-", "statement-")
    kinds += tuple(f"{each}-" for each in ANSWERS)
    for path in COMPAT.glob("*/*"):
        assert path.is_dir() or path.name.startswith(kinds), path
    assert {path.parent.name for path in COMPAT.glob("*/*")} == {
        line.split("|")[1].strip() for line in (COMPAT / "README.md").read_text().splitlines() if line.startswith("| 20")
    }


@pytest.mark.parametrize("path", REPORTS, ids=named)
def test_an_old_report_is_read_and_shown_in_every_format(path):
    report = load_report(path)
    raw = json.loads(path.read_text("utf-8"))
    jsonschema.validate(raw, json_schema())
    for suffix in FORMATS:
        text = rendered(report, suffix)
        assert report.result.verdict.kind in text.lower(), suffix
    # Written again it says the same and nothing more, so its digest still holds.
    assert json.loads(to_json(report)) == raw
    if report.digest:
        assert report.content_digest() == report.digest


@pytest.mark.parametrize("path", REPORTS, ids=named)
def test_an_old_report_is_verified_with_the_calibration_of_its_day(path):
    report = load_report(path)
    assert report.result.calibration.digest in calibrations()
    if report.result.suspect.protocol is None:
        with pytest.raises(UsageError, match="before reports held what a verdict needs"):
            verify(report, calibrations())
        return
    found = verify(report, calibrations())
    # Rules and sentences may have changed since; that the file was changed must never be said of one that was not.
    assert found.same or found.difference.startswith("result."), found.difference
    changed = report.model_copy(
        update={"result": report.result.model_copy(update={"log10_lr_uncapped": report.result.log10_lr_uncapped + 1})}
    )
    assert not verify(changed, calibrations()).same


def test_the_reports_of_the_first_folders_still_lead_to_the_same_kind():
    kinds = {named(path): load_report(path).result.verdict.kind for path in REPORTS}
    assert kinds["2026-11-25-1e5715f/report-distilled.json"] == "distilled"
    assert {load_report(path).result.verdict.kind for path in files("2026-11-25-0409669/report-*.json")} == {
        "derived",
        "distilled",
        "same",
        "unrelated",
        "inconclusive",
    }


@pytest.mark.parametrize("path", [*files("*/recording-*"), *files("*/rows-*")], ids=named)
def test_an_old_recording_is_read_and_written_again(path, tmp_path):
    recording = read(path)
    assert recording.samples
    if path.name.startswith("recording-"):
        assert recording.model.name.startswith("parrot")
        assert recording.access == ("text", "topk")
        assert len(recording.distributions) == 40
    recording_file.write(recording, tmp_path / "again.jsonl")
    assert read(tmp_path / "again.jsonl") == recording


def test_a_recording_keeps_its_digest():
    """Reports name recordings by digest: one that was named must be found again."""
    kept = {named(path): read(path).digest for path in files("*/recording-*")}
    assert kept["2026-11-24-9f7dc6a/recording-parrot.jsonl.zst"].startswith("sha256:7f9dacd9da54")
    assert {digest[:19] for name, digest in kept.items() if "2026-11-25" in name} == {"sha256:9b79e79561e1"}


@pytest.mark.parametrize("path", files("*/policy-*.toml"), ids=named)
def test_an_old_policy_is_read(path):
    policy = read_policy(path).policy
    assert policy.name == "release gate"
    assert policy.rule[0].subject == "toy:parrot?seed=1"


@pytest.mark.parametrize("path", files("*/baseline-*.json"), ids=named)
def test_an_old_baseline_is_believed_after_it_was_written_again(path, tmp_path):
    baseline = read_baseline(path)
    (tmp_path / "again.json").write_text(to_text(baseline), "utf-8")
    again = read_baseline(tmp_path / "again.json")
    assert again == baseline
    assert again.reports
    for report in again.reports.values():
        assert report.content_digest() == report.digest


@pytest.mark.parametrize("path", files("*/seal-*.json"), ids=named)
def test_an_old_seal_is_read(path):
    assert read_seal(path).digest.startswith("sha256:")


@pytest.mark.parametrize("folder", files("*/library"), ids=named)
def test_an_old_library_is_read_and_whole(folder, tmp_path):
    copy = tmp_path / "library"
    shutil.copytree(folder, copy)
    library = Library.open(copy)
    assert [recording.model.name for recording in library.recordings()] == ["parrot-1", "parrot-5"]


def lost(old: object, new: object, place: str = "") -> list[str]:
    """What a script that reads ``old`` would miss in ``new``: keys that are gone, values of another kind."""
    if isinstance(old, dict) and isinstance(new, dict):
        gone = [f"{place}.{key} is gone" for key in old if key not in new]
        return gone + [fault for key in old if key in new for fault in lost(old[key], new[key], f"{place}.{key}")]
    if isinstance(old, list) and isinstance(new, list):
        short = [f"{place} is empty"] if old and not new else []
        pairs = zip(old, new, strict=False)
        return short + [fault for number, pair in enumerate(pairs) for fault in lost(*pair, f"{place}[{number}]")]
    kinds = [{bool: "boolean", int: "number", float: "number"}.get(type(value), type(value).__name__) for value in (old, new)]
    return [] if None in (old, new) or kinds[0] == kinds[1] else [f"{place} is {kinds[1]}, it was {kinds[0]}"]


def test_what_is_lost_is_noticed():
    old = {"a": [{"b": 1, "c": None}], "d": True}
    assert lost(old, {"a": [{"b": 1.5, "c": "x", "new": 1}], "d": False, "e": 1}) == []
    assert lost(old, {"a": [{"c": None}], "d": 1}) == [".a[0].b is gone", ".d is number, it was boolean"]
    assert lost(old, {"a": [], "d": True}) == [".a is empty"]


@pytest.mark.parametrize("kind", ANSWERS)
def test_scripts_that_read_an_old_answer_can_read_what_the_command_says_today(kind, monkeypatch):
    """No command reads these files again, so the promise is the other way round: nothing is taken away from them."""
    monkeypatch.chdir(COMPAT.parent.parent)
    said = CliRunner().invoke(app, list(ANSWERS[kind]))
    assert said.exit_code in {0, 3}, said.output
    today = json.loads(said.stdout)
    for path in files(f"*/{kind}-*.json"):
        old = json.loads(path.read_text("utf-8"))
        assert lost(old, today) == []
        assert old["schema_version"] == today["schema_version"] == "1.0"


@pytest.mark.parametrize("path", files("*/statement-*.intoto.json"), ids=named)
def test_an_old_statement_is_valid_under_the_schema_of_today(path):
    statement = json.loads(path.read_text("utf-8"))
    found = statement["predicate"]
    assert found["schema_version"] == "1.0"
    assert list(Draft202012Validator(lineage_schema()).iter_errors(found)) == []


@pytest.mark.parametrize("path", files("*/panel-*.json"), ids=named)
def test_an_old_calibration_of_panels_is_read(path):
    calibration = PanelCalibration.model_validate(json.loads(path.read_text("utf-8")))
    assert calibration.bounds[0] < 0 < calibration.bounds[1]
    assert calibration.log10_lr(3.0, 3.0) > calibration.log10_lr(0.0, 0.0)


@pytest.mark.parametrize("path", files("*/ties-*.json"), ids=named)
def test_an_old_calibration_of_ties_is_read(path):
    tiers = ties.TIERS.validate_json(path.read_bytes())
    assert set(tiers) == {ties.TOPK, ties.TEXT}
    for tier in tiers.values():
        (feature,) = tier.features
        assert tier.log10_lr({feature: 2.0}) > tier.log10_lr({feature: 0.0})


def test_old_calibrations_that_count_strata_and_those_that_do_not_are_both_read():
    found = {named(path): Calibration.model_validate_json(path.read_bytes()) for path in files("*/calibration-*.json")}
    strata = {name: [s for tier in each.tiers.values() for s in tier.strata] for name, each in found.items()}
    assert any(stratum.kin and stratum.reached for stratum in strata["2026-11-25-923f4c9/calibration-small.json"])
    assert strata["2026-11-25-0409669/calibration-zoo.json"]
    assert not any(stratum.reached for stratum in strata["2026-11-25-0409669/calibration-zoo.json"])
    assert strata["2026-11-24-9f7dc6a/calibration-zoo.json"] == []
