"""Strings that want to do something where they are shown, and ways to see whether they did."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser

from markdown_it import MarkdownIt

CORPUS = {
    "colours": "\x1b[31mred\x1b[0m",
    "cursor": "\x1b[2J\x1b[1;1Hgone\x1b[1A\x1b[2K",
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;https://evil.test\x1b\\click\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "eight-bit": "\x9b31mred\x9d0;owned\x9c\x90q",
    "return": "fine\rfailed",
    "backspace": "passed\x08\x08\x08\x08\x08\x08failed",
    "lines": "one\ntwo\r\nthree\x0bfour\x0cfive\u2028six\u2029seven\x85eight",
    "nul": "a\x00b",
    "bidi": "\u202egnp.exe\u202c \u2066isolated\u2069 \u200fmark \u061c",
    "unseen": "in\u200bvis\u200cib\u200dle\ufeff\xad\u2060\U000e0041\U000e007f",
    "half": "\ud800 and \udfff",
    "noncharacters": "\ufffe\uffff\ufffd\U0001ffff",
    "script": "<script>alert(1)</script>",
    "image": "<img src=x onerror=alert(1)><svg/onload=alert(1)>",
    "closing": "</td></table></style></title></textarea></svg>--><!--]]><?x <![CDATA[",
    "attribute": '" onmouseover="alert(1)" \' x=\' `',
    "entities": "&lt;script&gt; &amp;amp; &#60;b&#62; &notanentity;",
    "template": "{{ 7*7 }} {% raw %} ${7*7} ${{ secrets.TOKEN }} #{7*7} %(x)s {0}",
    "markdown-link": "[a](javascript:alert(1)) ![i](https://evil.test/i.png) [r]: https://evil.test <https://evil.test>",
    "markdown-block": "# head\n> quote\n- item\n1. one\n```\ncode\n---\n***bold*** ~~gone~~ | cell | `tick`",
    "bare-link": "https://evil.test/?q=1 www.evil.test mailto:a@evil.test @everyone #1 a/b#2",
    "rich": "[bold red]x[/] [link=https://evil.test]y[/link] :smile: [/nothing]",
    "workflow": "::error file=a.py,line=1::owned",
    "workflow-mask": "x ::add-mask::the ::stop-commands::pause ::set-output name=a::b ::GROUP::c",
    "workflow-old": "x ##[error]owned ##[add-mask]the ##vso[task.setvariable variable=a]b ##teamcity[x]",
    "workflow-late": "a" * 73 + " ::error::owned by wrapping " + "b" * 77 + "::warning::owned by folding",
    "percent": "100%0A::error::owned%0D%25",
    "formula": "=cmd|' /C calc'!A0",
    "formulas": "+1+1",
    "formula-at": "@SUM(1+1)*cmd|' /C calc'!A0",
    "formula-wide": "\uff1d1+1",
    "formula-tab": "\t=1+1",
    "separators": "a,b;c\td\"e\"'f'\n=1+1",
    "path": "../../../etc/passwd\\..\\x",
    "combining": "e" + "\u0301" * 300,
    "wide": "模型" * 90,
    "long": "x" * 300_000,
}
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_UNSEEN = re.compile(
    "[\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e0fff]"
)
_COMMANDS = (
    "error|warning|notice|debug|group|endgroup|echo|stop-commands|set-env|set-output|save-state|add-path|add-mask"
    "|add-matcher|remove-matcher"
)
_STYLE = re.compile("\x1b\\[[0-9;]*m")


def acts_in_terminal(text: str, *, styled: bool = False) -> str:
    """The first character that a terminal would obey or hide; ``styled`` text may have the colours of its renderer."""
    shown = _STYLE.sub("", text) if styled else text
    found = _CONTROL.search(shown) or _UNSEEN.search(shown)
    return f"{found.group()!r} in {shown[max(0, found.start() - 40) : found.end() + 10]!r}" if found else ""


def acts_in_runner(text: str) -> str:
    """The first line that GitHub's runner would take for a command, read as its ActionCommand.cs reads (2024), or Azure's."""
    for line in re.split("\r\n|\r|\n", text):
        new = re.match(rf"\s*::({_COMMANDS})( [^:]*)?::", line, re.IGNORECASE)
        old = re.search(rf"##\[({_COMMANDS})|##vso\[|##teamcity\[", line, re.IGNORECASE)
        if new or old:
            return line
    return ""


class Page(HTMLParser):
    """What a page does: its tags, attributes, and whether every tag is closed."""

    VOID = frozenset({"meta", "br", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.comments: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag):
        assert self.open
        assert self.open.pop() == tag

    def handle_comment(self, data):
        self.comments.append(data)

    @property
    def acts(self) -> list[str]:
        loud = {"script", "img", "iframe", "link", "object", "embed", "a", "use", "base", "form", "image", "foreignobject"}
        sources = {"src", "href", "xlink:href", "srcset", "action", "formaction", "data", "background", "ping"}
        handlers = {name for name in self.attributes if name.startswith("on")}
        return sorted(self.tags & loud | self.attributes & sources | handlers) + self.open


def markdown_tokens(text: str) -> list[str]:
    """What a Markdown page is made of, block by block and within."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    return [inner.type for token in tokens for inner in [token, *(token.children or [])]]


def acts_in_spreadsheet(text: str) -> list[str]:
    """Cells that a spreadsheet would calculate. Numbers may begin with a sign."""
    rows = list(csv.reader(io.StringIO(text)))
    assert len({len(row) for row in rows}) == 1
    number = re.compile(r"[-+]?[0-9.]+(e[-+]?\d+)?$")
    return [
        cell
        for row in rows
        for cell in row
        if cell.lstrip()[:1] in tuple("=+-@\uff1d\uff0b\uff0d\uff20") and not number.match(cell)
    ]
