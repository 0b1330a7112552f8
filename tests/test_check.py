"""The gate as a pipeline runs it: exit codes in every format, models asked once, baselines."""

from __future__ import annotations

import json
import shutil

import pytest

from fingerprint import api, gate, shipped
from fingerprint.models import toy

ENDINGS = ("json", "xml", "sarif", "md", "txt")


def policy(*rules: str, head: str = "") -> str:
    return "\n".join(('schema_version = "1.0"', 'name = "gate"', 'probes = "style"', head, *rules))


def rule(name: str, subject: str, *against: str, more: str = "") -> str:
    listed = ", ".join(f'"{spec}"' for spec in against)
    return f'[[rule]]\nid = "{name}"\nsentence = "S."\nsubject = "{subject}"\nagainst = [{listed}]\n{more}\n'


SAME = rule("same", "toy:parrot?seed=1", "toy:parrot?seed=1", more="min_log10_lr = 0")
OPEN = rule("open", "toy:parrot?seed=1", "toy:parrot?seed=2")
PASS = rule("pass", "toy:parrot?seed=1", "toy:parrot?seed=2", more='on_undecided = "pass"')
GONE = rule("gone", "toy:parrot?seed=1", "./nothing")
CASES = {0: policy(PASS), 1: policy(GONE, OPEN, SAME), 3: policy(PASS, OPEN), 4: policy(OPEN, GONE)}


@pytest.mark.parametrize("code", CASES)
def test_the_exit_code_is_the_decision_in_every_format(program, tmp_path, code, monkeypatch):
    (tmp_path / "p.toml").write_text(CASES[code])
    for variable in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    files = [part for ending in ENDINGS for part in ("-o", f"out.{ending}")]
    done = program("check", "p.toml", "--json", "-q", "--github", *files)
    assert done.returncode == code, done.stderr
    found = json.loads(done.stdout)
    annotations = [line for line in done.stderr.splitlines() if line.startswith("::")]
    assert len(annotations) == sum(each["outcome"] != "passed" for each in found["findings"])
    assert done.stderr.count("\n") == len(annotations) + (code != 0)
    assert any(line.startswith("::error ") for line in annotations) == (code in {1, 4})
    assert (tmp_path / "GITHUB_OUTPUT").read_text() == f"outcome={found['outcome']}\nexit-code={code}\n"
    assert (tmp_path / "GITHUB_STEP_SUMMARY").read_text() == (tmp_path / "out.md").read_text()
    assert found["exit_code"] == code
    assert (tmp_path / "out.json").read_text() == done.stdout
    assert json.loads((tmp_path / "out.sarif").read_text())["runs"][0]["invocations"][0]["exitCode"] == code
    word = found["outcome"]
    for ending in ("md", "txt"):
        assert f"gate: {word}" in (tmp_path / f"out.{ending}").read_text()
    assert ("<failure" in (tmp_path / "out.xml").read_text()) == (code == 1)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "schema_version"),
        (policy(), "rule"),
        (policy(rule("a", "toy:nobody", "toy:parrot")), "toy model"),
        ("x", "TOML"),
    ],
)
def test_a_wrong_policy_ends_with_two(program, tmp_path, text, word):
    (tmp_path / "p.toml").write_text(text)
    done = program("check", "p.toml")
    assert done.returncode == 2
    assert word in done.stderr
    assert done.stderr.count("\n") == 1


def test_wrong_use_ends_with_two(program, tmp_path):
    assert program("check", "none.toml").returncode == 2
    (tmp_path / "p.toml").write_text(CASES[0])
    assert program("check", "p.toml", "-o", "x.pdf").returncode == 2
    done = program("check", "p.toml", "--rule", "nobody")
    assert done.returncode == 2
    assert "pass" in done.stderr


def counted(monkeypatch):
    """Count how often each toy is asked for an answer."""
    asked: dict[str, int] = {}
    plain = toy.Toy.sample

    def sample(self, batch):
        asked[self.info.name] = asked.get(self.info.name, 0) + len(batch)
        return plain(self, batch)

    monkeypatch.setattr(toy.Toy, "sample", sample)
    return asked


def test_many_references_ask_the_suspect_once(tmp_path, own_store, monkeypatch):
    asked = counted(monkeypatch)
    many = rule("many", "toy:parrot?seed=1", *(f"toy:parrot?seed={seed}" for seed in (2, 3, 4)))
    (tmp_path / "p.toml").write_text(policy(many))
    done = gate.check(tmp_path / "p.toml", options=api.Options(store=own_store))
    assert len(done.decision.findings) == 3
    assert len(set(asked.values())) == 1
    assert set(asked) == {"parrot-1", "parrot-2", "parrot-3", "parrot-4"}


def test_a_baseline_lets_only_what_changed_be_compared(tmp_path, own_store, monkeypatch):
    from fingerprint.report.baseline import to_text

    (tmp_path / "p.toml").write_text(policy(OPEN))
    options = api.Options(store=own_store)
    first = gate.check(tmp_path / "p.toml", options=options)
    assert not first.decision.findings[0].from_baseline
    file = tmp_path / "b.json"
    file.write_text(to_text(first.baseline))

    more = rule("more", "toy:parrot?seed=1", "toy:parrot?seed=3")
    (tmp_path / "p.toml").write_text(policy(OPEN, more))
    compared = []
    plain = api.compare
    monkeypatch.setattr(api, "compare", lambda *args, **names: compared.append(args) or plain(*args, **names))
    second = gate.check(tmp_path / "p.toml", options=options, baseline=file)
    assert [finding.from_baseline for finding in second.decision.findings] == [True, False]
    assert compared == [("toy:parrot?seed=1", "toy:parrot?seed=3")]
    assert second.decision.findings[0].observed == first.decision.findings[0].observed


def test_a_forged_baseline_is_not_believed(tmp_path, own_store):
    from fingerprint.report.baseline import to_text

    (tmp_path / "p.toml").write_text(policy(SAME))
    options = api.Options(store=own_store)
    first = gate.check(tmp_path / "p.toml", options=options)
    assert first.decision.outcome == "failed"
    value = json.loads(to_text(first.baseline))
    for report in value["reports"].values():
        report["result"]["verdict"]["kind"] = "unrelated"
    (tmp_path / "b.json").write_text(json.dumps(value))
    again = gate.check(tmp_path / "p.toml", options=options, baseline=tmp_path / "b.json")
    assert again.decision.outcome == "failed"
    assert not again.decision.findings[0].from_baseline


def test_a_file_that_is_no_baseline_is_refused(program, tmp_path):
    (tmp_path / "p.toml").write_text(CASES[0])
    (tmp_path / "b.json").write_text("[]")
    done = program("check", "p.toml", "--baseline", "b.json")
    assert done.returncode == 2
    assert "baseline" in done.stderr


def card(folder, parent):
    shutil.copytree(shipped.root() / "models" / "finetune", folder)
    (folder / "README.md").write_text(f"---\nbase_model: {parent}\n---\n# A model\n")


@pytest.mark.parametrize(("parent", "code"), [("org/teacher", 0), ("org/twin", 1), ("org/nobody", 3)])
def test_claims_are_a_rule(program, tmp_path, parent, code):
    card(tmp_path / "ours", parent)
    against = [name for name in ("teacher", "twin") if parent.endswith(name)]
    claims = rule("claims", "./ours", *(f"zoo:{name}" for name in against), more='claims = "supported"')
    (tmp_path / "p.toml").write_text(policy(claims, GONE))
    done = program("check", "p.toml", "--claims-only", "--json")
    assert done.returncode == code, done.stdout + done.stderr
    (found,) = json.loads(done.stdout)["findings"]
    assert found["against"] is None
