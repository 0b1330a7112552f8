"""Reports: the contract, and that no renderer lets foreign text act."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from typing import Any, get_args

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from rich.cells import cell_len
from rich.console import Console

from fingerprint.errors import UsageError
from fingerprint.report import pictures, words
from fingerprint.report.html import render_html
from fingerprint.report.markdown import escape, render_markdown
from fingerprint.report.schema import (
    CalibrationPart,
    EvidencePart,
    GuardrailPart,
    GuardrailRate,
    Hypotheses,
    Kind,
    ModelPart,
    NoiseFloor,
    Report,
    Result,
    Run,
    SkippedPart,
    VerdictPart,
    from_json,
    json_schema,
    to_json,
)
from fingerprint.report.terminal import render, verdict_line

KINDS: tuple[Kind, ...] = get_args(Kind)
HOSTILE = (
    "[red]m[/red] \x1b[31mred\x1b]0;t\x07 <script>alert(1)</script> <img src=x onerror=y> "
    "\u202etxt\u202c\u2066 \x00 `tick` | pipe\n# head\r\n![a](https://x.test/a.png) [l](javascript:x) "
    "https://x.test www.x.test @all :smile: "
    "\"'&amp; {{ 7*7 }} \\"
)
BIDI = re.compile("[\u202a-\u202e\u2066-\u2069\u200b-\u200f]")
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def model(name: str = "student", *, note: str = "") -> ModelPart:
    return ModelPart(
        name=name,
        digest="sha256:" + "ab" * 32,
        kind="zoo" + note,
        architecture="gpt2" + note,
        parameters=431_872,
        tokenizer="sha256:" + "cd" * 32 + note,
        template=note,
        weights="sha256:" + "ef" * 32 + note,
        runtime="torch 2.6, cpu" + note,
        access=("text", "topk" + note),
        recording="sha256:" + "12" * 32 + note,
        prompts=240,
        samples=480,
        distributions=4810,
    )


def evidence(note: str = "", controls: dict[str, float] | None = None) -> tuple[EvidencePart, ...]:
    if controls is None:
        controls = {"twin": 0.121, "stranger": -0.014, "cousin": 0.214, "twin-gpt2": 0.087}
    rows: list[tuple[Any, ...]] = [
        ("weight_descent", "Weights: common descent", "weights", 0.004, 0.41, (-0.011, 0.02)),
        ("partial_correlation", "Partial residual correlation", "topk", 0.612, 0.00498, (0.571, 0.649)),
        ("divergence", "Jensen–Shannon divergence", "topk", 0.031, 0.001, (0.028, 0.034)),
        ("control_contrast", "Matching answers, against controls", "text", 0.43, 0.2, (0.37, 0.49)),
        ("rare_ngrams", "Shared rare n-grams", "text", 3.1, None, None),
    ]
    return tuple(
        EvidencePart.model_validate(
            {
                "method": method,
                "title": title + note,
                "access": access,
                "statistic": effect,
                "pvalue": p,
                "effect": effect,
                "interval": interval,
                "n": 240,
                "log10_lr": None,
                "note": "all others regressed out; p: resamples in which a control leads" + note,
                "controls": {
                    name: abs(value) + 0.1 if method == "divergence" else value for name, value in controls.items()
                },
            }
        )
        for method, title, access, effect, p, interval in rows
    )


def sample(
    kind: Kind = "distilled",
    *,
    suspect: str = "student",
    reference: str = "teacher",
    note: str = "",
    **more: object,
) -> Report:
    """A full report; ``note`` is appended to every foreign field, ``more`` replaces fields of the result."""
    rate = GuardrailRate(refused=12, answered=40, rate=0.3, interval=(0.166, 0.465))
    result = Result(
        suspect=model(suspect, note=note),
        reference=model(reference, note=note),
        controls=(model("twin" + note, note=note), model("stranger", note=note)),
        panel=("cousin" + note, "twin-gpt2"),
        verdict=VerdictPart(
            kind=kind,
            direction="undetermined",
            sentence=f"{suspect} behaves as if it had learned from {reference}, and has weights of its own: "
            "the evidence is 20 times more probable if it did than if they were unrelated.",
        ),
        log10_lr=1.3,
        log10_lr_interval=(0.9, 1.3),
        log10_lr_bounds=(-1.2, 1.3),
        log10_lr_uncapped=2.91,
        evidence=evidence(note),
        skipped=(SkippedPart(method="rarity_match" + note, reason="needs 5 controls for frequencies" + note),),
        noise_floor=NoiseFloor(divergence_bits=0.00002, repeated=20, text_match=0.61),
        guardrails=GuardrailPart(
            available=True,
            suspect_harmful=rate,
            reference_harmful=GuardrailRate(refused=38, answered=40, rate=0.95, interval=(0.831, 0.994)),
            suspect_harmless=rate,
            reference_harmless=GuardrailRate(refused=0, answered=0, rate=None, interval=None),
            sentence="The student refuses 12 of 40 harmful requests, the teacher 38 of 40." + note,
        ),
        calibration=CalibrationPart(
            id="zoo-1" + note,
            digest="sha256:" + "34" * 32,
            tier="topk",
            cllr=0.31,
            related_pairs=24,
            unrelated_pairs=60,
            families=8,
            note="Small models of known lineage, trained by this project." + note,
        ),
        hypotheses=Hypotheses(h1=f"{suspect} derives from {reference}{note}", h2=f"{suspect} is unrelated{note}"),
        limits=(
            "The likelihood ratio is capped, because few lineages were seen." + note,
            "No direction is shown.",
        ),
    )
    run = Run(
        tool_version="0.1.0" + note,
        started="2025-01-01T00:00:00Z",
        seconds=12.5,
        settings={"seed": 0, "s": note},
    )
    return Report(result=result.model_copy(update=more), run=run)


def minimal(kind: Kind = "inconclusive") -> Report:
    """What is left when nothing could be measured."""
    bare = ModelPart.model_validate(
        {
            **dict.fromkeys(("name", "digest", "kind", "architecture", "tokenizer", "template"), ""),
            **dict.fromkeys(("weights", "runtime", "recording"), ""),
            **dict.fromkeys(("parameters", "prompts", "samples", "distributions"), 0),
            "access": (),
        }
    )
    part = EvidencePart(
        method="m",
        title="M",
        access="text",
        statistic=0,
        pvalue=None,
        effect=0,
        interval=None,
        n=0,
        log10_lr=None,
    )
    report = sample(
        kind,
        suspect="",
        controls=(),
        panel=(),
        evidence=(part,) if kind == "related" else (),
        skipped=(),
        noise_floor=NoiseFloor(divergence_bits=None, repeated=0, text_match=None),
        guardrails=GuardrailPart(available=False),
        limits=(),
        log10_lr=0.0,
        log10_lr_interval=(0.0, 0.0),
        log10_lr_bounds=(0.0, 0.0),
    )
    return report.model_copy(update={"result": report.result.model_copy(update={"reference": bare})})


def plain(report: Report, width: int = 80, **options: bool) -> str:
    buffer = io.StringIO()
    Console(file=buffer, width=width, legacy_windows=False, **options).print(render(report))
    return buffer.getvalue()


def renderings(report: Report) -> dict[str, str]:
    return {
        "terminal": plain(report),
        "html": render_html(report),
        "markdown": render_markdown(report),
        "line": verdict_line(report),
    }


CASES = [
    sample(),
    minimal(),
    minimal("related"),
    sample(suspect="a" * 300, reference="ü" * 300, note=" " + "x" * 500),
    sample(suspect="模型" * 60, reference="e\u0301" * 40),
    sample(note=HOSTILE),
    sample(log10_lr=300.0, log10_lr_uncapped=1e300, log10_lr_bounds=(-1e300, 1e300), prior=0.1, posterior=0.5),
    *map(sample, KINDS),
]


@pytest.mark.parametrize("report", CASES)
def test_the_terminal_report_fits_eighty_columns(report: Report) -> None:
    assert all(cell_len(line) <= 80 for line in plain(report).splitlines())
    assert len(verdict_line(report)) <= 100


@pytest.mark.parametrize("report", CASES)
def test_the_page_is_well_formed_and_loads_nothing(report: Report) -> None:
    page = render_html(report)
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    assert not {"script", "img", "iframe", "link", "object", "a", "use"} & reader.tags
    assert not {"src", "href", "xlink:href", "srcset"} & reader.attributes
    assert not {attribute for attribute in reader.attributes if attribute.startswith("on")}
    assert "<script" not in page
    assert "url(" not in page
    assert "@import" not in page
    assert [level for level in reader.headings if level == "h1"] == ["h1"]
    jumps = zip(reader.headings, reader.headings[1:], strict=False)
    assert all(int(after[1]) - int(before[1]) <= 1 for before, after in jumps)


def test_a_plain_page_names_no_address() -> None:
    assert "http:" not in render_html(sample())
    assert "https:" not in render_html(sample())


def test_the_page_is_byte_identical_for_equal_reports() -> None:
    assert render_html(sample()) == render_html(from_json(to_json(sample())))


@pytest.mark.parametrize("where", ["everywhere", "names"])
def test_hostile_text_is_inert(where: str) -> None:
    names = {"suspect": HOSTILE, "reference": HOSTILE[::-1]}
    report = sample(note=HOSTILE) if where == "everywhere" else sample(**names)
    for language, text in renderings(report).items():
        assert not CONTROL.search(text), language
        assert not BIDI.search(text), language
    page, markdown = renderings(report)["html"], renderings(report)["markdown"]
    assert "<script" not in page.lower()
    assert "<script" not in markdown.lower()
    assert "<img" not in page
    assert "49" not in re.findall(r"\{\{.*?\}\}", page)
    assert "{{ 7*7 }}" in page


def test_hostile_text_applies_no_style() -> None:
    report = sample(suspect="[red]m[/red] [link=x]y[/link] :smile:")
    shown = plain(report, force_terminal=True)
    assert "[red]m[/red]" in shown
    assert "[link=x]y[/link] :smile:" in shown
    assert "\x1b]8" not in shown


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    shown = plain(sample(), force_terminal=True)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", shown)
    assert "DISTILLED" in shown


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("a|b", r"a\|b"),
        ("<b>", "&lt;b&gt;"),
        ("`x`", r"\`x\`"),
        ("https://x", "https&#58;//x"),
        ("www.x.y", "www&#46;x.y"),
        ("- item", r"\- item"),
        ("1. item", r"1\. item"),
        ("gpt-4.1", "gpt-4.1"),
        ("@all", "&#64;all"),
    ],
)
def test_markdown_shows_foreign_text_as_it_is(raw: str, shown: str) -> None:
    assert escape(raw) == shown


def test_every_row_of_a_markdown_table_has_the_same_cells() -> None:
    text = render_markdown(sample(note=HOSTILE))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {8}


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_name_breaks_a_rendering(suspect: str, reference: str) -> None:
    report = sample(suspect=suspect, reference=reference)
    assert len(verdict_line(report)) <= 100
    assert len(verdict_line(report).splitlines()) == 1
    for text in renderings(report).values():
        assert not CONTROL.search(text)
        text.encode()


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_and_the_minimum_render(kind: Kind) -> None:
    for report in (sample(kind), minimal(kind)):
        texts = renderings(report)
        assert words.HEADLINES[kind].upper() in texts["terminal"]
        assert f'class="kind-{kind}"' in texts["html"]
        assert kind.upper() in texts["line"]
        assert all("nan" not in text for text in texts.values())


def test_the_verdict_line_keeps_its_numbers() -> None:
    line = verdict_line(sample(suspect="s" * 99, reference="r" * 99))
    assert "DISTILLED, log10 LR +1.3 [+0.9, +1.3] (bounds −1.2 … +1.3)" in line
    assert verdict_line(sample()).startswith("student ↔ teacher: DISTILLED")


def test_json_round_trip() -> None:
    for report in CASES:
        assert from_json(to_json(report)) == report
        jsonschema.validate(json.loads(to_json(report)), json_schema())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValidationError):
        Run(tool_version="", started="", seconds=value, settings={})
    broken = sample().model_copy(update={"run": Run.model_construct(seconds=value)})
    with pytest.raises(Exception, match="JSON"):
        to_json(broken)


def test_a_report_of_another_shape_is_refused_in_one_line() -> None:
    with pytest.raises(UsageError) as caught:
        from_json('{"schema_version": "9\x1b"}', "bad\nname")
    assert "\n" not in str(caught.value)


def test_the_closest_control_is_the_smallest_divergence() -> None:
    parts = {part.method: part for part in evidence()}
    assert words.best_control(parts["divergence"]) == ("stranger", pytest.approx(0.114))
    assert words.best_control(parts["partial_correlation"]) == ("cousin", 0.214)


def test_the_picture_of_controls_names_the_closest_and_keeps_the_rest() -> None:
    part = evidence(controls={f"c{place:02}": place / 100 for place in range(30)})[1]
    rows = pictures.strip(part, "teacher")
    assert [row.name for row in rows[:2]] == ["teacher", "c29"]
    assert [row.is_reference for row in rows].count(True) == 1
    assert rows[-1].name == "18 further controls"
    assert sum(row.track.count('class="control"') for row in rows) == 30


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0.000"),
        (-0.1, "−0.100"),
        (1e-300, "1e−300"),
        (12.34, "12.34"),
        (1234567.0, "1.2e6"),
        (4321.0, "4,321"),
    ],
)
def test_numbers(value: float, shown: str) -> None:
    assert words.number(value) == shown


class _Reader(HTMLParser):
    """Collects tags, attributes and headings, and keeps the stack of what is still open."""

    VOID = frozenset({"meta", "br", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.headings: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
