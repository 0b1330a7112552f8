"""Collecting from a server against a bare load generator: the same requests, as many at a time, in alternating rounds.

The load generator is the standard library's HTTP client in threads: it sends prepared bytes and throws the answers away.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from fingerprint.collection.budget import Budget
from fingerprint.collection.collect import Collector
from fingerprint.collection.plan import Plan, Settings
from fingerprint.collection.store import Store, identity_of
from fingerprint.errors import UsageError
from fingerprint.models.http import HttpModel
from fingerprint.models.http_open import open_server
from fingerprint.models.http_terms import path
from fingerprint.models.spec import parse_spec
from fingerprint.probes import Probe

_ROUNDS = 5
_SERVER = """
import asyncio, json, sys
async def one(reader, writer):
    while True:
        try:
            head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode("latin-1").lower()
        except (asyncio.IncompleteReadError, ConnectionError):
            break
        size = int(head.partition("content-length:")[2].split("\\r\\n")[0] or 0)
        await reader.readexactly(size)
        number = one.count = one.count + 1
        if "/models" not in head:
            await asyncio.sleep(float(sys.argv[1]))
        body = json.dumps({"id": f"a{number}", "model": "m", "data": [], "choices": [{"index": 0, "finish_reason": "stop",
            "text": " word" * 20, "message": {"content": " word" * 20}}], "usage": {"prompt_tokens": 9,
            "completion_tokens": 20}}).encode()
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
        await writer.drain()
    writer.close()
one.count = 0
async def main():
    server = await asyncio.start_server(one, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is sent in a round; ``delay`` is what our own server takes for an answer."""

    count: int = 400
    concurrency: int = 16
    delay: float = 0.1
    tokens: int = 8


def run(spec: str, load: Load) -> dict[str, Any]:
    """Requests per second of both, and the median of the ratios; how busy the machine was with other work stands beside."""
    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "load_average": [round(value, 1) for value in os.getloadavg()],
    }
    if spec:
        return {**about, "server": parse_spec(spec).locator, **_measure(spec, load)}
    with _own_server(load.delay) as port:
        found = _measure(f"openai:m?base_url=http://127.0.0.1:{port}/v1", load)
    return {**about, "server": "our own", "delay": load.delay, **found}


@contextmanager
def _own_server(delay: float) -> Iterator[int]:
    command = [sys.executable, "-c", _SERVER, str(delay)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  # our own words
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def _measure(spec: str, load: Load) -> dict[str, Any]:
    with_concurrency = spec + ("&" if "?" in spec else "?") + f"concurrency={load.concurrency}"
    parsed = parse_spec(with_concurrency)
    if parsed.scheme != "openai":
        raise UsageError("The throughput of servers only can be measured.", hint="Name a model as openai:…")
    backend = open_server(parsed)
    ours: list[float] = []
    bare: list[float] = []
    for round_ in range(_ROUNDS + 1):
        plan = _plan(load, round_)
        bodies = _bodies(backend, plan)
        # The order changes from round to round, and so does who meets a warm server.
        for who in ("ours", "bare") if round_ % 2 else ("bare", "ours"):
            spent = _collect(backend, plan) if who == "ours" else _generate(backend, bodies, load)
            (ours if who == "ours" else bare).append(load.count / spent)
    ratios = [mine / theirs for mine, theirs in zip(ours[1:], bare[1:], strict=True)]
    return {
        "concurrency": load.concurrency,
        "requests_a_round": load.count,
        "rounds": _ROUNDS,
        "ours_per_second": round(median(ours[1:]), 1),
        "bare_per_second": round(median(bare[1:]), 1),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "median_ratio": round(median(ratios), 3),
    }


def _plan(load: Load, round_: int) -> Plan:
    """Samples alone, and no two rounds the same, so that no cache of a server helps the second of both."""
    rows = tuple(
        Probe(
            id=f"t{place}",
            text=f"Write a few words about the number {place} in round {round_}.",
            set="throughput",
            max_tokens=load.tokens,
            positions=0,
        )
        for place in range(load.count)
    )
    return Plan(probes=rows, sets=(), settings=Settings(), repeats=0)


def _collect(backend: HttpModel, plan: Plan) -> float:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder), identity_of(backend))
        started = time.perf_counter()
        Collector(backend=backend, store=store, budget=Budget()).recording(plan)
        return time.perf_counter() - started


def _bodies(backend: HttpModel, plan: Plan) -> list[tuple[str, bytes]]:
    found = []
    for probe in plan.probes:
        for request in plan.samples(probe):
            prompt = backend.asked(request.prompt)
            found.append((path(prompt), json.dumps(backend.sample_body(request)).encode("ascii")))
    return found


def _generate(backend: HttpModel, bodies: Sequence[tuple[str, bytes]], load: Load) -> float:
    options = backend.options
    scheme, host, port = options.origin
    kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    prefix = options.base_url.split(host, 1)[1].partition("/")[2]
    headers = {"Content-Type": "application/json", **options.key.header()}
    waiting = iter(bodies)
    lock = threading.Lock()

    def send() -> None:
        connection = kind(host, port, timeout=options.timeout)
        while True:
            with lock:
                following = next(waiting, None)
            if following is None:
                connection.close()
                return
            connection.request("POST", f"/{prefix}{following[0]}", body=following[1], headers=headers)
            connection.getresponse().read()

    threads = [threading.Thread(target=send) for _ in range(load.concurrency)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started
