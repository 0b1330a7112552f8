"""Every hostile string through every renderer: it is shown, and does nothing."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest
import reports
from hostile import (
    CORPUS,
    Page,
    acts_in_runner,
    acts_in_spreadsheet,
    acts_in_terminal,
    markdown_tokens,
)
from hypothesis import given
from hypothesis import strategies as st
from inside import run
from pydantic import BaseModel
from rich.console import Console
from servers import fake_server

from fingerprint.cli.check import rendered
from fingerprint.matrix import PairRow, as_csv
from fingerprint.policy import Decision, Finding, Observed, Policy, PolicyFile, Rule
from fingerprint.report import ci, explain
from fingerprint.report.csv_table import render_csv
from fingerprint.report.html import render_html
from fingerprint.report.markdown import render_markdown
from fingerprint.report.schema import Report, to_json
from fingerprint.report.terminal import render, verdict_line
from fingerprint.text import json_text, safe_cell, safe_text
from fingerprint.tree import page, picture
from fingerprint.tree.model import Descent, FamilyTree, Node, newick

BASE = reports.real("student", "teacher", "twin", "twin-gpt2")
TEXTS = pytest.mark.parametrize("text", CORPUS.values(), ids=CORPUS.keys())


def poisoned(part: Any, text: str, *, literal: bool = False) -> Any:
    """A copy of a report in which every string that its schema leaves free is hostile, names of tables too."""
    if isinstance(part, BaseModel):
        fields = type(part).model_fields
        return part.model_copy(
            update={
                name: poisoned(getattr(part, name), text, literal="Literal" in str(fields[name].annotation))
                for name in fields
            }
        )
    if isinstance(part, str) and not literal:
        return text if len(part) % 2 else part + text
    if isinstance(part, tuple | list):
        return type(part)(poisoned(each, text, literal=literal) for each in part)
    if isinstance(part, dict):
        return {
            name + (text if value is None or isinstance(value, float) else ""): poisoned(value, text)
            for name, value in part.items()
        }
    return part


def shown(report: Report, width: int = 80, **options: bool) -> str:
    buffer = io.StringIO()
    Console(file=buffer, width=width, legacy_windows=False, **options).print(render(report))
    return buffer.getvalue()


def decision(text: str) -> Decision:
    """A decision on two rules in which everything foreign is hostile."""
    seen = Observed(
        kind="distilled",
        direction="undetermined",
        log10_lr=1.0,
        interval=(0.5, 1.0),
        bounds=(-1.0, 1.0),
        sentence=text,
    )
    rules = [
        Rule.model_construct(id=name, sentence=text, subject=text, against=(text,), controls=(), forbid=None, claims=None)
        for name in ("a", "b")
    ]
    policy = Policy.model_construct(schema_version="1.0", name=text, rule=tuple(rules))
    found = (
        Finding(rule=rules[0], against=text, outcome="failed", reason=text, observed=seen),
        Finding(rule=rules[1], against="", outcome="error", reason=text),
        Finding(rule=rules[1], against=text, outcome="passed", reason=text, observed=seen),
    )
    return Decision(file=PolicyFile(policy=policy, path=Path("p.toml"), lines={"a": 3, "b": 9}), findings=found)


def family(text: str) -> FamilyTree:
    leaves = tuple(Node(model=f"{name}{text}", length=0.1, kind="weights") for name in ("", "b"))
    fork = Node(length=0.2, kind="behaviour", support=0.9, log10_lr=1.0, children=leaves)
    root = Node(children=(fork, Node(model=f"c{text}")))
    why = Descent(child=f"b{text}", parents=(text,), why=text)
    return FamilyTree(models=(text, f"b{text}", f"c{text}"), root=root, descents=(why,), replicates=9, notes=(text,))


@TEXTS
def test_in_a_terminal(text):
    report = poisoned(BASE, text)
    for width in (40, 80):
        for styled in (False, True):
            said = shown(report, width, force_terminal=styled)
            assert not acts_in_terminal(said, styled=styled)
            assert "\x1b]" not in said
            said.encode()
    plain = [shown(report), explain.page(report), explain.paragraph(report), explain.sentence(report), verdict_line(report)]
    plain += [
        "\n".join(page.lines(family(text))),
        rendered(decision(text), ".txt"),
        safe_text(text),
        str(ci.headline(decision(text))),
    ]
    for said in plain:
        assert not acts_in_terminal(said)
        assert not acts_in_runner(said)


@TEXTS
def test_on_a_page(text):
    ours = Page(render_html(BASE))
    for html in (render_html(poisoned(BASE, text)), page.render_page(family(text))):
        assert not acts_in_terminal(html)
        found = Page(html)
        assert found.acts == []
        assert found.comments == []
        html.encode()
    assert Page(render_html(poisoned(BASE, text))).tags <= ours.tags | {"p", "li", "ul", "details", "summary"}
    svg = picture.standalone(family(text))
    assert not acts_in_terminal(svg)
    tags = {element.tag.rpartition("}")[2] for element in ET.fromstring(svg).iter()}
    assert tags <= {"svg", "g", "path", "line", "text", "tspan", "title", "circle", "rect", "style", "desc", "polyline"}


@TEXTS
def test_in_markdown(text):
    for found, clean in (
        (render_markdown(poisoned(BASE, text)), render_markdown(BASE)),
        (ci.to_markdown(decision(text)), ci.to_markdown(decision("x"))),
    ):
        assert not acts_in_terminal(found)
        assert not acts_in_runner(found)
        tokens, ours = Counter(markdown_tokens(found)), Counter(markdown_tokens(clean))
        for kind in (
            "html_inline",
            "html_block",
            "image",
            "link_open",
            "fence",
            "code_inline",
            "hr",
            "blockquote_open",
            "em_open",
        ):
            assert tokens[kind] == 0, kind
        for kind in ("heading_open", "table_open", "tr_open", "td_open"):
            assert tokens[kind] == ours[kind], kind
        assert not re.search(r"(?i)(https?|ftp):/|www\.|(?<!\\)@", found.replace("&#64;", ""))


@TEXTS
def test_in_a_spreadsheet(text):
    row = PairRow(
        a=text,
        b=f"b{text}",
        log10_lr=-1.0,
        log10_lr_uncapped=-2.0,
        kind="unrelated",
        score=-0.5,
        imitation=0.1,
        shared_prompts=9,
    )
    for table in (render_csv(poisoned(BASE, text)), as_csv([row])):
        assert acts_in_spreadsheet(table) == []
        assert not acts_in_terminal(table)
        table.encode()


@TEXTS
def test_in_a_pipeline(text):
    given = decision(text)
    said = ci.to_annotations(given, "dir, with: odd%name.toml")
    lines = said.splitlines()
    assert len(lines) == said.count("\n") == 2
    assert all(re.match(r"::error file=dir%2C with%3A odd%25name\.toml,line=\d,title=[^:,]*::", line) for line in lines)
    assert not any(acts_in_runner(line.split("::", 2)[2]) for line in lines)
    assert not acts_in_terminal(said)
    sarif = rendered(given, ".sarif")
    log = json.loads(sarif)
    assert not acts_in_terminal(sarif)
    assert not any(acts_in_terminal(result["message"]["text"]) for result in log["runs"][0]["results"])
    junit = rendered(given, ".xml")
    assert not acts_in_terminal(junit)
    suite = ET.fromstring(junit)
    assert {element.tag for element in suite.iter()} == {
        "testsuites",
        "testsuite",
        "testcase",
        "failure",
        "error",
        "system-out",
    }
    assert len(suite.findall(".//testcase")) == 3


@TEXTS
def test_in_json_and_newick(text):
    text = text[:5000]
    report, given = poisoned(BASE, text), decision(text)
    for raw, value in (
        (to_json(report), report.model_dump()),
        (rendered(given, ".json"), None),
        (json_text(family(text).as_json()), family(text).as_json()),
    ):
        assert not acts_in_terminal(raw)
        assert not acts_in_runner(raw)
        raw.encode()
        read = json.loads(raw)
        # Nothing was lost, but for half characters in names of tables, which pydantic does not write.
        assert value is None or "\ud800" in text or read == json.loads(json.dumps(value))
    tree = newick(family(text).root)
    assert not acts_in_terminal(tree)
    assert tree.count("\n") == 0
    quoted = re.sub(r"'(?:[^']|'')*'", "N", tree)
    assert re.fullmatch(r"\(\(N:[\d.]+,N:[\d.]+\)[\d.]+:[\d.]+,N:[\d.]+\);", quoted)


@given(st.text(max_size=80), st.sampled_from([*CORPUS.values()]))
def test_any_text_between_hostile_ones(text, hostile):
    whole = hostile[:100] + text + hostile[:100]
    assert not acts_in_terminal(safe_text(whole, limit=1000))
    assert not acts_in_runner(safe_text(whole, limit=1000))
    assert "\n" not in safe_text(whole)
    assert json.loads(json_text([whole])) == [whole]
    assert not acts_in_terminal(json_text([whole]))
    assert acts_in_spreadsheet(f'"{safe_cell(whole).replace(chr(34), chr(34) * 2)}"\n') == []


def test_the_checks_see_what_acts():
    """Each check finds something in the raw strings, or it would prove nothing."""
    assert sum(bool(acts_in_terminal(text)) for text in CORPUS.values()) > 12
    assert {name for name, text in CORPUS.items() if acts_in_runner(text)} >= {"workflow", "workflow-old"}
    assert acts_in_runner("   ::error::x")
    assert len(acts_in_spreadsheet("=1\n+1+1\n\uff1d1\n@x")) == 4
    assert Page(CORPUS["image"]).acts
    assert {"link_open", "image"} <= set(markdown_tokens(CORPUS["markdown-link"]))


ROWS = [name for name in CORPUS if name != "long"]


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Three recordings by strangers in which names, prompts and answers are hostile, and one named with half a character."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lib").mkdir()
    whole = " ".join(CORPUS[name] for name in ROWS if name != "half")
    for place, name in enumerate((whole, "::error::owned", "=1+1 \ud800", "<script>")):
        rows = [
            {"prompt": f"{CORPUS[row][:80]} {n}", "output": f"{CORPUS[row]} {place} {n}", "model": name}
            for n, row in enumerate(ROWS)
        ]
        (tmp_path / "lib" / f"m{place}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "p.toml").write_text(
        'schema_version = "1.0"\nname = "gate"\n[[rule]]\nid = "r"\nsentence = "S."\nsubject = "rec:lib/m1.jsonl"\n'
        'against = ["rec:lib/m0.jsonl", "rec:lib/m2.jsonl"]\n'
    )
    return tmp_path


COMMANDS = {
    "compare": "compare rec:lib/m0.jsonl rec:lib/m1.jsonl --control rec:lib/m2.jsonl -o o.json -o o.html -o o.md -o o.txt -o o.csv",
    "json": "compare rec:lib/m2.jsonl rec:lib/m1.jsonl --json",
    "plan": "compare rec:lib/m0.jsonl rec:lib/m2.jsonl --dry-run",
    "report": "report o.json -o again.html",
    "explain": "explain o.json",
    "verify": "verify o.json --recordings lib",
    "check": "check p.toml --github -o o.xml -o o.sarif -o c.json -o c.md -o c.txt --reports reports",
    "matrix": "matrix lib -o o.csv -o o.json",
    "tree": "tree lib --replicates 2 -o t.html -o t.svg -o t.json -o t.nwk",
    "identify": "identify rec:lib/m0.jsonl --panel lib",
    "import": "import lib/m2.jsonl -o i.jsonl",
    "add": "library add shelf lib/m0.jsonl lib/m1.jsonl lib/m2.jsonl",
    "list": "library list shelf",
    "shelf": "library verify shelf",
    "nearest": "library nearest shelf rec:lib/m0.jsonl",
}


def test_from_a_strangers_file_through_every_command(capsys, monkeypatch, world):
    codes, told = {}, {}
    for name, command in COMMANDS.items():
        done = run(capsys, monkeypatch, *command.split())
        codes[name], told[name] = done.returncode, done.stderr[-400:]
        assert done.returncode not in {5, 130}, (name, done.stderr)
        assert not acts_in_terminal(done.said), name
        said = done.said if name != "check" else "".join(x for x in done.said.splitlines(True) if not x.startswith("::"))
        assert not acts_in_runner(said), name
    assert codes == dict.fromkeys(COMMANDS, 0) | {"check": 3}, told
    # Recordings and the lists of a library keep what was said as it was said; everything that is shown is harmless.
    files = [path for path in world.rglob("*") if path.is_file() and "shelf" not in path.parts and path.suffix != ".jsonl"]
    assert {path.suffix for path in files} >= {".json", ".html", ".md", ".txt", ".csv", ".xml", ".sarif", ".svg", ".nwk"}
    for path in files:
        text = path.read_text()
        assert not acts_in_terminal(text), path
        if path.suffix == ".csv":
            assert acts_in_spreadsheet(text) == []
        if path.suffix == ".html":
            assert Page(text).acts == []


def test_from_a_hostile_server_through_every_command(capsys, monkeypatch, world):
    """Its answers, the name of its model, its complaints and the list of its models are hostile."""
    text = " ".join(CORPUS[name] for name in ROWS)
    rows = [{"prompt": f"Question {n}?", "output": f"{n}", "model": "them"} for n in range(10)]
    (world / "few.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with fake_server(dialect="openai", hostile=text, model=text, refuse="Question 3", words=text) as address:
        spec = f"openai:m?base_url={address}&backoff=0&attempts=2"
        for command in (
            ("compare", spec, "rec:few.jsonl", "-o", "s.html", "-o", "s.md", "-o", "s.csv", "-o", "s.json"),
            ("compare", spec, "rec:few.jsonl", "--dry-run"),
            ("doctor", spec),
        ):
            done = run(capsys, monkeypatch, *command)
            assert done.returncode == 0, done.stderr
            assert not acts_in_terminal(done.said), command
            assert not acts_in_runner(done.said), command
        httpx.post(address + "/_config", json={"strict": True, "status": 400})
        done = run(capsys, monkeypatch, "doctor", spec)
        assert done.returncode == 4
        assert done.stderr.count("\n") == 1
        assert not acts_in_terminal(done.said)
        assert not acts_in_runner(done.said)
    for name in ("s.html", "s.md", "s.csv", "s.json"):
        assert not acts_in_terminal((world / name).read_text()), name
