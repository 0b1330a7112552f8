"""A proxy between us and a server that breaks a share of the answers in every way that networks and gateways know.

Run as a process: ``python fault_proxy.py UPSTREAM_PORT`` prints its port. ``POST /_faults {"share": 0.2, "seed": 1}``
switches faults on; ``GET /_faults`` counts them by kind.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from fake_server import main, packed, read_request

KINDS = (
    "429",
    "429-date",
    "500",
    "503",
    "reset",
    "truncated",
    "stalled",
    "trickled",
    "garbage",
    "list",
    "other model",
    "duplicate",
    "exchanged",
    "error in 200",
    "nan",
)
SETTINGS = {"share": 0.0, "seed": 0, "storm": [0, 0], "stall": 1.0, "strip": False, "kinds": list(KINDS)}
STATE = {"count": 0}
COUNTS: Counter[str] = Counter()
RANDOM = random.Random(0)
LAST: list[tuple[int, dict[str, str], bytes]] = []
HELD: list[tuple[asyncio.Future, tuple[int, dict[str, str], bytes]]] = []


async def forward(link: list, request: tuple[str, str, dict[str, str], bytes]) -> tuple[int, dict[str, str], bytes]:
    method, path, headers, body = request
    if not link:
        link.extend(await asyncio.open_connection("127.0.0.1", int(sys.argv[1]), limit=1 << 26))
    reader, writer = link
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    writer.write("\r\n".join(lines).encode("latin-1") + body)
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    found = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    raw = await reader.readexactly(int(found.pop("content-length", 0)))
    return int(head[0].split(" ")[1]), found, raw


def chosen(path: str) -> str:
    if not path.endswith("/completions"):
        return ""
    STATE["count"] += 1
    low, high = SETTINGS["storm"]
    if low <= STATE["count"] < high:
        return "429"
    return RANDOM.choice(SETTINGS["kinds"]) if RANDOM.random() < SETTINGS["share"] else ""


async def broken(kind: str, good: tuple[int, dict[str, str], bytes], writer: asyncio.StreamWriter) -> bool:
    """Answer wrongly; returns whether the connection lives on."""
    status, headers, body = good
    if kind == "429":
        writer.write(packed(429, {"Retry-After": "0.01"}, b'{"error": {"message": "slow down"}}'))
    elif kind == "429-date":
        # A server whose clock is years off: only its own Date tells how long it means.
        now = datetime.now(UTC) + timedelta(days=RANDOM.choice([-4000, 4000]))
        dates = {"Date": format_datetime(now, usegmt=True), "Retry-After": format_datetime(now, usegmt=True)}
        writer.write(packed(429, dates, b"{}"))
    elif kind in {"500", "503"}:
        writer.write(packed(int(kind), {}, b"<html>oops</html>"))
    elif kind == "reset":
        writer.transport.abort()
        return False
    elif kind == "truncated":
        writer.write(packed(status, headers, body)[: -(len(body) // 2)])
        await writer.drain()
        return False
    elif kind == "stalled":
        writer.write(packed(status, headers, body)[: -(len(body) // 2)])
        await writer.drain()
        await asyncio.sleep(SETTINGS["stall"])
        return False
    elif kind == "trickled":
        # A header that grows by a byte now and then: no single wait is long.
        with contextlib.suppress(ConnectionError):
            writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            for _ in range(int(SETTINGS["stall"] / 0.1)):
                writer.write(b"a")
                await writer.drain()
                await asyncio.sleep(0.1)
        return False
    else:
        writer.write(packed(200, headers, wrong(kind, body)))
    return True


def wrong(kind: str, body: bytes) -> bytes:
    if kind == "garbage":
        return body[:-7]
    if kind == "list":
        return b"[]"
    if kind == "error in 200":
        return b'{"error": {"message": "upstream failed"}}'
    value = json.loads(body)
    if kind == "other model":
        return json.dumps({**value, "model": "somebody-else"}).encode()
    return json.dumps({**value, "choices": [{"text": float("nan")}]}).encode()


async def exchanged(good: tuple[int, dict[str, str], bytes]) -> tuple[int, dict[str, str], bytes]:
    """Two answers change places, or this one goes to its own request if nobody comes to change."""
    if HELD:
        future, theirs = HELD.pop()
        if not future.done():
            future.set_result(good)
            return theirs
    future = asyncio.get_running_loop().create_future()
    HELD.append((future, good))
    try:
        return await asyncio.wait_for(future, 0.1)
    except TimeoutError:
        return good


async def proxy_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    link: list = []
    while (request := await read_request(reader)) is not None:
        if request[1] == "/_faults":
            if request[0] == "POST":
                SETTINGS.update({"storm": [0, 0], "kinds": list(KINDS), "strip": False, **json.loads(request[3])})
                RANDOM.seed(SETTINGS["seed"])
                STATE["count"] = 0
                COUNTS.clear()
            writer.write(packed(200, {}, json.dumps(COUNTS).encode()))
            continue
        kind = chosen(request[1])
        good = await forward(link, request)
        if SETTINGS["strip"]:
            good[1].pop("x-request-id", None)
        if good[0] != 200:
            kind = ""
        if kind == "duplicate" and not LAST:
            kind = ""
        if kind:
            COUNTS[kind] += 1
        if kind == "duplicate":
            writer.write(packed(*LAST[-1]))
        elif kind == "exchanged":
            writer.write(packed(*await exchanged(good)))
        elif kind:
            if not await broken(kind, good, writer):
                break
        else:
            LAST[:] = [good]
            writer.write(packed(*good))
        await writer.drain()
    writer.close()
    if link:
        link[1].close()


if __name__ == "__main__":
    asyncio.run(main(proxy_one))
