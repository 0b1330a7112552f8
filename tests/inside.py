"""The program without a process of its own: quick, and for tests that do not look at the process itself."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from fingerprint.cli import app


@dataclass(frozen=True)
class Done:
    """What a run left: exit code, stdout, stderr."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        return self.stdout + self.stderr


def run(capsys, monkeypatch, *args: str) -> Done:
    """Run ``fingerprint`` as its entry point does."""
    monkeypatch.setattr(sys, "argv", ["fingerprint", *args])
    capsys.readouterr()
    code = 0
    try:
        app.main()
    except SystemExit as end:
        code = int(end.code or 0)
    shown = capsys.readouterr()
    return Done(code, shown.out, shown.err)
