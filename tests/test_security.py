"""Keys stay where they belong, redirects lead nowhere else, answers have an end: against servers that try."""

from __future__ import annotations

import json
import logging
import socket
import threading
import traceback
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest
import zstandard
from inside import run
from servers import fake_server

from fingerprint.errors import ModelBroken, ModelError, ModelRefused, SpecError
from fingerprint.models.base import SampleRequest
from fingerprint.models.http_options import parse_options
from fingerprint.models.registry import open_model
from fingerprint.models.spec import parse_spec
from fingerprint.recording import Prompt

KEY = "sk-Canary0f1ngerpr1ntXYZ"
PROBES = """
[card]
name = "few"
version = "1"
title = "Few"
purpose = "A test."
access = ["text", "topk"]
language = ["en"]
confounder = "None."
licence = "Apache-2.0"
digest = ""

[defaults]
channel = "chat"
max_tokens = 4
draws = 2
positions = 1

""" + "\n".join(f'[[probe]]\nid = "few-{n:03}"\ntext = "Name thing {n}."\ntags = ["thing"]\n' for n in range(12))
POLICY = """
schema_version = "1.0"
name = "gate"
probes = "{probes}"

[[rule]]
id = "not-theirs"
sentence = "Ours is not theirs."
subject = "{spec}"
against = ["rec:{rows}"]
"""


@pytest.fixture(autouse=True)
def canary(monkeypatch):
    monkeypatch.setenv("CANARY_KEY", KEY)


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A folder with probes and a recording of the same questions, where the program runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.toml").write_text(PROBES)
    rows = [{"prompt": f"Name thing {n}.", "output": f"thing {n}", "model": "theirs"} for n in range(12)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def spec_of(address: str, **more: object) -> str:
    options = {"key_env": "CANARY_KEY", "concurrency": 2, "backoff": 0, "timeout": 20, **more}
    return f"openai:tiny?base_url={address}&" + "&".join(f"{name}={value}" for name, value in options.items())


def commands(spec: str) -> list[tuple[str, ...]]:
    """Every command that speaks with a server, writing every format that there is."""
    report = [part for ending in ("json", "html", "md", "txt", "csv") for part in ("-o", f"out.{ending}")]
    gate = [part for ending in ("json", "xml", "sarif", "md", "txt") for part in ("-o", f"gate.{ending}")]
    return [
        ("collect", spec, "-o", "own.jsonl.zst", "--probes", "few.toml"),
        ("compare", spec, "rec:rows.jsonl", "--recordings", "kept", *report),
        ("check", "policy.toml", "--github", "--reports", "reports", "--baseline", "base.json", *gate),
        ("compare", spec, "rec:rows.jsonl", "--json"),
        ("compare", spec, "rec:rows.jsonl", "--dry-run", "--price-in", "1", "--price-out", "2"),
        ("compare", spec, "rec:rows.jsonl", "--dry-run", "--json"),
        ("doctor", spec),
        ("collect", spec.replace("tiny", "gone"), "-o", "gone.jsonl"),
    ]


def found_in(folder: Path, *needles: str) -> list[str]:
    """Files and names below a folder that hold a needle in any of the ways that a file could hold it."""
    ways = [
        way.encode() for needle in needles for way in (needle, needle.lower(), "".join(f"\\u{ord(c):04x}" for c in needle))
    ]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [str(path) for path in files if any(way in path.read_bytes() or way in str(path).encode() for way in ways)]


@pytest.mark.parametrize("leak", ["plain", "escaped"])
def test_a_key_is_in_no_file_report_cache_or_stream(capsys, monkeypatch, caplog, world, leak):
    """The server repeats the key in answers, tokens, token bytes, names, headers and complaints."""
    caplog.set_level(logging.DEBUG)
    with fake_server(dialect="openai", leak=leak, key=KEY, strict=True, refuse="thing 7") as address:
        spec = spec_of(address)
        gate = POLICY.format(probes="few.toml", spec=spec, rows="rows.jsonl")
        (world / "policy.toml").write_text(gate)
        runs = [run(capsys, monkeypatch, *command) for command in commands(spec)[: None if leak == "plain" else 2]]
        sent = httpx.get(address + "/_count").json()
    assert any(headers.get("authorization") == f"Bearer {KEY}" for headers in sent["headers"])
    assert [done.returncode for done in runs] == [0, 0, 3, 0, 0, 0, 0, 4][: len(runs)], [done.stderr for done in runs]
    said = "".join(done.said for done in runs) + caplog.text
    kept = zstandard.ZstdDecompressor().decompress((world / "own.jsonl.zst").read_bytes())
    assert b"your key is [key]" in kept  # the server did repeat it
    (world / "unpacked").write_bytes(kept)
    assert "httpcore" in {record.name.partition(".")[0] for record in caplog.records}
    assert KEY not in said
    assert KEY.lower() not in said
    assert found_in(world, KEY) == []
    assert (world / "store" / "answers").is_dir()


def test_a_key_is_in_no_document_tree_or_library_either(capsys, monkeypatch, caplog, world):
    """The other commands on the same server, and what is made of their reports."""
    caplog.set_level(logging.DEBUG)
    rows = [{"prompt": f"Name thing {n}.", "output": f"a thing of {n}", "model": "others"} for n in range(12)]
    (world / "shelf").mkdir()
    for name in ("theirs", "others"):
        text = "".join(json.dumps({**row, "model": name}) + "\n" for row in rows)
        (world / "shelf" / f"{name}.jsonl").write_text(text)
    documents = [part for ending in ("cdx.json", "intoto.json", "card.md", "html", "json") for part in ("-o", f"again.{ending}")]
    with fake_server(dialect="openai", leak="plain", key=KEY, strict=True) as address:
        spec = spec_of(address)
        runs = [
            run(capsys, monkeypatch, *command)
            for command in (
                ("compare", spec, "rec:rows.jsonl", "--sequential", "-o", "o.json"),
                ("identify", spec, "--panel", "shelf", "--probes", "few.toml", "-o", "who.json"),
                ("collect", spec, "-o", "shelf/own.jsonl", "--probes", "few.toml"),
                ("report", "o.json", *documents),
                ("explain", "o.json"),
                ("verify", "o.json"),
                ("matrix", "shelf", "-o", "pairs.json", "-o", "pairs.csv"),
                ("tree", "shelf", "--replicates", "2", "-o", "tree.html"),
                ("library", "add", "library", "shelf/own.jsonl"),
                ("seal", "--probes", "few.toml", "-o", "seal.json"),
                ("compare", spec, "rec:rows.jsonl", "--probes", "few.toml", "--seal", "seal.json", "-o", "sealed.json"),
                ("collect", spec.replace("tiny", "gone"), "-o", "gone.jsonl"),
            )
        ]
    assert [done.returncode for done in runs] == [*[0] * 11, 4], [done.stderr[-300:] for done in runs]
    assert b"your key is [key]" in (world / "shelf" / "own.jsonl").read_bytes()
    assert KEY.lower() not in ("".join(done.said for done in runs) + caplog.text).lower()
    assert found_in(world, KEY) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"leak": "plain", "key": "another"},
        {"leak": "escaped", "status": 400},
        {"leak": "plain", "status": 429},
        {"leak": "plain", "status": 500},
        {"leak": "escaped", "strict": True},
        {"redirect": "http://KEY.example/v1"},
        {"redirect": "http://KEY@127.0.0.1:1/KEY"},
        {"redirect": "http://["},
        {"redirect": "http://127.0.0.1:99999999/"},
        {"huge": 9_000_000},
    ],
)
def test_no_exception_or_traceback_holds_the_key(settings):
    with fake_server(**settings) as address, pytest.raises(ModelError) as caught:
        open_model(parse_spec(spec_of(address, attempts=2).replace("tiny", "wrong-name")))
    chain, error = [], caught.value
    while error is not None:
        chain += [repr(error), str(error), repr(getattr(error, "hint", ""))]
        error = error.__cause__
    shown = "".join([*chain, *traceback.format_exception(caught.value)])
    assert KEY not in shown
    assert KEY.lower() not in shown
    assert str(caught.value).count("\n") == 0


def test_a_secret_shows_itself_to_nobody():
    with fake_server() as address:
        backend = open_model(parse_spec(spec_of(address)))
    shown = repr([backend.options, backend.info, backend.terms, backend.notes, backend.runtime, backend.origin])
    assert KEY not in shown
    assert "Secret(set)" in shown


def test_a_placeholder_for_a_key_stays_in_the_answers(monkeypatch):
    """Servers without keys are given words like `EMPTY`; replacing these would change what models said."""
    monkeypatch.setenv("CANARY_KEY", "EMPTY")
    with fake_server(hostile="The set is EMPTY.") as address:
        backend = open_model(parse_spec(spec_of(address)))
        request = SampleRequest(prompt=Prompt(id="a", text="x"), draw=0, max_tokens=4, temperature=1.0, seed=0)
        assert backend.sample([request])[0].text == "The set is EMPTY."


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (f"openai:m?base_url=http://user:{KEY}@127.0.0.1:1/v1", "user name or a password"),
        (f"openai:m?base_url=http://{KEY}@127.0.0.1:1/v1", "user name or a password"),
        (f"openai:m?base_url=http://:{KEY}@127.0.0.1:1/v1", "user name or a password"),
        (f"openai:m?base_url=http://user:{KEY}@127.0.0.1:99999/v1", "user name or a password"),
        (f"openai:m?base_url=http%3A%2F%2Fuser%3A{KEY}%40127.0.0.1%2Fv1", "user name or a password"),
        (f"openai:m?base_url=http://127.0.0.1:1/v1?api_key={KEY}", "query"),
        (f"openai:m?base_url=http://127.0.0.1:1/v1%23{KEY}", "fragment"),
        (f"openai:m?base_url={KEY}", "no address"),
        (f"openai:m?base_url=ftp://{KEY}/", "no address"),
        (f"openai:m?api_key={KEY}", "'api_key' is unknown"),
        (f"openai:m?key={KEY}&base_url=http://127.0.0.1:1", "'key' is unknown"),
        (f"openai:m?key_env={KEY}", "no name of an environment variable"),
        (f"openai:?api_key={KEY}", "names no model"),
        (f"no shape at all?api_key={KEY}", "no shape"),
    ],
)
def test_a_key_in_a_spec_is_refused_without_being_repeated(capsys, monkeypatch, spec, words):
    with pytest.raises(SpecError, match=words):
        open_model(parse_spec(spec))
    for command in (("compare", spec, "toy:parrot", "--dry-run"), ("collect", spec, "-o", "x.jsonl")):
        done = run(capsys, monkeypatch, *command)
        assert done.returncode == 2
        assert words in done.stderr
        assert KEY not in done.said


def test_a_key_in_the_address_of_the_environment_is_refused_too(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", f"https://user:{KEY}@api.example/v1")
    with pytest.raises(SpecError, match="user name or a password") as caught:
        open_model(parse_spec("openai:m"))
    assert KEY not in str(caught.value)


def test_strangers_get_no_key_that_was_not_meant_for_them(monkeypatch):
    """``OPENAI_API_KEY`` goes to OpenAI, to this machine and to the host of ``OPENAI_BASE_URL``."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "https://gateway.example/v1")
    hosts = {
        "https://api.openai.com/v1": True,
        "http://127.0.0.1:8000/v1": True,
        "http://localhost:8000/v1": True,
        "https://gateway.example/other": True,
        "https://suspect.example/v1": False,
        "https://api.openai.com.suspect.example/v1": False,
        "http://127.0.0.1.suspect.example/v1": False,
    }
    for url, given in hosts.items():
        options = parse_options(parse_spec(f"openai:m?base_url={url}"))
        assert bool(options.key) is given, url
    named = parse_options(parse_spec("openai:m?base_url=https://suspect.example/v1&key_env=OPENAI_API_KEY"))
    assert named.key


@pytest.mark.parametrize(("status", "kind"), [(301, "port"), (302, "name"), (303, "scheme"), (307, "user"), (308, "short")])
def test_a_redirect_elsewhere_is_refused_and_nothing_is_sent_there(status, kind):
    """Another port or scheme is another server: on a shared machine somebody else may listen there."""
    with fake_server() as elsewhere, fake_server() as address:
        port = elsewhere.rpartition(":")[2]
        own = address.removeprefix("http://")
        target = {
            "port": f"{elsewhere}/v1/models",
            "name": f"http://localhost:{port}/v1/models",
            "scheme": f"https://{own}/v1/models",
            "user": f"http://{own}@127.0.0.1:{port}/v1/models",
            "short": f"//127.0.0.1:{port}/v1/models",
        }[kind]
        httpx.post(address + "/_config", json={"redirect": target, "redirect_status": status})
        with pytest.raises(ModelRefused, match="redirects to another host or port"):
            open_model(parse_spec(spec_of(address)))
        assert httpx.get(elsewhere + "/_count").json()["headers"] == []
        first = httpx.get(address + "/_count").json()["headers"]
        assert [headers["authorization"] for headers in first] == [f"Bearer {KEY}"]


def test_a_redirect_within_the_server_is_followed_and_one_in_a_circle_is_not():
    with fake_server(redirect="/v1/models") as address, pytest.raises(ModelRefused, match="in a circle"):
        open_model(parse_spec(spec_of(address)))


def test_a_redirect_in_the_middle_of_a_run_is_refused_too():
    with fake_server() as elsewhere, fake_server() as address:
        backend = open_model(parse_spec(spec_of(address)))
        httpx.post(address + "/_config", json={"redirect": elsewhere + "/v1"})
        request = SampleRequest(prompt=Prompt(id="a", text="secret words"), draw=0, max_tokens=1, temperature=1.0, seed=0)
        with pytest.raises(ModelRefused, match="another host or port"):
            backend.ask(request)
        assert httpx.get(elsewhere + "/_count").json()["requests"] == 0


def test_a_body_of_fifty_megabytes_is_cut_off():
    with fake_server(huge=50_000_000) as address:
        httpx.post(address + "/_config", json={"huge": 0})
        backend = open_model(parse_spec(spec_of(address)))
        httpx.post(address + "/_config", json={"huge": 50_000_000})
        with pytest.raises(ModelBroken, match="more than 8,388,608 bytes; it was cut off"):
            backend.transport.ask("POST", "/completions", {"prompt": "x"}, lambda reply: reply)


def test_the_limit_of_answers_can_be_raised():
    with fake_server(huge=0) as address:
        backend = open_model(parse_spec(f"openai:tiny?base_url={address}&max_bytes=200000000"))
        httpx.post(address + "/_config", json={"huge": 50_000_000})
        found = backend.transport.ask("POST", "/completions", {"prompt": "x"}, lambda reply: reply)
        assert len(found.value["x"]) == 50_000_000


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("flood", "bytes; it was cut off"),
        ("trickle", "failed 2 times in a row: the answer did not end in time"),
        ("headers", "failed 2 times in a row: the answer did not end in time"),
        ("continue", "failed 2 times in a row: the answer did not end in time"),
    ],
)
def test_an_answer_without_end_has_an_end(capsys, monkeypatch, kind, words):
    """A trickle keeps every wait for the next byte short: only the deadline of the whole request ends it."""
    with fake_server(endless=kind) as address:
        spec = spec_of(address, timeout=0.6, attempts=2)
        with pytest.raises(ModelError, match=words):
            open_model(parse_spec(spec))
        done = run(capsys, monkeypatch, "collect", spec, "-o", "x.jsonl")
    assert done.returncode == 4
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_server_that_starts_to_trickle_costs_a_few_requests_and_nothing_collected(capsys, monkeypatch, world):
    """Half-way through a run every header comes by the byte: the run ends, and goes on when the server is well again."""
    with fake_server(dialect="openai") as address:
        spec = spec_of(address, timeout=0.4, attempts=2, concurrency=1)
        command = ("collect", spec, "-o", "own.jsonl", "--probes", "few.toml", "--max-requests")
        assert run(capsys, monkeypatch, *command, "9").returncode == 4
        backend = open_model(parse_spec(spec))
        httpx.post(address + "/_config", json={"endless": "headers"})
        request = SampleRequest(prompt=Prompt(id="a", text="x"), draw=0, max_tokens=1, temperature=1.0, seed=0)
        with pytest.raises(ModelError, match="did not end in time"):
            backend.ask(request)
        assert backend.transport.faults == {"the answer did not end in time": 2}
        httpx.post(address + "/_config", json={"endless": ""})
        assert backend.ask(request).rows
        assert run(capsys, monkeypatch, *command, "900").returncode == 0
        fresh = ("collect", spec, "-o", "fresh.jsonl", "--probes", "few.toml", "--store", "other")
        assert run(capsys, monkeypatch, *fresh).returncode == 0
    assert (world / "own.jsonl").read_bytes() == (world / "fresh.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("proxy", "words"), [("socks5://127.0.0.1:9", "SOCKS"), ("nonsense://u:{key}@h", "makes no sense")]
)
def test_a_proxy_that_cannot_be_used_is_one_sentence(capsys, monkeypatch, proxy, words):
    """Its address may hold a password and is not repeated."""
    if find_spec("socksio") and "socks" in proxy:
        pytest.skip("socksio is installed")
    monkeypatch.setenv("HTTPS_PROXY", proxy.format(key=KEY))
    done = run(capsys, monkeypatch, "collect", "openai:m?base_url=https://host.invalid/v1&attempts=1", "-o", "x.jsonl")
    assert (done.returncode, done.stderr.count("\n")) == (4, 1), done.stderr
    assert words in done.stderr
    assert KEY not in done.said


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd", "compresses although asked not to"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000 + b"\r\n\r\n", "broke off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + b"[" * 60_000, "not JSON"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + b"1" * 20_000, "not JSON"),
        (b"\x16\x03\x01garbage", "broke off"),
    ],
)
def test_bytes_that_are_no_answer_are_one_sentence(raw, words):
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            with link:
                link.recv(65536)
                link.sendall(raw)

    threading.Thread(target=serve, daemon=True).start()
    try:
        with pytest.raises(ModelError, match=words) as caught:
            open_model(
                parse_spec(f"openai:m?base_url=http://127.0.0.1:{listener.getsockname()[1]}/v1&backoff=0&attempts=2")
            )
    finally:
        listener.close()
    assert "\n" not in str(caught.value)
