"""The program as a library: light to import, typed, and what its page says is what it does."""

from __future__ import annotations

import ast
import doctest
import io
import subprocess
import sys
from inspect import get_annotations, signature
from pathlib import Path

import pytest
from reports import stored

import fingerprint
from fingerprint.recording import ModelInfo, Prompt, Recording, Sample
from fingerprint.report.schema import Report

ROOT = Path(__file__).parent.parent
HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e{{ 7*7 }}"


def test_the_import_brings_nothing_heavy():
    script = (
        "import sys, fingerprint\n"
        "heavy = {'torch', 'numpy', 'pydantic', 'rich', 'transformers', 'scipy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "fingerprint.load_report, fingerprint.compare, fingerprint.collect, fingerprint.check\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_name_is_there_and_no_other():
    assert set(fingerprint.__all__) <= set(dir(fingerprint))
    for name in fingerprint.__all__:
        assert getattr(fingerprint, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'comprae'"):
        fingerprint.comprae  # noqa: B018


def test_a_type_checker_sees_every_name():
    tree = ast.parse(Path(fingerprint.__file__).read_text("utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    imported = {
        (alias.name, node.module) for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert imported == set(fingerprint._HOMES.items())
    assert {name for name, _ in imported} == set(fingerprint.__all__) - {"__version__"}
    for name in ("compare", "collect", "check", "load_report"):
        hints = get_annotations(getattr(fingerprint, name))
        assert "return" in hints
        assert set(signature(getattr(fingerprint, name)).parameters) == set(hints) - {"return"}


def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    text = (ROOT / "docs" / "api.md").read_text("utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    runner = doctest.DocTestRunner(verbose=False)
    test = doctest.DocTestParser().get_doctest(text.replace("```", ""), {}, "api.md", "api.md", 0)
    shown: list[str] = []
    runner.run(test, out=shown.append)
    assert runner.tries >= 20
    assert not runner.failures, "".join(shown)
    assert "- Python: api.md" in (ROOT / "mkdocs.yml").read_text("utf-8")


def renamed(report: Report) -> Report:
    result = report.result
    model = result.suspect.model_copy(update={"name": HOSTILE})
    verdict = result.verdict.model_copy(update={"sentence": HOSTILE})
    parts = tuple(part.model_copy(update={"title": HOSTILE, "controls": {HOSTILE: 0.1}}) for part in result.evidence)
    changed = {"suspect": model, "verdict": verdict, "evidence": parts, "limits": (HOSTILE,)}
    return report.model_copy(update={"result": result.model_copy(update=changed)})


def test_a_report_shows_itself():
    report = stored("distilled")
    assert "DISTILLED" in repr(report)
    assert "\n" not in repr(report)
    assert str(report).startswith("DISTILLED   student ↔ teacher")
    assert all(len(line) <= 80 for line in str(report).splitlines())
    cell = report._repr_html_()
    assert report.result.verdict.sentence in cell
    assert all(part.title in cell for part in report.result.evidence)
    assert all(limit in cell for limit in report.result.limits)


def test_rich_shows_a_report_in_colour():
    from rich.console import Console

    console = Console(force_terminal=True, width=80, file=io.StringIO(), record=True)
    console.print(stored("distilled"))
    shown = console.export_text(styles=True)
    assert "\x1b[1;31mDISTILLED" in shown


def test_what_results_show_of_themselves_is_harmless():
    hostile = renamed(stored("distilled"))
    answer = Recording(
        model=ModelInfo(name=HOSTILE, kind="rows", digest="d"),
        prompts=(Prompt(id="p", text="q"),),
        samples=(Sample(prompt="p", draw=0, text=HOSTILE),),
    )
    for shown in (hostile._repr_html_(), answer._repr_html_()):
        assert "<script" not in shown
        assert "<style" not in shown
    for shown in (repr(hostile), str(hostile), str(answer), repr(answer), hostile._repr_html_(), answer._repr_html_()):
        assert "\x1b" not in shown
        assert "\u202e" not in shown


def test_a_decision_shows_itself():
    from fingerprint.gate import Checked
    from fingerprint.policy import Decision, Finding, Policy, PolicyFile, Rule
    from fingerprint.report.baseline import Baseline

    rule = Rule(id="r1", sentence="s", subject="toy:parrot", against=("toy:other",))
    policy = Policy(schema_version="1.0", name=HOSTILE, rule=(rule,))
    found = Finding(rule=rule, against="toy:other", outcome="undecided", reason=HOSTILE)
    done = Checked(
        decision=Decision(file=PolicyFile(policy=policy, path=Path("p"), lines={}), findings=(found,)),
        reports={},
        baseline=Baseline(),
    )
    assert "r1: undecided, toy:parrot against toy:other" in str(done)
    cell = done._repr_html_()
    assert "undecided" in cell
    assert "<script" not in cell + str(done)[:0]
    assert "\x1b" not in cell + str(done)
