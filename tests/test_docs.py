"""The site: built offline, every command in its reference, every figure of the benchmarks, no link that leads nowhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fingerprint import reference
from fingerprint.cli.commands import COMMANDS

ROOT = Path(__file__).parent.parent


def test_every_command_and_option_is_in_the_reference():
    page = reference.cli_page()
    found = list(reference.commands())
    assert len(found) > 15
    for name, command in found:
        assert f"## `{name}`" in page
        section = page.split(f"## `{name}`")[1].split("\n## ")[0]
        if not hasattr(command, "commands"):
            for parameter in command.params:
                assert all(option in section for option in parameter.opts if option.startswith("--"))
                assert parameter.name == "help" or parameter.help


def test_figures_of_the_benchmarks_are_in_the_page_of_error_rates(tmp_path):
    (tmp_path / "a.json").write_text(
        '{"models": 3, "rows": {"x": {"auc": 0.9, "interval": [0.1, 0.2]}, "y": {"auc": 0.5}}}'
    )
    (tmp_path / "b.json").write_text('[{"name": "<b>|", "value": 1}]')
    page = reference.error_page(tmp_path)
    assert "* models: 3" in page
    assert "| x | 0.9 | 0.1 … 0.2 |" in page
    assert "| y | 0.5 |  |" in page
    assert "&lt;b>\\|" in page
    whole = reference.error_page(ROOT / "bench")
    assert all(f"## {path.stem}" in whole for path in (ROOT / "bench").glob("*.json"))


def test_the_site_is_built_without_the_network(tmp_path):
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install 'fingerprint-lineage[docs]'")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    pages = {path.name: path.read_text() for path in (tmp_path / "site").glob("*.html")}
    assert {"index.html", "quickstart.html", "methods.html", "errors.html", "commands.html", "faq.html"} <= set(pages)
    assert "fingerprint library verify" in pages["commands.html"]
    for name, text in pages.items():
        loaded = re.findall(r'(?:<script[^>]*src|<link[^>]*href|<img[^>]*src)="(https?:[^"]*)', text)
        assert not loaded, (name, loaded)


def test_the_container_is_built_from_the_same_versions():
    text = (ROOT / "Dockerfile").read_text()
    assert all("-c constraints.txt" in line for line in re.findall(r"pip install[^\n]*(?:\\\n[^\n]*)*", text))
    copied = {source for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE) for source in line.split()[:-1]}
    assert all((ROOT / source).exists() for source in copied)
    assert re.search(r"^USER (?!root)", text, re.MULTILINE)


def test_every_command_of_the_list_opens_and_its_line_fits(program):
    done = program("--help")
    lines = done.stdout[done.stdout.index("Commands:") :].splitlines()[1:]
    listed = {line.split()[0]: line for line in lines if line.strip()}
    found = {name.split()[1] for name, _ in reference.commands() if name.count(" ") == 1}
    assert set(listed) == found
    assert all(len(line) <= 80 and not line.endswith("...") for line in listed.values())
    files = {path.stem for path in Path(reference.__file__).parent.glob("cli/*.py")}
    assert {place.partition(":")[0] for place, _ in COMMANDS.values()} == files - {
        "__init__",
        "app",
        "commands",
        "common",
        "plan",
    }
