"""The pages on CI and provenance: their commands, options, inputs, hooks and fields exist, and their YAML is the example's."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from fingerprint import reference
from fingerprint.cli import check, compare
from fingerprint.policy import EXIT, Policy, Rule, parse_policy
from fingerprint.report.intoto import LINEAGE, TEST_RESULT, Lineage

ROOT = Path(__file__).parent.parent
CI, PROVENANCE = ((ROOT / "docs" / name).read_text("utf-8") for name in ("ci.md", "provenance.md"))
ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
COMMANDS = {name.removeprefix("fingerprint "): command for name, command in reference.commands()}


def blocks(page: str, language: str = "") -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return [text for name, text in found if name == language]


def rows(page: str, head: str) -> dict[str, str]:
    """First column → the last, of the table whose head begins so; a cell may name several."""
    table = page.split(f"| {head} |")[1].split("\n\n", maxsplit=1)[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table]
    return {name: line[-1] for line in cells for name in re.findall(r"`([^`]+)`", line[0]) or [line[0]]}


LINES = [line for page in (CI, PROVENANCE) for block in blocks(page) for line in block.splitlines()]


@pytest.mark.parametrize("line", LINES)
def test_every_command_of_the_pages_exists(line):
    program, name, *words = shlex.split(line)
    assert program == "fingerprint"
    known = {option: parameter for parameter in COMMANDS[name].params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= set(known)
    formats = {"check": check.FORMATS, "report": compare.FORMATS, "compare": compare.FORMATS}.get(name)
    for flag, value in pairwise(words):
        assert flag != "-o" or formats is None or value.endswith(formats)


def test_there_are_commands_on_the_pages():
    assert len(LINES) >= 9


def test_the_workflow_is_the_example_that_the_tests_run():
    shown = blocks(CI, "yaml")[0]
    example = (ROOT / "docs" / "examples" / "release-gate.yml").read_text("utf-8")
    assert shown == example.split("\n", 1)[1]
    assert len(shown.splitlines()) <= 25


def test_inputs_and_outputs_are_those_of_the_action():
    told = rows(CI, "input")
    assert set(told) == set(ACTION["inputs"])
    for name, declared in ACTION["inputs"].items():
        if declared.get("default"):
            assert told[name] == f"`{declared['default']}`"
        assert declared.get("required", False) == (told[name] == "required")
    outputs = CI.split("Outputs: ")[1].split("\n")[0]
    assert all(f"`{name}`" in outputs for name in ACTION["outputs"])


def test_exit_codes_are_those_of_the_program():
    assert {int(code) for code in rows(CI, "code")} == {*EXIT.values(), 2, 5, 130}


def test_the_policy_is_described_field_by_field_and_its_example_is_read():
    assert set(rows(CI, "of the policy")) == set(Policy.model_fields)
    assert set(rows(CI, "of a rule")) == set(Rule.model_fields)
    (example,) = blocks(CI, "toml")
    assert len(parse_policy(example, Path("p.toml")).policy.rule) == 2
    shipped = ROOT / "docs" / "examples" / "release.toml"
    assert parse_policy(shipped.read_text("utf-8"), shipped).policy.rule[0].id == "not-from-acme"


def test_hooks_are_those_of_the_manifest():
    declared = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    shown = yaml.safe_load(blocks(CI, "yaml")[1])["repos"][0]["hooks"]
    assert [hook["id"] for hook in shown] == [hook["id"] for hook in declared]
    for hook in declared:
        _, name, *options = hook["entry"].split()
        known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
        assert set(options) <= known


def test_the_predicate_is_described_field_by_field():
    assert set(rows(PROVENANCE, "field")) == set(Lineage.model_fields)
    assert LINEAGE in PROVENANCE
    assert TEST_RESULT in PROVENANCE
