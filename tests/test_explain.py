"""``explain`` and ``report``: every word that people meet is explained, and a report is said again in every length and form."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from reports import COMPAT, STORED, stored

from fingerprint import errors
from fingerprint.errors import FingerprintError, UsageError
from fingerprint.evidence.case import Case
from fingerprint.evidence.methods import examine
from fingerprint.recording_file import read as read_recording
from fingerprint.report import explain, words
from fingerprint.report.html import render_html
from fingerprint.report.schema import load_report
from fingerprint.report.terms import entries, find, glossary

KINDS = tuple(words.HEADLINES)
#: What the page writes, and the entry of its glossary that explains it.
ON_THE_PAGE = {
    "likelihood ratio (LR)": "lr",
    "log10": "log-lr",
    "(H1)": "hypotheses",
    "(H2)": "hypotheses",
    "caps": "caps",
    "Before the caps": "uncapped",
    "Calibration": "calibration",
    "Cllr": "cllr",
    "Tippett": "tippett",
    "Stratum": "stratum",
    "controls": "control",
    "Panel": "panel",
    "Noise floor": "noise-floor",
    '<th scope="col" class="n">p</th>': "pvalue",
    '<th scope="col" class="n">n</th>': "n",
    "95 % interval": "interval",
    "Effect, 95 %": "effect",
    "Access": "access",
    "Guardrails": "guardrails",
    "Direction": "direction",
    "lead ": "lead",
    "Against it": "counter-evidence",
}


def error_classes() -> list[type[FingerprintError]]:
    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, FingerprintError)]
    assert len(found) >= 14
    return found


@pytest.mark.parametrize("error", error_classes(), ids=lambda error: error.__name__)
def test_every_error_is_explained_with_its_exit_code_and_what_to_do(error):
    entry = find(error.code)
    assert entry.do
    assert f"(exit code {error.exit_code})" in entry.text
    assert find(str(error.exit_code)).key == f"exit-{error.exit_code}"


def test_errors_of_different_meaning_have_different_codes():
    codes = [error.code for error in error_classes()]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 5, 130])
def test_every_exit_code_is_explained(code):
    for spelling in (str(code), f"exit-{code}", f"exit code {code}", f"EXIT {code}"):
        assert find(spelling).title == f"Exit code {code}"


@pytest.mark.parametrize(
    "word", ["log-lr", "log_lr", "cllr", "FPR", "tpr", "auc", "caps", "top-k", "p-value", "noise floor", *KINDS]
)
def test_the_words_of_the_field_are_found_however_they_are_spelled(word):
    assert len(find(word).text) > 40


def test_every_reference_leads_somewhere():
    known = entries()
    for entry in known.values():
        assert entry.title
        assert entry.text
        assert all(other in known for other in entry.see), entry.key


def test_an_unknown_word_is_answered_with_those_that_look_like_it():
    with pytest.raises(UsageError, match="cllr"):
        find("clr")


@pytest.mark.parametrize(("shown", "key"), ON_THE_PAGE.items())
def test_what_the_page_writes_stands_in_its_glossary(shown, key):
    page = render_html(stored("distilled"))
    assert shown in page
    assert key in {entry.key for entry in glossary()}
    assert f"<dt>{entries()[key].title}</dt>" in page


@pytest.mark.parametrize("kind", KINDS)
def test_the_glossary_explains_the_kind_that_was_found(kind):
    result = stored("distilled").result
    changed = result.model_copy(update={"verdict": result.verdict.model_copy(update={"kind": kind})})
    page = render_html(stored("distilled").model_copy(update={"result": changed}))
    assert f"<dt>Kind: {kind}</dt>" in page


@pytest.mark.parametrize("kind", STORED)
def test_a_report_in_a_sentence_a_paragraph_and_a_page(kind):
    report = stored(kind)
    sentence, paragraph, page = explain.sentence(report), explain.paragraph(report), explain.page(report)
    assert "\n" not in sentence
    assert sentence == report.result.verdict.sentence
    assert paragraph.startswith(sentence)
    assert "not the probability" in paragraph
    assert words.signed(report.result.log10_lr) in paragraph
    assert len(sentence) < len(paragraph) < len(page)
    assert all(len(line) <= 96 for line in page.splitlines())
    flat = " ".join(page.split())
    assert all(limit in flat for limit in report.result.limits)


def test_the_command_explains_words_and_reports(program, tmp_path):
    shutil.copy(STORED["distilled"], tmp_path / "r.json")
    listed = program("explain").stdout
    assert all(entry.key in listed for entry in entries().values())
    assert program("explain", "exit", "3").returncode == 2  # one word: quote it
    assert program("explain", "3").stdout.startswith("Exit code 3")
    said = program("explain", "r.json", "--in", "sentence")
    assert said.stdout == stored("distilled").result.verdict.sentence + "\n"
    wrong = program("explain", "clr")
    assert wrong.returncode == 2
    assert "cllr" in wrong.stderr
    assert wrong.stderr.count("\n") == 1


def test_a_report_is_shown_again_in_every_format(program, tmp_path):
    shutil.copy(STORED["distilled"], tmp_path / "r.json")
    outputs = [part for suffix in ("json", "html", "md", "csv", "txt") for part in ("-o", f"again.{suffix}")]
    done = program("report", "r.json", *outputs)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("DISTILLED   student ↔ teacher")
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert "\x1b" not in done.stdout
    assert load_report(tmp_path / "again.json") == stored("distilled")
    assert (tmp_path / "again.json").read_text() == (tmp_path / "r.json").read_text()
    assert (tmp_path / "again.html").read_text() == render_html(stored("distilled"))
    assert (tmp_path / "again.md").read_text().startswith("## Distilled")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "again.csv").read_text())))
    assert rows[0]["method"] == "distilled"
    assert (tmp_path / "again.txt").read_text() == str(stored("distilled"))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("r.json", "-o", "r.pdf"), "Use one of .json, .html, .md, .csv"),
        (("r.json", "-o", "r"), "no known ending"),
        (("r.json", "-o", "no/r.html"), "no folder"),
        (("none.json",), "No such file"),
        (("wrong.json",), "is not a report"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_a_sentence(program, tmp_path, arguments, word):
    shutil.copy(STORED["text"], tmp_path / "r.json")
    (tmp_path / "wrong.json").write_text(json.dumps({"schema_version": "1.0"}))
    done = program("report", *arguments)
    assert done.returncode == 2
    assert word in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("*.pdf"))


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are a thing of Unix")
@pytest.mark.parametrize("plain", [False, True])
def test_colours_come_on_a_terminal_and_not_with_no_color(plain):
    import pty

    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
    environment = {key: value for key, value in environment.items() if key not in {"NO_COLOR", "CI"}}
    if plain:
        environment["NO_COLOR"] = "1"
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "fingerprint.cli.app", "report", str(STORED["distilled"])]
    with subprocess.Popen(command, stdout=slave, stderr=slave, stdin=subprocess.DEVNULL, env=environment) as process:
        os.close(slave)
        seen = b""
        while piece := _read(master):
            seen += piece
        assert process.wait() == 0
    os.close(master)
    coloured = re.search(rb"\x1b\[[0-9;]*3[0-7]m", seen)
    assert b"DISTILLED" in seen
    assert bool(coloured) != plain


def _read(master: int) -> bytes:
    try:
        return os.read(master, 65536)
    except OSError:  # the other end was closed
        return b""


def test_every_method_that_can_be_applied_or_skipped_is_explained():
    paths = sorted((COMPAT / "2026-11-25-0409669" / "library").glob("*.zst"))
    one, other = map(read_recording, paths)
    for case in (Case(suspect=one, reference=other), Case(suspect=one, reference=other, base=other)):
        evidence, skipped = examine(case)
        assert skipped
        for item in (*evidence, *skipped):
            assert item.method in entries(), item.method
