"""The page of a report: self-contained, readable by everybody, and laid out so that nothing is cut, on screen and paper."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib import resources
from itertools import product

import browser
import pytest
from reports import STORED, stored

from fingerprint.report.html import render_html
from fingerprint.report.schema import Report
from fingerprint.report.terms import entries

CSS = (resources.files("fingerprint.report") / "templates" / "report.css").read_text("utf-8")
CHROMIUM = browser.find()
KINDS = ("same", "derived", "distilled", "related", "unrelated", "inconclusive")


def long_names(report: Report) -> Report:
    """The same report on models whose names have no place to break."""
    result = report.result

    def renamed(part, name):
        return part.model_copy(update={"name": name})

    parts = tuple(
        part.model_copy(update={"controls": {f"{n}-{'w' * 60}": v for n, v in part.controls.items()}})
        for part in result.evidence
    )
    return report.model_copy(
        update={
            "result": result.model_copy(
                update={
                    "suspect": renamed(result.suspect, "organisation/" + "m" * 80),
                    "reference": renamed(result.reference, "模型" * 40),
                    "evidence": parts,
                    "panel": ("p" * 70, *result.panel),
                }
            )
        }
    )


REPORTS = {**{kind: stored(kind) for kind in STORED}, "long": long_names(stored("distilled"))}


class Outline(HTMLParser):
    """What a reader that does not see the page is told."""

    def __init__(self) -> None:
        super().__init__()
        self.language = ""
        self.headings: list[int] = []
        self.ids: list[str] = []
        self.named_by: list[str] = []
        self.bare_pictures: list[str] = []
        self.header_cells: list[dict[str, str | None]] = []
        self._titled = False
        self._path: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self._path.append(found)
        if tag == "html":
            self.language = found.get("lang") or ""
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "th":
            self.header_cells.append(found)
        if found.get("id"):
            self.ids.append(str(found["id"]))
        if found.get("aria-labelledby"):
            self.named_by.append(str(found["aria-labelledby"]))
        hidden = any(each.get("aria-hidden") == "true" for each in self._path)
        if tag == "svg" and not hidden and not (found.get("role") == "img" and found.get("aria-label")):
            self.bare_pictures.append(str(found))
        if tag in {"meta", "br", "hr"}:
            self._path.pop()

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002  # the name is the parser's
        self._path.pop()


@pytest.mark.parametrize("name", REPORTS)
def test_a_reader_without_eyes_gets_the_same_page(name):
    outline = Outline()
    outline.feed(render_html(REPORTS[name]))
    assert outline.language == "en"
    assert outline.headings[0] == 1
    assert outline.headings.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(outline.headings, outline.headings[1:], strict=False))
    assert len(outline.ids) == len(set(outline.ids))
    assert set(outline.named_by) <= set(outline.ids)
    assert not outline.bare_pictures
    assert all(cell.get("scope") in {"row", "col"} for cell in outline.header_cells)


@pytest.mark.parametrize("name", REPORTS)
def test_nothing_is_loaded_and_nothing_runs(name):
    page = render_html(REPORTS[name])
    assert "default-src 'none'" in page
    assert not re.search(r"<(script|iframe|object|embed|link|img|form|base)\b", page)
    assert not re.search(r"\s(src|href|action|on\w+)=", page)
    assert not re.search(r"https?:|url\(|@import|javascript:", page)


def test_the_page_says_first_what_was_found_and_all_that_limits_it():
    page = render_html(REPORTS["distilled"])
    order = [
        "<h1>Distilled</h1>",
        "How strong the evidence is",
        "<b>30 times</b>",
        "In short",
        ">Limits<",
        "For derivation (H1)",
        "Against it (H2)",
        "Evidence in numbers",
        "The reference among the controls",
        "Calibration, and where this case falls",
        "Strata, and what this case shares with them",
        "What of this case is visible",
        "The most telling probes",
        "Guardrails kept and dropped",
        "Methods not applied",
        "Glossary",
        "Methods, and how it was found",
    ]
    places = [page.index(what) for what in order]
    assert places == sorted(places)
    assert page.count('class="cap"') >= 4  # two on the scale, two under the curves
    assert all(limit in page for limit in REPORTS["distilled"].result.limits)


def test_counter_evidence_is_beside_the_evidence():
    page = render_html(REPORTS["distilled"])
    against = page[page.index('id="for-h2"') :]
    assert "Weights: common descent" in against[: against.index("For neither")]
    assert "Nothing speaks for derivation." in render_html(REPORTS["unrelated"])


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    """Contrast of two colours (WCAG 2.2), from 1 to 21."""
    low, high = sorted(map(luminance, (first, second)))
    return (high + 0.05) / (low + 0.05)


def tokens(css: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", css))


LIGHT = tokens(CSS.split("@media")[0])
DARK = tokens(CSS.split("@media (prefers-color-scheme: dark)")[1].split("}")[0])
PAPER = tokens(CSS.split("@media print")[1])


def test_the_measure_of_contrast_is_that_of_wcag():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize(("scheme", "colour"), tuple(product(("light", "dark", "paper"), ("ink", "quiet", *KINDS))))
def test_words_and_marks_stand_out_from_the_page(scheme, colour):
    palette = {"light": LIGHT, "dark": DARK, "paper": PAPER}[scheme]
    # AA asks 4.5 of words and 3 of marks; the same colours are used for both.
    assert contrast(palette[colour], palette["page"]) >= 4.5


def test_no_mark_that_means_something_is_drawn_in_a_pale_colour():
    assert "opacity" not in CSS
    pale = re.findall(r"svg ([^{]*)\{[^}]*var\(--(?:rule|band)\)", CSS)
    assert [selector.strip() for selector in pale] == ["line", ".allowed"]
    # The band between the caps is set off by the caps, and those are ink; it is still seen on the page.
    assert "svg .cap { stroke: var(--ink)" in CSS
    for palette in (LIGHT, DARK, PAPER):
        assert contrast(palette["band"], palette["page"]) >= 1.5
        # An interval or a dot upon the band stays visible.
        assert all(contrast(palette[kind], palette["band"]) >= 3 for kind in KINDS)


def test_paper_has_rules_of_its_own():
    paper = CSS.split("@media print")[1]
    assert "size: A4" in paper
    assert "counter(pages)" in paper
    assert "break-inside: avoid" in paper
    assert "table-header-group" in paper


def test_every_method_of_a_report_is_explained():
    for report in REPORTS.values():
        for part in (*report.result.evidence, *report.result.skipped):
            assert part.method in entries(), part.method


needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no Chromium on this machine (or name one in FINGERPRINT_CHROMIUM)"
)

#: Text that runs out of its box, words drawn over other words in a picture, and whatever sticks out of the window.
FAULTS = """(() => {
  const found = [], wide = document.documentElement.clientWidth + 1;
  for (const one of document.querySelectorAll('main *')) {
    const box = one.getBoundingClientRect();
    const hidden = getComputedStyle(one).clipPath !== 'none' || one.closest('.stacked thead') && innerWidth < 704;
    if (box.width && !hidden && (box.right > wide || box.left < -1))
      found.push('out of the page: ' + one.tagName + ' ' + one.textContent.slice(0, 40));
    if (['TD', 'TH', 'DD', 'P', 'LI', 'BLOCKQUOTE'].includes(one.tagName) && !hidden && one.scrollWidth > one.clientWidth + 1)
      found.push('out of its box: ' + one.tagName + ' ' + one.textContent.slice(0, 40));
  }
  for (const picture of document.querySelectorAll('svg, .plot')) {
    const words = [...picture.querySelectorAll('text, span')].map(one => [one, one.getBoundingClientRect()]);
    for (const [a, one] of words) for (const [b, two] of words)
      if (a < b || (a !== b && a.compareDocumentPosition(b) & 4))
        if (one.left < two.right - 1 && two.left < one.right - 1 && one.top < two.bottom - 3 && two.top < one.bottom - 3)
          found.push('on each other: ' + a.textContent + ' / ' + b.textContent);
  }
  return found;
})()"""
COLOURS = "['body', 'h1', 'figcaption'].map(q => { const s = getComputedStyle(document.querySelector(q)); return [s.color, s.backgroundColor] })"


@pytest.fixture(scope="module")
def chromium():
    assert CHROMIUM is not None
    with browser.Browser(CHROMIUM) as opened:
        yield opened


@needs_chromium
@pytest.mark.parametrize("name", REPORTS)
def test_the_page_fits_phone_and_screen_in_light_and_dark(name, chromium, tmp_path):
    page = tmp_path / f"{name}.html"
    page.write_text(render_html(REPORTS[name]), "utf-8")
    colours = {}
    for width, dark in product((390, 1200), (False, True)):
        chromium.open(page, width=width, dark=dark)
        assert chromium.run("document.documentElement.scrollWidth") <= width
        assert chromium.run(FAULTS) == []
        assert chromium.asked == [page.resolve().as_uri()]
        assert chromium.faults == []
        colours[dark] = chromium.run(COLOURS)
    assert all(light != dark for light, dark in zip(colours[False], colours[True], strict=True))


@needs_chromium
def test_the_page_prints_to_a4(chromium, tmp_path):
    page = tmp_path / "report.html"
    page.write_text(render_html(REPORTS["distilled"]), "utf-8")
    chromium.open(page)
    printed = chromium.paper()
    assert printed.startswith(b"%PDF-")
    sizes = {
        tuple(round(float(side)) for side in box) for box in re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", printed)
    }
    assert sizes == {(595, 842)}
    assert 4 <= printed.count(b"/Type /Page\n") <= 14


TREE = (resources.files("fingerprint.report") / "templates" / "tree.css").read_text("utf-8")


def test_the_tree_uses_the_same_colours():
    assert not re.search(r"#[0-9a-f]{3,6}\b|opacity", TREE)
    assert not re.search(r"svg \.edge[^{]*\{[^}]*var\(--(?:rule|band)\)", TREE)
