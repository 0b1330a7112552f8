"""Files of other programs, in the shapes that they write: AlpacaEval, lm-evaluation-harness, Inspect, tables, rows."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib

import pytest
import zstandard
from inside import run

from fingerprint import recording_file
from fingerprint.errors import RecordingError
from fingerprint.imports.read import read

QUESTIONS = [
    "What are the names of some famous actors?",
    "How did US states get their names?",
    "Schreib einen Satz über Öl.",
]


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return path


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def asked(recording):
    return {prompt.text: list(recording.answers[prompt.key]) for prompt in recording.prompts}


def test_alpacaeval_outputs(tmp_path):
    rows = [
        {
            "dataset": "helpful_base",
            "instruction": text,
            "output": f"Answer {n}.",
            "generator": "gpt-x",
            "datasplit": "eval",
        }
        for n, text in enumerate(QUESTIONS)
    ]
    found = read(write(tmp_path / "model_outputs.json", rows))
    assert found.model.name == "gpt-x"
    assert asked(found) == {text: [f"Answer {n}."] for n, text in enumerate(QUESTIONS)}
    assert {prompt.channel for prompt in found.prompts} == {"chat"}
    rows[0]["input"] = "Only two."
    assert f"{QUESTIONS[0]}\n\nOnly two." in asked(read(write(tmp_path / "with_input.json", rows)))


def test_alpacaeval_annotations_hold_two_models(tmp_path):
    rows = [
        {"instruction": t, "output_1": "a", "generator_1": "base", "output_2": "b", "generator_2": "new", "preference": 1.7}
        for t in QUESTIONS
    ]
    file = write(tmp_path / "annotations.json", rows)
    with pytest.raises(RecordingError, match=r"several models: base, new\. Choose one"):
        read(file)
    assert set(map(tuple, asked(read(file, model="new")).values())) == {("b",)}
    with pytest.raises(RecordingError, match="no answers of third; it has base, new"):
        read(file, model="third")


def harness_row(n, arguments, resps, **more):
    doc = {"doc_id": n, "doc": {"question": QUESTIONS[n]}, "target": "x", "arguments": arguments, "resps": resps}
    return {**doc, "filtered_resps": resps[:1], "doc_hash": f"h{n}", "prompt_hash": f"p{n}", "acc": 1.0, **more}


GENERATED = lines(
    harness_row(n, {"gen_args_0": {"arg_0": text, "arg_1": {"until": ["\n"]}}}, [[f" a{n}"]], filter=name)
    for n, text in enumerate(QUESTIONS)
    for name in ("strict-match", "flexible-extract")
)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("results/EleutherAI__pythia-160m/samples_gsm8k_2024-05-07T17-23-41.123456.jsonl", "EleutherAI/pythia-160m"),
        ("results/pretrained__EleutherAI__pythia-160m,dtype__float_gsm8k.jsonl", "EleutherAI/pythia-160m"),
        ("results/pretrained__EleutherAI__pythia-160m_gsm8k.jsonl", "EleutherAI/pythia-160m_gsm8k"),
        ("results/mine.jsonl", "mine"),
    ],
)
def test_harness_generation_logs_of_both_naming_styles(tmp_path, path, name):
    """Two filters write two rows for one answer: it is one answer."""
    found = read(write(tmp_path / path, GENERATED))
    assert found.model.name == name
    assert asked(found) == {text: [f" a{n}"] for n, text in enumerate(QUESTIONS)}
    assert {prompt.channel for prompt in found.prompts} == {"raw"}
    assert read(tmp_path / path, model="chosen").model.name == "chosen"


def test_harness_choices_of_both_shapes_are_scores(tmp_path):
    old = [
        harness_row(n, [[text, " yes"], [text, " no"]], [[[-1.5, False]], [[-0.5, True]]])
        for n, text in enumerate(QUESTIONS)
    ]
    new = [
        harness_row(
            n,
            {"gen_args_0": {"arg_0": text, "arg_1": " yes"}, "gen_args_1": {"arg_0": text, "arg_1": " no"}},
            [[["-1.5", "False"]], [["-0.5", "True"]]],
        )
        for n, text in enumerate(QUESTIONS)
    ]
    first, second = (read(write(tmp_path / name, lines(rows))) for name, rows in (("old.jsonl", old), ("new.jsonl", new)))
    assert first.scores == second.scores
    assert [score.logprob for score in first.scores] == [-1.5, -0.5] * 3
    assert {(score.bytes) for score in first.scores} == {3, 4}
    assert first.samples == ()


def test_harness_chat_logs_hold_messages_as_json(tmp_path):
    def row(n, messages, wrapped):
        text = json.dumps(messages)
        return harness_row(n, {"gen_args_0": {"arg_0": [text] if wrapped else text, "arg_1": {}}}, [["yes"]])

    user, system = {"role": "user", "content": QUESTIONS[0]}, {"role": "system", "content": "Be brief."}
    shots = [user, {"role": "assistant", "content": "a"}, {"role": "user", "content": QUESTIONS[2]}]
    rows = [row(0, [user], True), row(1, [system, user], False), row(2, shots, True)]
    found = read(write(tmp_path / "chat.jsonl", lines(rows)))
    one, two, three = found.prompts
    assert (one.text, one.system, one.channel) == (QUESTIONS[0], "", "chat")
    assert (two.text, two.system) == (QUESTIONS[0], "Be brief.")
    assert three.text == json.dumps(shots)  # examples in earlier turns belong to the question


def inspect_sample(n, epoch=1):
    answer = {"role": "assistant", "content": [{"type": "text", "text": f"A{n}"}], "source": "generate"}
    top = [{"token": "A", "logprob": -0.1, "bytes": [65]}, {"token": "B", "logprob": -3.0, "bytes": [66]}]
    content = [{"token": "A", "logprob": -0.1, "bytes": [65], "top_logprobs": top}]
    choice = {"message": answer, "stop_reason": "stop", "logprobs": {"content": content}}
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": QUESTIONS[n]}, answer]
    return {
        "id": n + 1,
        "epoch": epoch,
        "input": "the dataset's own words",
        "target": "x",
        "messages": messages,
        "output": {"model": "model-2024", "choices": [choice], "usage": {"input_tokens": 9}},
        "scores": {"match": {"value": "C"}},
    }


HEADER = {
    "version": 2,
    "status": "success",
    "eval": {"task": "t", "model": "openai/model", "model_generate_config": {"temperature": 0.7, "seed": 3}},
    "plan": {"name": "plan", "config": {"top_k": 40}},
}


def archive(path, *, method=zipfile.ZIP_DEFLATED, header=True, samples=None):
    """As Inspect lays it out: a header, a file for each sample and epoch, summaries, a journal."""
    parts = {f"samples/{n + 1}_epoch_{e}.json": inspect_sample(n, e) for n in range(3) for e in (1, 2)}
    parts = samples if samples is not None else parts
    start = {"_journal/start.json": {**HEADER, "status": "started"}, "summaries.json": [], "reductions.json": []}
    every = {**start, **parts, **({"header.json": HEADER} if header else {})}
    with zipfile.ZipFile(path, "w", method) as file:
        for name, value in every.items():
            file.writestr(name, value if isinstance(value, str | bytes) else json.dumps(value))
    return path


def zstd_archive(path):
    """The same with zstd (method 93), which Python's zipfile cannot write: packed parts under a stored entry's headers."""
    plain = archive(path.with_suffix(".zip"), method=zipfile.ZIP_STORED)
    raw, where = io.BytesIO(), []
    with zipfile.ZipFile(plain) as source:
        for part in source.infolist():
            data, name = source.read(part), part.filename.encode()
            packed = zstandard.compress(data)
            sizes = struct.pack("<III", zlib.crc32(data), len(packed), len(data))
            where.append((raw.tell(), name, sizes))
            raw.write(struct.pack("<4sHHHHH", b"PK\x03\x04", 63, 0, 93, 0, 33) + sizes + struct.pack("<HH", len(name), 0))
            raw.write(name + packed)
    start = raw.tell()
    for offset, name, sizes in where:
        raw.write(struct.pack("<4sHHHHHH", b"PK\x01\x02", 63, 63, 0, 93, 0, 33) + sizes)
        raw.write(struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, offset) + name)
    raw.write(struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, len(where), len(where), raw.tell() - start, start, 0))
    path.write_bytes(raw.getvalue())
    return path


@pytest.mark.parametrize("kind", ["eval", "zstd", "unfinished", "json"])
def test_inspect_logs(tmp_path, kind):
    if kind == "json":
        samples = [inspect_sample(n, e) for n in range(3) for e in (1, 2)]
        file = write(tmp_path / "log.json", {**HEADER, "samples": samples})
    elif kind == "zstd":
        file = zstd_archive(tmp_path / "log.eval")
    else:
        file = archive(tmp_path / "log.eval", header=kind == "eval")
    found = read(file)
    assert found.model.name == "model-2024"
    protocol = found.protocol
    assert (protocol.temperature, protocol.top_k, protocol.seed, protocol.runtime) == (0.7, 40, 3, "inspect")
    assert asked(found) == {text: [f"A{n}", f"A{n}"] for n, text in enumerate(QUESTIONS)}
    assert {prompt.system for prompt in found.prompts} == {"Be kind."}
    assert {sample.finish for sample in found.samples} == {"stop"}
    assert len(found.distributions) == 3
    row = found.distributions[0]
    assert (row.tokens, row.logprobs, row.at) == (("A", "B"), (-0.1, -3.0), len(QUESTIONS[0]))


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_tables(tmp_path, ending):
    comma = {"csv": ",", "tsv": "\t"}[ending]
    rows = [
        ["question", "model_id", "response"],
        *([f'"{t}, or\n""so""?"', "them", f"r{n}"] for n, t in enumerate(QUESTIONS)),
    ]
    text = "\ufeff" + "\n".join(comma.join(row) for row in rows) + "\n"
    found = read(write(tmp_path / f"answers.{ending}", text))
    assert found.model.name == "them"
    assert asked(found) == {f'{t}, or\n"so"?': [f"r{n}"] for n, t in enumerate(QUESTIONS)}
    named = write(tmp_path / f"other.{ending}", comma.join(["q", "a"]) + "\n" + comma.join(["why", "so"]) + "\n")
    with pytest.raises(RecordingError, match=r"has no prompt: its fields are q, a\..*--prompt-field"):
        read(named)
    assert asked(read(named, fields={"prompt": "q", "answer": "a"})) == {"why": ["so"]}


def test_rows_and_conversations(tmp_path):
    rows = [{"instruction": t, "response": f"r{n}", "model": "m"} for n, t in enumerate(QUESTIONS)]
    assert asked(read(write(tmp_path / "rows.jsonl", lines(rows)))) == {t: [f"r{n}"] for n, t in enumerate(QUESTIONS)}
    talk = [
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": text},
                {"role": "assistant", "content": f"r{n}"},
            ]
        }
        for n, text in enumerate(QUESTIONS)
    ]
    found = read(write(tmp_path / "talk.jsonl", lines(talk)))
    assert asked(found) == {t: [f"r{n}"] for n, t in enumerate(QUESTIONS)}
    assert {prompt.system for prompt in found.prompts} == {"Be brief."}
    packed = tmp_path / "talk.jsonl.zst"
    packed.write_bytes(zstandard.compress(lines(rows).encode()))
    assert len(read(packed).samples) == 3


def test_an_import_is_the_same_recording_as_the_file(capsys, monkeypatch, tmp_path):
    """Through the command, and at once as rec:, with a live model that is asked the same prompts."""
    monkeypatch.chdir(tmp_path)
    archive(tmp_path / "log.eval")
    done = run(capsys, monkeypatch, "import", "log.eval", "-o", "log.jsonl.zst")
    assert done.returncode == 0, done.stderr
    assert "3 prompts, 6 answers, 3 distributions" in done.stderr
    assert recording_file.read(tmp_path / "log.jsonl.zst").digest == read(tmp_path / "log.eval").digest
    direct = run(capsys, monkeypatch, "compare", "rec:log.eval", "toy:parrot", "--json")
    again = run(capsys, monkeypatch, "compare", "rec:log.jsonl.zst", "toy:parrot", "--json")
    assert direct.returncode == again.returncode == 0, direct.stderr + again.stderr
    assert json.loads(direct.stdout)["result"] == json.loads(again.stdout)["result"]


def bomb(path):
    return archive(path, samples={"samples/1_epoch_1.json": b" " * ((1 << 26) + 10)})


BAD = {
    "empty.json": ("", "is not valid JSON"),
    "number.json": ("7", "neither a list of answers nor a log"),
    "nested.json": ("[" * 100_000, "is not valid JSON"),
    "strings.json": ('["a"]', "neither a list of answers nor a log"),
    "nothing.json": ("[]", "holds no answers"),
    "fields.json": ('[{"a": 1}]', "has no prompt: its fields are a"),
    "noanswer.json": ('[{"instruction": "x"}]', "has no answer"),
    "failed.json": (json.dumps({**HEADER, "samples": [{"id": 1, "input": "x", "error": "e"}]}), "holds no answers"),
    "strange.json": (
        json.dumps(
            {**HEADER, "samples": [{"input": "x", "output": {"choices": [{"message": {}, "logprobs": {"content": [3]}}]}}]}
        ),
        "something unexpected",
    ),
    "text.eval": ("no archive", "cannot be read"),
    "header.csv": ("question,answer\n", "holds no answers"),
    "none.csv": ("", "holds no answers"),
    "lines.jsonl": ("{broken\n", "is not JSON"),
    "array.jsonl": ("[1]\n", "is not a JSON object"),
    "log.jsonl": (lines([harness_row(0, [], [])]), "holds no answers"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_sentence(capsys, monkeypatch, tmp_path, name):
    monkeypatch.chdir(tmp_path)
    text, words = BAD[name]
    (tmp_path / name).write_text(text)
    done = run(capsys, monkeypatch, "import", name, "-o", "out.jsonl")
    assert done.returncode == 2
    assert words in done.stderr
    assert name in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out.jsonl").exists()


def test_a_bad_archive_is_one_sentence(tmp_path):
    whole = archive(tmp_path / "whole.eval").read_bytes()
    cases = {
        "cut": (whole[: len(whole) // 2], "cannot be read"),
        "headless": (archive(tmp_path / "h.zip", header=False, samples={}).read_bytes(), "holds no answers"),
        "junk": (archive(tmp_path / "j.zip", samples={"samples/1_epoch_1.json": "{"}).read_bytes(), "is not JSON"),
        "bomb": (bomb(tmp_path / "b.zip").read_bytes(), "larger than 64 MB"),
    }
    for name, (data, words) in cases.items():
        (tmp_path / f"{name}.eval").write_bytes(data)
        with pytest.raises(RecordingError, match=words) as caught:
            read(tmp_path / f"{name}.eval")
        assert "\n" not in str(caught.value)
    with zipfile.ZipFile(tmp_path / "other.eval", "w") as file:
        file.writestr("samples/1_epoch_1.json", "{}")
    with pytest.raises(RecordingError, match="it has no header"):
        read(tmp_path / "other.eval")
    with pytest.raises(RecordingError, match="cannot be read"):
        read(tmp_path / "missing.csv")
