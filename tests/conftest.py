"""What the tests share: a store of their own, and a way to run the program as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no fault of the program: no test asserts seconds.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    store = tmp_path / "store"
    monkeypatch.setenv("FINGERPRINT_CACHE", str(store))
    return store


@pytest.fixture
def program(tmp_path: Path):
    """Run ``fingerprint`` in a process of its own; returns the finished process."""

    def run(*args: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "FINGERPRINT_CACHE": str(tmp_path / "store"), "HF_HUB_OFFLINE": "1", "COLUMNS": "80"}
        return subprocess.run(
            [sys.executable, "-m", "fingerprint.cli.app", *args],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
        )

    return run
