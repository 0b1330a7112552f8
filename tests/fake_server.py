"""A small model behind a real socket, answering in the shapes that servers document, sound or unsound as told.

Run as a process: ``python fake_server.py '{"dialect": "vllm", …}'`` prints its port. The model is a next-word table made
of hashes: the same question always has the same answer. ``POST /_config`` changes the settings while it runs, and
``GET /_count`` tells how many answers it gave.

Where the shapes come from. Chat and older completions: OpenAI's API reference (``logprobs.content[]`` with ``token``,
``logprob``, ``bytes`` and ``top_logprobs``, at most 20; ``tokens``, ``token_logprobs``, ``top_logprobs`` and
``text_offset``, at most 5, with ``echo``). vLLM: docs.vllm.ai, `vllm.logprobs` (``PromptLogprobs`` is a list of null or
a dictionary from token id to ``logprob``, ``rank``, ``decoded_token``, the token that stands there first), and
vllm-project/vllm, ``vllm/entrypoints/openai/completion/serving.py``: ``prompt_logprobs`` stands in the choice of a
completion and beside the choices of a chat; the first token of an echo has null; ``top_logprobs`` may list one more than
was asked for, the token that was drawn; minus infinity is -9999.0; with ``--return-tokens-as-token-ids`` tokens are
written ``token_id:NUMBER``; ``max_logprobs`` is 20 unless raised.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import json
import math
import re
import sys
import time

WORDS = [
    f" {word}"
    for word in [
        "amber",
        "bell",
        "candle",
        "drum",
        "ember",
        "fern",
        "garden",
        "harbour",
        "island",
        "jar",
        "kettle",
        "lantern",
        "meadow",
        "needle",
        "orchard",
        "pebble",
        "quill",
        "river",
        "saddle",
        "thimble",
        "valley",
        "willow",
        "yarrow",
        "anchor",
        "basket",
        "copper",
        "daisy",
        "eagle",
        "feather",
        "glass",
    ]
]
_PIECE = re.compile(r"\s?\w+|\s?[^\w\s]|\s")
SETTINGS = {
    "dialect": "openai",  # openai (chat only), legacy (completions with echo), vllm
    "model": "tiny",
    "strict": False,
    "seed": 1,
    "key": "",
    "leak": "",
    "topk": 20,
    "delay": 0.0,
    "swap_after": 0,
    "swap_model": "",
    "sum": 1.0,
    "logprobs": True,
    "count": 0,
    "jitter": False,
    "wrong_echo": False,
    "numbered": False,
    "log": False,
    "status": 0,
    "words": "",
    "redirect": "",
    "redirect_status": 307,
    "huge": 0,
    "endless": "",
    "retry_after": "",
    "hostile": "",
    "reject": [],
    "refuse": "",
}
STATE = {"answers": 0, "random": 0, "requests": 0, "flying": 0, "most": 0}
HEADERS: list[dict[str, str]] = []
TIMES: list[float] = []


def table(context: str) -> dict[str, float]:
    """Log-probabilities of all words after a context; what is left of the probability is the end of the text."""
    seed = SETTINGS["seed"] + (1000 if SETTINGS["swap_after"] and STATE["answers"] >= SETTINGS["swap_after"] else 0)
    if SETTINGS["jitter"]:
        STATE["random"] += 1
        seed = (seed, STATE["random"])
    raw = hashlib.shake_128(repr((seed, context[-60:])).encode()).digest(len(WORDS))
    weights = [math.exp(byte / 50) for byte in raw]
    total = sum(weights) / 0.95
    return {word: math.log(weight / total) for word, weight in zip(WORDS, weights, strict=True)}


def draw(context: str, seed: int, count: int, temperature: float) -> list[str]:
    found = []
    for step in range(count):
        rows = table(context + "".join(found))
        if temperature == 0:
            found.append(max(rows, key=rows.get))
            continue
        point = int.from_bytes(hashlib.sha256(repr((seed, step, context)).encode()).digest()[:6], "big") / 2**48
        for word, value in rows.items():
            point -= math.exp(value)
            if point < 0:
                found.append(word)
                break
        else:
            break
    return found


def top(context: str, count: int) -> dict[str, float]:
    shift = math.log(SETTINGS["sum"])
    rows = sorted(table(context).items(), key=lambda row: -row[1])[:count]
    return {word: value + shift for word, value in rows}


def scored(text: str) -> list[tuple[str, float | None, dict[str, float], int]]:
    """Every piece of a text with its log-probability, the likeliest words there, and its offset."""
    found, start = [], 0
    for piece in _PIECE.findall(text):
        rows = table(text[:start])
        value = rows.get(piece, -12.0) + (3.0 if SETTINGS["wrong_echo"] else 0.0)
        found.append((piece, min(value, 0.0) if start else None, rows, start))
        start += len(piece)
    return found


def chat_entry(word: str, context: str, count: int) -> dict:
    def row(piece: str, value: float) -> dict:
        return {"token": piece, "logprob": value, "bytes": list(piece.encode())}

    rows = top(context, count)
    return {**row(word, table(context).get(word, -12.0)), "top_logprobs": [row(*pair) for pair in rows.items()]}


def answer(path: str, body: dict) -> tuple[int, dict]:
    chat = path.endswith("/chat/completions")
    if SETTINGS["strict"] and body.get("model") != SETTINGS["model"]:
        return 404, {"error": {"message": f"The model `{body.get('model')}` does not exist.", "type": "NotFoundError"}}
    if not chat and SETTINGS["dialect"] == "openai":
        return 404, {"error": {"message": "This is a chat model and not supported in the v1/completions endpoint."}}
    for field in SETTINGS["reject"]:
        if field in body:
            return 400, {"error": {"message": f"Unrecognized request argument supplied: {field}"}}
    limit = 20 if chat else {"vllm": 20}.get(SETTINGS["dialect"], 5)
    asked = body.get("top_logprobs") if chat else body.get("logprobs")
    if asked and asked > min(limit, SETTINGS["topk"] or limit):
        return 400, {
            "error": {"message": f"You may request at most {limit} log-probabilities", "type": "invalid_request_error"}
        }
    context = json.dumps(body["messages"]) if chat else body["prompt"]
    if SETTINGS["refuse"] and SETTINGS["refuse"] in context:
        return 400, {"error": {"message": "The prompt violates our policy."}}
    count = body.get("max_tokens") or body.get("max_completion_tokens") or 1
    words = draw(context, body.get("seed", 0), count, body.get("temperature", 1))
    text = SETTINGS["hostile"] or "".join(words)
    STATE["answers"] += 1
    swapped = SETTINGS["swap_after"] and STATE["answers"] > SETTINGS["swap_after"] and SETTINGS["swap_model"]
    value = {
        "id": f"cmpl-{STATE['answers']:08d}",
        "object": "chat.completion" if chat else "text_completion",
        "created": int(time.time()),
        "model": SETTINGS["swap_model"] if swapped else SETTINGS["model"],
        "usage": {
            "prompt_tokens": len(_PIECE.findall(context)),
            "completion_tokens": SETTINGS["count"] or len(words),
            "total_tokens": 0,
        },
    }
    choice = {"index": 0, "finish_reason": "length" if len(words) == count else "stop", "logprobs": None}
    listed = words or [WORDS[0]]
    if chat:
        choice["message"] = {"role": "assistant", "content": text, "refusal": None}
        if body.get("logprobs") and SETTINGS["logprobs"]:
            entries = [chat_entry(word, context + "".join(words[:place]), asked) for place, word in enumerate(listed)]
            choice["logprobs"] = {"content": entries, "refusal": None}
    else:
        choice["text"] = (context if body.get("echo") else "") + text
        if asked is not None and SETTINGS["logprobs"]:
            choice["logprobs"] = legacy(context, listed, asked, echo=bool(body.get("echo")))
    if "prompt_logprobs" in body and SETTINGS["dialect"] == "vllm":
        places = vllm_prompt(body, chat)
        (value if chat else choice)["prompt_logprobs"] = places
    if SETTINGS["numbered"] and choice["logprobs"]:
        choice["logprobs"] = numbered(choice["logprobs"])
    return 200, {**value, "choices": [choice]}


def numbered(found: dict) -> dict:
    """Tokens as vLLM's ``--return-tokens-as-token-ids`` writes them."""
    if "content" in found:
        for entry in found["content"]:
            for row in (entry, *entry["top_logprobs"]):
                row.update(token=f"token_id:{hash_id(row['token'])}", bytes=None)
        return found
    tops = [top and {f"token_id:{hash_id(word)}": value for word, value in top.items()} for top in found["top_logprobs"]]
    return {**found, "tokens": [f"token_id:{hash_id(word)}" for word in found["tokens"]], "top_logprobs": tops}


def legacy(context: str, words: list[str], count: int, *, echo: bool) -> dict:
    """The older shape: parallel lists; the first token of an echo has no log-probability."""
    rows = scored(context) if echo else []
    for place, word in enumerate(words):
        before = context + "".join(words[:place])
        rows.append((word, table(before).get(word, -12.0), table(before), len(before)))
    tops = []
    for piece, value, _, start in rows:
        listed = top((context + "".join(words))[:start], count)
        tops.append(None if value is None else {**listed, piece: value})
    return {
        "tokens": [row[0] for row in rows],
        "token_logprobs": [row[1] for row in rows],
        "top_logprobs": tops,
        "text_offset": [row[3] for row in rows],
    }


def vllm_prompt(body: dict, chat: bool) -> list:
    """VLLM's list: null for the first token, then a dictionary from token id to logprob, rank and decoded token."""
    if not chat:
        text, before = body["prompt"], ""
    elif body["messages"][-1]["role"] == "assistant":
        before, text = json.dumps(body["messages"][:-1]), body["messages"][-1]["content"]
    else:
        before, text = "", json.dumps(body["messages"])
    rows: list = [None]
    for piece, value, table_there, start in scored(before + text)[0 if before else 1 :]:
        if start < len(before) or value is None:
            rows.append({"7": {"logprob": -1.0, "rank": 1, "decoded_token": piece}})
            continue
        listed = top((before + text)[:start], body["prompt_logprobs"])
        entry = {str(100 + hash_id(piece)): {"logprob": value, "rank": 99, "decoded_token": piece}}
        entry.update(
            (str(100 + hash_id(word)), {"logprob": number, "rank": rank, "decoded_token": word})
            for rank, (word, number) in enumerate(listed.items(), start=1)
            if word != piece
        )
        assert table_there
        rows.append(entry)
    return rows


def hash_id(piece: str) -> int:
    return int.from_bytes(hashlib.sha256(piece.encode()).digest()[:4], "big")


def respond(method: str, path: str, headers: dict[str, str], raw: bytes) -> tuple[int, dict[str, str], bytes]:
    if path == "/_config":
        SETTINGS.update(json.loads(raw))
        STATE["answers"] = 0
        return 200, {}, b"{}"
    if path == "/_count":
        return 200, {}, json.dumps({**STATE, "headers": HEADERS, "times": TIMES}).encode()
    STATE["requests"] += 1
    if SETTINGS["log"]:
        TIMES.append(time.monotonic())
    if len(HEADERS) < 100:
        HEADERS.append(headers)
    key = headers.get("authorization", "").removeprefix("Bearer ")
    if SETTINGS["redirect"]:
        return SETTINGS["redirect_status"], {"Location": SETTINGS["redirect"].replace("KEY", key)}, key.encode()
    if SETTINGS["leak"]:
        status, more, body = leaky(method, path, headers, raw, key)
        if SETTINGS["leak"] == "escaped":
            body = body.replace(key.encode(), "".join(f"\\u{ord(char):04x}" for char in key).encode())
        return status, more, body
    return plain(method, path, headers, raw, key)


def leaky(method: str, path: str, headers: dict[str, str], raw: bytes, key: str) -> tuple[int, dict[str, str], bytes]:
    """A server that repeats the key wherever it can: in answers, tokens, their bytes, names, headers and complaints."""
    status, more, body = plain(method, path, headers, raw, key)
    more = {**more, "X-Your-Key": key, "Set-Cookie": f"key={key}"}
    if STATE["requests"] % 5 == 0 and path.endswith("/completions"):
        return 500, more, json.dumps({"error": {"message": f"failed for {key}"}}).encode()
    value = json.loads(body)
    if isinstance(value.get("error"), dict):
        value["error"]["message"] = f"{value['error']['message']} Incorrect API key provided: {key}"
    if "data" in value:
        value["data"][0]["owned_by"] = f"owner of {key}"
        value["data"].append({"id": f"other-{key}", "object": "model"})
    for choice in value.get("choices", []):
        value["system_fingerprint"] = f"fp-{key}-{STATE['answers'] % 2}"
        if "message" in choice:
            choice["message"]["content"] = f"your key is {key}, or Bearer {key}."
        else:
            choice["text"] = f"your key is {key}."
        for entry in (choice.get("logprobs") or {}).get("content") or []:
            entry["top_logprobs"][1].update(token="your key", bytes=list(key.encode()))
            entry["top_logprobs"][2].update(token=f"{key} it is", bytes=None)
    return status, more, json.dumps(value).encode()


def plain(method: str, path: str, headers: dict[str, str], raw: bytes, key: str) -> tuple[int, dict[str, str], bytes]:
    if SETTINGS["key"] and key != SETTINGS["key"]:
        words = SETTINGS["words"] or f"Incorrect API key provided: {key}"
        return 401, {}, json.dumps({"error": {"message": words, "code": "invalid_api_key"}}).encode()
    if SETTINGS["status"]:
        wait = {"Retry-After": SETTINGS["retry_after"]} if SETTINGS["retry_after"] else {}
        return SETTINGS["status"], wait, json.dumps({"error": {"message": SETTINGS["words"] or "no"}}).encode()
    if path.endswith("/models"):
        row = {"id": SETTINGS["model"], "object": "model", "created": int(time.time()), "owned_by": SETTINGS["dialect"]}
        return 200, {}, json.dumps({"object": "list", "data": [row]}).encode()
    if method != "POST" or not path.endswith("/completions"):
        return 404, {}, b'{"error": {"message": "Not Found"}}'
    if SETTINGS["huge"]:
        return 200, {}, b'{"x": "' + b"a" * SETTINGS["huge"] + b'"}'
    status, value = answer(path, json.loads(raw))
    return status, {"X-Request-Id": headers.get("x-request-id", "")}, json.dumps(value).encode()


async def read_request(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str], bytes] | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    method, path, _ = head[0].split(" ", 2)
    return method, path, headers, body


def packed(status: int, headers: dict[str, str], body: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while (request := await read_request(reader)) is not None:
        if SETTINGS["delay"] and not request[1].startswith("/_"):
            STATE["flying"] += 1
            STATE["most"] = max(STATE["most"], STATE["flying"])
            await asyncio.sleep(SETTINGS["delay"])
            STATE["flying"] -= 1
        if SETTINGS["endless"] and not request[1].startswith("/_"):
            await endless(writer)
            break
        writer.write(packed(*respond(*request)))
        await writer.drain()
    writer.close()


async def endless(writer: asyncio.StreamWriter) -> None:
    """An answer without end: its body as fast as it goes (``flood``) or a byte now and then (``trickle``).

    ``headers``: a byte of a header now and then; ``continue``: an interim answer (RFC 9110, 15.2) now and then.
    """
    if SETTINGS["endless"] in {"headers", "continue"}:
        parts = itertools.chain([b"HTTP/1.1 200 OK\r\nX: "], itertools.repeat(b"a"))
        if SETTINGS["endless"] == "continue":
            parts = itertools.repeat(b"HTTP/1.1 102 Processing\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.05)
        return
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    part = b"a" * 65536 if SETTINGS["endless"] == "flood" else b" "
    try:
        while True:
            writer.write(b"%x\r\n%s\r\n" % (len(part), part))
            await writer.drain()
            if SETTINGS["endless"] == "trickle":
                await asyncio.sleep(0.05)
    except ConnectionError:
        return


async def main(handler) -> None:
    server = await asyncio.start_server(handler, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    asyncio.get_running_loop().run_in_executor(None, watch_stdin)
    await server.serve_forever()


def watch_stdin() -> None:
    """End with the test that started this."""
    import os

    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    SETTINGS.update(json.loads(sys.argv[1]))
    asyncio.run(main(serve_one))
