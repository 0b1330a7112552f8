"""The page on servers: its commands, options and figures are those of the program."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from fingerprint import reference
from fingerprint.models import http_options
from fingerprint.models.spec import parse_spec

ROOT = Path(__file__).parent.parent


def commands_of(page: str) -> list[list[str]]:
    """Every `fingerprint …` in the code blocks of a page, without comments, long lines joined."""
    blocks = "\n".join(re.findall(r"```\n(.*?)```", page, re.DOTALL)).replace("\\\n", " ")
    found = [shlex.split(line, comments=True) for line in blocks.splitlines() if line.startswith("fingerprint ")]
    return [words[1:] for words in found]


def test_commands_and_options_of_the_page_on_servers_exist():
    page = (ROOT / "docs" / "servers.md").read_text()
    known = {name.removeprefix("fingerprint "): command for name, command in reference.commands()}
    shown = commands_of(page)
    assert len(shown) > 8
    for words in shown:
        name = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
        options = {option for parameter in known[name].params for option in (*parameter.opts, *parameter.secondary_opts)}
        used = [word for word in words if word.startswith("-") and word != "-"]
        assert set(used) <= options, (words, set(used) - options)
        for spec in (word for word in words if word.startswith("openai:")):
            assert {option for option, _ in parse_spec(spec).options} <= set(http_options._KNOWN)
    for option in re.findall(r"`(?:&)?(\w+)`(?: \(| with)", page.split("In the spec:")[1].split("\n\n")[0]):
        assert option in {*http_options._KNOWN, "chat", "completions"}, option
    for name in re.findall(r"`(--[a-z-]+)", page):
        assert name == "--log" or any(name in item.opts for command in known.values() for item in command.params), name


def test_figures_of_the_page_on_servers_are_those_of_the_program():
    page = (ROOT / "docs" / "servers.md").read_text()
    defaults = http_options.parse_options(parse_spec("openai:m?base_url=http://127.0.0.1:1/v1"))
    for words in (
        f"`concurrency` (requests at a time, {defaults.concurrency})",
        f"`timeout` (seconds for one answer, {defaults.timeout:.0f})",
        f"`attempts` ({defaults.attempts})",
        f"`backoff` ({defaults.backoff} s)",
        f"obeyed, {defaults.max_wait:.0f} s)",
        f"(the largest answer, {defaults.max_bytes >> 20} MiB)",
    ):
        assert words in page
