"""What leaves the house: CycloneDX, in-toto and model cards say what the report says, and accuse nobody of descent.

The bills of materials are validated by the official library with the official schema, the statements by in-toto's own.
"""

from __future__ import annotations

import hashlib
import json
import re

import pytest
import yaml
from cut import lay
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from jsonschema import Draft202012Validator
from reports import PAIRS, real
from test_check import OPEN, PASS, SAME, policy
from test_policy import HOSTILE
from test_report import BIDI, CONTROL, minimal, sample

from fingerprint import api, gate, shipped
from fingerprint.cli.check import _write
from fingerprint.errors import OutputError
from fingerprint.models.claims import read_claims
from fingerprint.report.cyclonedx import to_bom
from fingerprint.report.intoto import LINEAGE, STATEMENT, TEST_RESULT, lineage_schema, to_statement
from fingerprint.report.model_card import to_card
from fingerprint.report.schema import checked_in_schema, from_json, to_json, whole

VALIDATOR = JsonStrictValidator(SchemaVersion.V1_7)
KINDS = ("same", "derived", "distilled", "related", "unrelated", "inconclusive")
DIRECTIONS = {"undetermined": "variants", "suspect_from_reference": "ancestors", "reference_from_suspect": "descendants"}
RENDERERS = (to_bom, to_statement, to_card)


def directed(report, direction):
    verdict = report.result.verdict.model_copy(update={"direction": direction})
    return report.model_copy(update={"result": report.result.model_copy(update={"verdict": verdict})})


def valid(bom: str) -> dict:
    assert VALIDATOR.validate_str(bom) is None
    return json.loads(bom)


def statement(text: str) -> dict:
    """A statement as in-toto's own library reads it: unknown fields of the envelope are refused."""
    Statement.copy_from_pb(json_format.Parse(text, statement_pb2.Statement())).validate()
    found = json.loads(text)
    assert found["_type"] == STATEMENT
    return found


@pytest.mark.parametrize("pair", PAIRS)
def test_bills_of_real_reports_fit_the_official_schema(pair):
    report = real(*PAIRS[pair])
    bom = valid(to_bom(report))
    assert bom["specVersion"] == "1.7"
    suspect = bom["metadata"]["component"]
    (weights,) = (shipped.root() / "models" / report.result.suspect.name).glob("*.safetensors")
    assert suspect["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(weights.read_bytes()).hexdigest()}]
    assert suspect["modelCard"]["modelParameters"]["modelArchitecture"] == report.result.suspect.architecture
    assert ("pedigree" in suspect) == (report.result.verdict.kind in {"same", "derived"})
    assert len(bom["components"]) == 1 + len(report.result.controls)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_descent_is_claimed_only_where_the_verdict_does(kind, direction):
    report = directed(sample(kind, reference="org/teacher"), direction)
    suspect = valid(to_bom(report))["metadata"]["component"]
    if kind in {"same", "derived"}:
        (place,) = set(suspect["pedigree"]) - {"notes"}
        assert place == DIRECTIONS[direction]
        (other,) = suspect["pedigree"][place]
        assert other["name"] == "org/teacher"
        assert suspect["pedigree"]["notes"] == report.result.verdict.sentence
    else:
        assert "pedigree" not in to_bom(report)
    shown = kind in {"same", "derived"} and direction == "suspect_from_reference"
    assert to_card(report).startswith("---\n") == shown
    assert to_statement(report).count("org/teacher") >= 1


@pytest.mark.parametrize("report", [*(real(*pair) for pair in PAIRS.values()), sample(), sample("unrelated")])
def test_claims_name_their_evidence_and_their_counter_evidence(report):
    bom = valid(to_bom(report))
    (claim,) = bom["declarations"]["claims"]
    assert claim["predicate"] == report.result.verdict.sentence
    evidence = {item["bom-ref"]: item for item in bom["declarations"]["evidence"]}
    assert len(evidence) == len(report.result.evidence)
    assert set(claim["evidence"]).isdisjoint(claim["counterEvidence"])
    assert set(claim["evidence"]) | set(claim["counterEvidence"]) <= set(evidence)
    against = "H1" if report.result.verdict.kind == "unrelated" else "H2"
    for side, speaks in (("counterEvidence", against), ("evidence", "H2" if against == "H1" else "H1")):
        assert all(f"speaks for {speaks}." in evidence[ref]["description"] for ref in claim[side])
    numbers = [json.loads(item["data"][0]["contents"]["attachment"]["content"]) for item in evidence.values()]
    assert sorted(each["effect"] for each in numbers) == sorted(part.effect for part in report.result.evidence)
    assert claim["target"] == bom["metadata"]["component"]["bom-ref"]
    refs = re.findall(r'"bom-ref": "([^"]*)"', to_bom(report))
    assert len(refs) == len(set(refs))


def test_both_sides_of_a_distilled_model_are_there():
    (claim,) = json.loads(to_bom(real(*PAIRS["distilled"])))["declarations"]["claims"]
    assert claim["evidence"]
    assert claim["counterEvidence"]


def test_the_validator_would_say_it():
    bom = json.loads(to_bom(sample()))
    for change in ({"bomFormat": "x"}, {"invented": 1}, {"serialNumber": "x"}, {"metadata": {"timestamp": "yesterday"}}):
        assert VALIDATOR.validate_str(json.dumps(bom | change)) is not None


@pytest.mark.parametrize("report", [sample(), *map(sample, KINDS), *(real(*pair) for pair in PAIRS.values())])
def test_statements_fit_their_schemas(report):
    found = statement(to_statement(report))
    assert found["predicateType"] == LINEAGE
    predicate = found["predicate"]
    assert list(Draft202012Validator(lineage_schema()).iter_errors(predicate)) == []
    assert (predicate["kind"], predicate["log10_lr"]) == (report.result.verdict.kind, report.result.log10_lr)
    assert predicate["report"] == report.content_digest()
    assert len(predicate["evidence"]) == len(report.result.evidence)


def test_the_schema_of_our_predicate_is_checked_in_and_can_refuse():
    path = checked_in_schema().with_name("lineage.schema.json")
    assert json.loads(path.read_text("utf-8")) == lineage_schema()
    predicate = json.loads(to_statement(sample()))["predicate"]
    assert not Draft202012Validator(lineage_schema()).is_valid(predicate | {"kind": "stolen"})
    assert not Draft202012Validator(lineage_schema()).is_valid(predicate | {"probability": 0.99})


def test_nothing_is_attested_of_a_model_without_a_digest():
    report = sample()
    bare = report.result.suspect.model_copy(update={"digest": "", "weights": ""})
    with pytest.raises(OutputError, match="digest"):
        to_statement(report.model_copy(update={"result": report.result.model_copy(update={"suspect": bare})}))


@pytest.mark.parametrize(
    ("rules", "result", "lists"),
    [((PASS,), "PASSED", (1, 0, 0)), ((PASS, OPEN), "WARNED", (1, 1, 0)), ((OPEN, SAME), "FAILED", (0, 1, 1))],
)
def test_a_decision_is_a_test_result(tmp_path, rules, result, lists):
    lay(tmp_path / "panel", a="twin")
    text = policy(*rules, head='panel = "panel"')
    (tmp_path / "p.toml").write_bytes(text.replace("\n", "\r\n").encode())
    done = gate.check(tmp_path / "p.toml", options=api.Options(store=tmp_path / "store"))
    _write(done, tmp_path / "d.intoto.json")
    found = statement((tmp_path / "d.intoto.json").read_text())
    assert found["predicateType"] == TEST_RESULT
    predicate = found["predicate"]
    assert predicate["result"] == result
    assert tuple(len(predicate[name]) for name in ("passedTests", "warnedTests", "failedTests")) == lists
    (configuration,) = predicate["configuration"]
    assert configuration["digest"]["sha256"] == hashlib.sha256((tmp_path / "p.toml").read_bytes()).hexdigest()
    assert configuration["annotations"]["exitCode"] == done.decision.exit_code
    assert [subject["name"] for subject in found["subject"]] == ["parrot-1"]


def test_a_statement_about_nobody_is_not_written_and_the_decision_stands(program, tmp_path):
    (tmp_path / "p.toml").write_text(policy(PASS.replace('"toy:parrot?seed=1"', '"./gone"')))
    done = program("check", "p.toml", "-o", "d.intoto.json", "-o", "d.md", "-q")
    assert done.returncode == 4
    assert "was not written" in done.stderr
    assert not (tmp_path / "d.intoto.json").exists()
    assert (tmp_path / "d.md").is_file()


def test_a_card_declares_what_our_own_reader_of_claims_reads(tmp_path):
    card = to_card(directed(sample("derived", reference="org/teacher"), "suspect_from_reference"))
    (tmp_path / "README.md").write_text(card)
    (claim,) = read_claims(f"path:{tmp_path}")
    assert claim.parent == "org/teacher"
    assert yaml.safe_load(card.split("---")[1]) == {"base_model": "org/teacher"}
    assert "No `base_model`" not in card


@pytest.mark.parametrize("name", ["teacher", "../teacher", "a/b/c", "org/te\nacher", 'org/"x', "org/te acher", "org/-x"])
def test_a_name_that_no_hub_knows_is_no_base_model(name):
    card = to_card(directed(sample("derived", reference=name), "suspect_from_reference"))
    assert card.startswith("## Lineage")


@pytest.mark.parametrize("report", [sample(note=HOSTILE), sample(suspect=HOSTILE, reference=HOSTILE), minimal("derived")])
def test_hostile_text_stays_text(report):
    valid(to_bom(report))
    texts = [render(report) for render in (to_bom, to_card)]
    if report.result.suspect.digest.removeprefix("sha256:").isalnum():
        texts.append(to_statement(report))
    for text in texts:
        assert not CONTROL.search(text)
        assert not BIDI.search(text)
    assert "<script" not in to_card(report)


@given(st.text(max_size=40))
@settings(max_examples=25)
def test_no_name_breaks_a_document(text):
    report = sample("derived", suspect=text, reference=text)
    valid(to_bom(report))
    statement(to_statement(report))
    to_card(report).encode()


@pytest.mark.parametrize("render", RENDERERS)
def test_documents_are_the_same_bytes_for_the_same_report(render):
    report = whole(sample())
    assert render(report) == render(from_json(to_json(report)))


def test_the_command_writes_all_three(program, tmp_path):
    (tmp_path / "r.json").write_text(to_json(sample()))
    done = program(
        "report", "r.json", "-o", "x.cdx.json", "-o", "x.intoto.json", "-o", "x.card.md", "-o", "x.md", "-o", "y.json"
    )
    assert done.returncode == 0, done.stderr
    valid((tmp_path / "x.cdx.json").read_text())
    statement((tmp_path / "x.intoto.json").read_text())
    assert (tmp_path / "x.card.md").read_text().startswith("## Lineage")
    assert (tmp_path / "x.md").read_text().startswith("## Distilled")
    assert json.loads((tmp_path / "y.json").read_text()) == json.loads((tmp_path / "r.json").read_text())
    assert program("report", "r.json", "-o", "x.pdf").returncode == 2
