"""Runs a composite action and a workflow as GitHub's runner would, as far as ours use its language.

Steps with ``run`` are run by bash with the runner's own switches, in files of the same names. Steps with ``uses`` are
other people's programs from the network: the caller says what stands in for each.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_TOKEN = re.compile(r"\s*(?:('(?:[^']|'')*')|([A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*)|(&&|\|\||==|!=|[!(),]))")
_STATUS = re.compile(r"\b(always|failure|success|cancelled)\(")


@dataclass(kw_only=True)
class Job:
    """One job: its folders, whether a step has failed, and what was said."""

    workspace: Path
    action: Path
    temp: Path
    stand_ins: Mapping[str, Callable[[dict[str, str]], dict[str, str]]]
    failed: bool = False
    exit_codes: dict[str, int] = field(default_factory=dict)
    used: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    summary: str = ""
    log: str = ""


def run_workflow(path: Path, name: str, job: Job) -> Job:
    """Run the steps of one job of a workflow; ``OWNER/fingerprint@ref`` and ``./`` are the action."""
    _run(yaml.safe_load(path.read_text("utf-8"))["jobs"][name]["steps"], {}, job)
    return job


def run_action(given: dict[str, str], job: Job) -> dict[str, str]:
    """Run the action with these inputs; returns its outputs."""
    action = yaml.safe_load((job.action / "action.yml").read_text("utf-8"))
    unknown = set(given) - set(action["inputs"])
    assert not unknown, f"the action has no inputs {unknown}"
    inputs = {}
    for key, declared in action["inputs"].items():
        assert key in given or not declared.get("required"), f"the input {key} is required"
        inputs[key] = given.get(key, str(declared.get("default", "")))
    assert action["runs"]["using"] == "composite"
    before, job.failed = job.failed, False
    steps = _run(action["runs"]["steps"], inputs, job)
    job.failed = job.failed or before
    return {key: _filled(str(told["value"]), _context(inputs, steps, job)) for key, told in action["outputs"].items()}


def _run(steps: list[dict[str, Any]], inputs: dict[str, str], job: Job) -> dict[str, dict[str, str]]:
    outputs: dict[str, dict[str, str]] = {}
    for number, step in enumerate(steps):
        context = _context(inputs, outputs, job)
        if not _wanted(str(step.get("if", "success()")), context):
            continue
        name = step.get("id", f"step-{number}")
        if "uses" in step:
            outputs[name] = _use(step, context, job)
            continue
        assert step["shell"] == "bash", "a composite step names its shell"
        environment = {key: _filled(str(value), context) for key, value in step.get("env", {}).items()}
        outputs[name] = _shell(name, _filled(step["run"], context), environment, job)
    return outputs


def _use(step: dict[str, Any], context: dict[str, Any], job: Job) -> dict[str, str]:
    given = {key: _filled(str(value), context) for key, value in step.get("with", {}).items()}
    program = step["uses"].split("@")[0]
    job.used.append((program, given))
    if program == "./" or program.endswith("/fingerprint"):
        return run_action(given, job)
    return job.stand_ins[program](given)


def _shell(name: str, script: str, environment: dict[str, str], job: Job) -> dict[str, str]:
    folder = job.temp / "_runner" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "script.sh").write_text(script, "utf-8")
    for file in ("output", "summary"):
        (folder / file).write_text("", "utf-8")
    given = {
        **os.environ,
        "GITHUB_ACTIONS": "true",
        "GITHUB_WORKSPACE": str(job.workspace),
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        "RUNNER_TEMP": str(job.temp),
        **environment,
    }
    command = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(folder / "script.sh")]
    done = subprocess.run(command, cwd=job.workspace, env=given, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    job.log += done.stdout + done.stderr
    job.summary += (folder / "summary").read_text("utf-8")
    job.exit_codes[name] = done.returncode
    job.failed = job.failed or done.returncode != 0
    return dict(line.split("=", 1) for line in (folder / "output").read_text("utf-8").splitlines())


def _context(inputs: dict[str, str], outputs: dict[str, dict[str, str]], job: Job) -> dict[str, Any]:
    return {
        "inputs": inputs,
        "steps": {name: {"outputs": found} for name, found in outputs.items()},
        "github": {"action_path": str(job.action), "run_id": "1", "run_attempt": "1", "workspace": str(job.workspace)},
        "runner": {"os": "Linux", "temp": str(job.temp)},
        "functions": {
            "always": lambda: True,
            "success": lambda: not job.failed,
            "failure": lambda: job.failed,
            "cancelled": lambda: False,
            "hashFiles": lambda name: hashlib.sha256((job.workspace / name).read_bytes()).hexdigest(),
        },
    }


def _wanted(condition: str, context: dict[str, Any]) -> bool:
    inner = condition.strip().removeprefix("${{").removesuffix("}}")
    return bool(evaluate(inner if _STATUS.search(inner) else f"success() && ({inner})", context))


def _filled(text: str, context: dict[str, Any]) -> str:
    return re.sub(r"\$\{\{(.*?)\}\}", lambda found: str(evaluate(found.group(1), context)), text)


def evaluate(text: str, context: dict[str, Any]) -> Any:
    """The value of an expression: names, strings, calls, ``!``, ``==``, ``!=``, ``&&`` and ``||``."""
    tokens, place = [], 0
    while text[place:].strip():
        found = _TOKEN.match(text, place)
        assert found, f"no expression of ours: {text}"
        tokens.append(found.group().strip())
        place = found.end()
    stream = _Tokens(iter(tokens))
    value = _either(stream, context)
    assert stream.next is None, f"left over in {text}: {stream.next}"
    return value


class _Tokens:
    def __init__(self, rest: Iterator[str]) -> None:
        self._rest = rest
        self.next = next(rest, None)

    def take(self) -> str:
        taken, self.next = self.next, next(self._rest, None)
        assert taken is not None, "an expression ends early"
        return taken


def _either(stream: _Tokens, context: dict[str, Any]) -> Any:
    value = _both(stream, context)
    while stream.next == "||":
        stream.take()
        other = _both(stream, context)
        value = value or other
    return value


def _both(stream: _Tokens, context: dict[str, Any]) -> Any:
    value = _equal(stream, context)
    while stream.next == "&&":
        stream.take()
        other = _equal(stream, context)
        value = value and other
    return value


def _equal(stream: _Tokens, context: dict[str, Any]) -> Any:
    value = _one(stream, context)
    if stream.next in {"==", "!="}:
        same = stream.take() == "=="
        return (value == _one(stream, context)) is same
    return value


def _one(stream: _Tokens, context: dict[str, Any]) -> Any:
    token = stream.take()
    if token == "!":
        return not _one(stream, context)
    if token == "(":
        value = _either(stream, context)
        assert stream.take() == ")"
        return value
    if token.startswith("'"):
        return token[1:-1].replace("''", "'")
    if stream.next == "(":
        stream.take()
        arguments = []
        while stream.next != ")":
            arguments.append(_either(stream, context))
            if stream.next == ",":
                stream.take()
        stream.take()
        return context["functions"][token](*arguments)
    value = context
    for part in token.split("."):
        # What is not there is empty, as in the runner.
        value = value.get(part, "") if isinstance(value, dict) else ""
    return value
