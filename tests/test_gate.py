"""Claims as rules in every format, baselines that ask nobody, and SARIF that is the same on every machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from cut import lay
from junitparser import JUnitXml
from test_check import OPEN, card, counted, policy, rule
from test_policy import decision, sarif_schema

from fingerprint import api, gate
from fingerprint.cli.check import rendered
from fingerprint.collection.store import Store
from fingerprint.report import ci
from fingerprint.report.baseline import to_text

#: What the card says, the weights that are given, what the rule wants: what becomes of it.
CLAIMS = {
    "supported": ("org/teacher", "zoo:teacher", "supported", "", "passed", 0),
    "contradicted": ("org/twin", "zoo:twin", "supported", "", "failed", 1),
    "contradicted, undecided may pass": ("org/twin", "zoo:twin", "not-contradicted", 'on_undecided = "pass"', "failed", 1),
    "untested": ("org/nobody", "", "supported", "", "undecided", 3),
    "untested must not be": ("org/nobody", "", "supported", 'on_undecided = "fail"', "failed", 1),
    "untested contradicts nothing": ("org/nobody", "", "not-contradicted", "", "passed", 0),
    "undeclared parent": ("org/twin", "org/twin=zoo:twin-gpt2 zoo:teacher", "not-contradicted", "", "failed", 1),
}


@pytest.mark.parametrize("case", CLAIMS)
def test_claims_decide_alike_in_every_format(tmp_path, case):
    parent, against, wanted, more, outcome, code = CLAIMS[case]
    card(tmp_path / "ours", parent)
    text = policy(rule("claims", "./ours", *against.split(), more=f'claims = "{wanted}"\n{more}'))
    (tmp_path / "p.toml").write_text(text)
    found = gate.check(tmp_path / "p.toml", claims_only=True).decision
    assert (found.outcome, found.exit_code) == (outcome, code)
    (finding,) = found.findings
    said = json.loads(rendered(found, ".json"))
    assert (said["exit_code"], said["findings"][0]["found"]) == (code, None)
    (test,) = next(iter(JUnitXml.fromstring(rendered(found, ".xml").encode())))
    assert [each.type for each in test.result] == [] if code == 0 else [outcome]
    (run,) = json.loads(rendered(found, ".sarif"))["runs"]
    assert [each["properties"]["outcome"] for each in run["results"]] == ([] if code == 0 else [outcome])
    assert "Declared parents" in run["tool"]["driver"]["rules"][0]["fullDescription"]["text"]
    for ending in (".md", ".txt"):
        assert f"gate: {outcome}" in rendered(found, ending)
        assert "claims of ./ours" in rendered(found, ending)
    notes = ci.to_annotations(found, "p.toml")
    assert notes.count("\n") == (code != 0)
    assert code == 0 or finding.reason in notes.replace("%25", "%")


def test_a_baseline_of_the_same_models_collects_nothing(tmp_path, monkeypatch):
    asked = counted(monkeypatch)
    lay(tmp_path / "panel", a="twin")

    def run(name: str, head: str = ""):
        (tmp_path / "p.toml").write_text(policy(OPEN, head=f'panel = "panel"\n{head}'))
        asked.clear()
        done = gate.check(tmp_path / "p.toml", options=api.Options(store=tmp_path / name), baseline=tmp_path / "b.json")
        (tmp_path / "b.json").write_text(to_text(done.baseline))
        return done, sum(asked.values()), Store.size(tmp_path / name).answers

    first, probes, answers = run("one")
    assert not first.decision.findings[0].from_baseline
    assert answers > 0
    # A store that holds nothing: whatever is asked would have to be asked anew. Each is greeted, which is not kept.
    again, greetings, answers = run("two")
    assert again.decision.findings[0].from_baseline
    assert answers == 0
    assert greetings <= 2 * len(again.reports) < probes
    assert to_text(again.baseline) == to_text(first.baseline)
    # Another seed of the same policy is another comparison.
    third, _, answers = run("two", head="seed = 7")
    assert not third.decision.findings[0].from_baseline
    assert answers > 0


def test_sarif_is_the_same_bytes_on_every_machine(tmp_path, monkeypatch):
    logs = []
    for place in ("here", "elsewhere/deeper"):
        root = tmp_path / place
        (root / "policies").mkdir(parents=True)
        card(root / "ours", "org/nobody")
        path = root / "policies" / "p.toml"
        path.write_text(policy(rule("claims", "../ours", more='claims = "supported"')))
        monkeypatch.setenv("GITHUB_WORKSPACE", str(root))
        logs.append(rendered(gate.check(path, claims_only=True).decision, ".sarif"))
        shutil.rmtree(root)
    assert logs[0] == logs[1]
    (result,) = json.loads(logs[0])["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "policies/p.toml"
    # Known by heart: if this value moves, every finding of every user is a new one to code scanning.
    assert result["partialFingerprints"]["lineage/v1"] == "f005d4b42084a7d4a8b8e1ba598605f0387e8d71b0af5fad124cff91366ad50a"


def test_results_of_one_rule_are_told_apart():
    log = json.loads(rendered(decision("failed", "failed"), ".sarif"))
    assert len({each["partialFingerprints"]["primaryLocationLineHash"] for each in log["runs"][0]["results"]}) == 1
    others = [decision("failed", text=text) for text in "ab"]
    prints = [json.loads(rendered(each, ".sarif"))["runs"][0]["results"][0]["partialFingerprints"] for each in others]
    assert prints[0]["primaryLocationLineHash"] != prints[1]["primaryLocationLineHash"]


@pytest.mark.parametrize(
    "break_it",
    [
        lambda log: log.update(version="2.2.0"),
        lambda log: log["runs"][0]["results"][0].update(level="terrible"),
        lambda log: log["runs"][0]["results"][0].update(found="x"),
        lambda log: log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"].update(startLine=0),
        lambda log: log["runs"][0]["tool"]["driver"].pop("name"),
    ],
)
def test_the_schema_of_sarif_refuses_what_is_wrong(break_it):
    log = json.loads(rendered(decision("failed"), ".sarif"))
    assert sarif_schema().is_valid(log)
    break_it(log)
    assert not sarif_schema().is_valid(log)


def test_the_path_of_a_policy_outside_of_the_checkout_is_not_told(tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path / "checkout"))
    (tmp_path / "p.toml").write_text(policy(OPEN))
    found = decision("failed")
    text = rendered(type(found)(file=gate.read_policy(tmp_path / "p.toml"), findings=()), ".sarif")
    assert str(Path(tmp_path)) not in text
