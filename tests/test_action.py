"""The GitHub action and the example workflow, run step by step as the runner would, on shipped models.

What comes from the network has a stand-in: checkout (the test lays out the workspace), the cache (a folder that stays),
uploads (they look at the files), and setup-python, whose Python makes an environment that holds the program under test
and writes down what pip was asked to install. The shell of every step is run as it stands in `action.yml`.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from actions_runner import Job, evaluate, run_action, run_workflow
from cut import lay
from junitparser import JUnitXml
from test_policy import sarif_schema

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "docs" / "examples"
ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
UNDECIDED = """
schema_version = "1.0"
name = "gate"
probes = "style"
panel = "panel"
[[rule]]
id = "open"
sentence = "S."
subject = "toy:parrot?seed=1"
against = ["toy:parrot?seed=2"]
"""


class Network:
    """What stands in for the programs of others, and what each was given."""

    def __init__(self, temp: Path) -> None:
        self.pip = temp / "pip-arguments"
        self.uploaded: list[dict] = []
        self.artifacts: list[Path] = []
        self.saved: list[str] = []
        self.temp = temp
        self.actions = {
            "actions/checkout": lambda _: {},
            "actions/setup-python": self.python,
            "actions/cache/restore": lambda given: {"cache-primary-key": given["key"]},
            "actions/cache/save": self.save,
            "github/codeql-action/upload-sarif": self.sarif,
            "actions/upload-artifact": self.artifact,
        }

    def python(self, given: dict[str, str]) -> dict[str, str]:
        assert given["update-environment"] == "false", "the job's own Python stays"
        self.temp.mkdir(exist_ok=True)
        path = self.temp / "python"
        path.write_text(
            "#!/usr/bin/env bash\nset -e\n"
            '[ "$1 $2" = "-m venv" ] && mkdir -p "$3/bin"\n'
            f'printf \'#!/usr/bin/env bash\\nprintf "%%s\\\\n" "$@" > {shlex.quote(str(self.pip))}\\n\' > "$3/bin/python"\n'
            f'printf \'#!/usr/bin/env bash\\nexec {sys.executable} -m fingerprint.cli.app "$@"\\n\' > "$3/bin/fingerprint"\n'
            'chmod +x "$3/bin/python" "$3/bin/fingerprint"\n'
        )
        path.chmod(0o755)
        return {"python-path": str(path)}

    def save(self, given: dict[str, str]) -> dict[str, str]:
        self.saved.append(given["key"])
        return {}

    def sarif(self, given: dict[str, str]) -> dict[str, str]:
        self.uploaded.append(json.loads((self.temp.parent / "checkout" / given["sarif_file"]).read_text("utf-8")))
        return {}

    def artifact(self, given: dict[str, str]) -> dict[str, str]:
        self.artifacts = sorted((self.temp.parent / "checkout" / given["path"]).iterdir())
        return {}


@pytest.fixture
def network(tmp_path):
    return Network(tmp_path / "temp")


@pytest.fixture
def new_job(tmp_path, network):
    (tmp_path / "checkout").mkdir()

    def make() -> Job:
        return Job(workspace=tmp_path / "checkout", action=ROOT, temp=tmp_path / "temp", stand_ins=network.actions)

    return make


@pytest.mark.parametrize(("acme", "code", "outcome"), [("teacher", 1, "failed"), ("unrelated", 0, "passed")])
def test_the_example_workflow_gates_a_release(new_job, network, acme, code, outcome):
    job = new_job()
    shutil.copytree(EXAMPLES, job.workspace / "policies", ignore=shutil.ignore_patterns("*.yml"))
    lay(job.workspace / "recordings", ours="student", acme=acme, alike_1="twin", alike_2="twin-gpt2")
    run_workflow(EXAMPLES / "release-gate.yml", "gate", job)

    assert job.exit_codes == {"install": 0, "check": code}, job.log
    assert job.failed == (code != 0)
    assert job.summary.startswith(f"## {'❌' if code else '✅'} release: {outcome}")
    assert "Our release does not derive from Acme" in job.summary
    assert job.log.count("::error file=policies/release.toml,line=5,") == code
    (log,) = network.uploaded
    assert [error.message for error in sarif_schema().iter_errors(log)] == []
    results = log["runs"][0]["results"]
    assert len(results) == code
    assert all(
        each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "policies/release.toml" for each in results
    )
    names = {path.name for path in network.artifacts}
    assert {"findings.sarif", "junit.xml"} < names
    assert {Path(name).suffix for name in names} == {".sarif", ".xml", ".json", ".html"}
    assert JUnitXml.fromfile(str(job.workspace / "fingerprint-report" / "junit.xml")).failures == code
    # Kept after a failure too, under a key of the policy.
    assert re.fullmatch(r"fingerprint-Linux-[0-9a-f]{64}-1-1", *network.saved)
    asked = network.pip.read_text().splitlines()
    assert asked[-2:] == ["--", f"{ROOT}[gguf]"]
    assert f"{ROOT}/constraints.txt" in asked

    if not code:
        return
    again = new_job()
    assert run_action({"policy": "policies/release.toml"}, again)["decision"] == outcome
    assert again.exit_codes["check"] == code
    assert "Unchanged since the baseline" in again.log


def undecided(job: Job, name: str) -> None:
    """A policy that nothing decides, with a population that is read quickly."""
    (job.workspace / name).write_text(UNDECIDED)
    lay(job.workspace / "panel", a="twin")


def test_what_is_undecided_fails(new_job):
    job = new_job()
    undecided(job, "p.toml")
    found = run_action({"policy": "p.toml", "junit": "", "summary": "out/s.md"}, job)
    assert found == {
        "decision": "undecided",
        "exit-code": "3",
        "report": "fingerprint-report",
        "sarif": "fingerprint-report/findings.sarif",
    }
    assert job.failed
    assert job.exit_codes["check"] == 3
    assert (job.workspace / "out" / "s.md").read_text() == job.summary
    assert not (job.workspace / "fingerprint-report" / "junit.xml").exists()


def test_a_wrong_policy_fails_and_decides_nothing(new_job, network):
    job = new_job()
    (job.workspace / "p.toml").write_text("x")
    found = run_action({"policy": "p.toml"}, job)
    assert job.exit_codes["check"] == 2
    assert job.failed
    assert (found["decision"], found["sarif"]) == ("", "")
    assert "not valid TOML" in job.log
    assert network.saved == []


def test_what_is_undecided_may_pass_and_nothing_in_an_input_is_read_as_a_command(new_job, network):
    job = new_job()
    hostile = '$(touch pwned)`touch pwned`"; touch pwned #'
    undecided(job, f"-{hostile}.toml")
    given = {"policy": f"-{hostile}.toml", "install": hostile, "report": f"r {hostile}", "sarif": f"{hostile}.sarif"}
    found = run_action({**given, "fail-on-undecided": "false"}, job)
    assert (found["decision"], found["exit-code"]) == ("undecided", "3"), job.log
    assert (job.failed, job.exit_codes["check"]) == (False, 0)
    assert network.pip.read_text().splitlines()[-2:] == ["--", hostile]
    assert (job.workspace / f"{hostile}.sarif").is_file()
    assert (job.workspace / f"r {hostile}").is_dir()
    assert not list(job.workspace.rglob("pwned"))


def test_the_action_is_declared_whole():
    steps = ACTION["runs"]["steps"]
    assert not any("${{" in step.get("run", "") for step in steps)
    text = (ROOT / "action.yml").read_text("utf-8")
    assert {name for name in ACTION["inputs"] if f"inputs.{name}" not in text} == set()
    assert all(told["description"] for told in (*ACTION["inputs"].values(), *ACTION["outputs"].values()))
    example = yaml.safe_load((EXAMPLES / "release-gate.yml").read_text("utf-8"))["jobs"]["gate"]["steps"]
    foreign = [step["uses"] for step in (*steps, *example) if "uses" in step and "example/fingerprint" not in step["uses"]]
    assert len(foreign) == 6
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", name) for name in foreign)
    assert len((EXAMPLES / "release-gate.yml").read_text("utf-8").splitlines()) <= 25


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("always() && a.b != ''", True),
        ("always() && a.c != ''", False),
        ("!failure() || a.b == 'y'", True),
        ("a.c || 'else'", "else"),
    ],
)
def test_the_runner_reads_conditions_as_the_real_one(text, value):
    functions = {"always": lambda: True, "failure": lambda: False}
    assert evaluate(text, {"a": {"b": "x"}, "functions": functions}) == value
