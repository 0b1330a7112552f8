"""Distillation at real scale: a real base, tuned on another real model's text, and its control, tuned on human text.

Both children start from the same weights and read the same openings; what follows an opening was written by the
teacher for the one and by a novelist for the other, in the same number of bytes. So whatever the student has in common
with the teacher and the control has not came through the teacher's text. Every step is kept in the work folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fingerprint import recording_file
from fingerprint.canonical import digest
from fingerprint.collection.collect import Budget, Collector
from fingerprint.collection.plan import Plan, Settings, make_plan
from fingerprint.collection.store import Store
from fingerprint.errors import UsageError
from fingerprint.evidence.align import Aligned, align
from fingerprint.evidence.crossscores import scorable
from fingerprint.models.base import ScoreRequest
from fingerprint.models.registry import open_model
from fingerprint.models.spec import parse_spec
from fingerprint.probes import Probe, load
from fingerprint.recording import Recording, Sample
from fingerprint.stats.intervals import bootstrap_interval

Floats = NDArray[np.float64]
Say = Callable[[str], None]
#: Small on purpose: a dose that two cores give in a quarter of an hour.
PASSAGES, OPENING_WORDS, WRITTEN_TOKENS = 48, 24, 64
EPOCHS, BATCH, RATE = 1, 4, 1e-4
PROBES = "prefixes,style"
#: Answers from this set are scored, by all and for the authors that a gain is measured on.
SCORED_SET, SCORED_AUTHORS = "style", ("base", "teacher")
TOPK = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """An opening and how its author went on."""

    opening: str
    human: str


def passages(text: str, count: int = PASSAGES) -> list[Passage]:
    """Passages from all over a text, each beginning at a paragraph."""
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    long = [words for part in paragraphs if len(words := part.split(" ")) >= OPENING_WORDS + WRITTEN_TOKENS]
    if len(long) < count:
        raise UsageError(f"The text has {len(long)} paragraphs of enough words; {count} are needed.")
    chosen = [long[place * len(long) // count] for place in range(count)]
    return [
        Passage(opening=" ".join(words[:OPENING_WORDS]), human=" " + " ".join(words[OPENING_WORDS:])) for words in chosen
    ]


def written(teacher: str, openings: Sequence[str], work: Path, say: Say) -> list[str]:
    """How the teacher goes on after each opening, sampled at temperature 1."""
    probes = tuple(
        Probe(id=f"opening-{n:03}", text=text, set="openings", channel="raw", max_tokens=WRITTEN_TOKENS, positions=0)
        for n, text in enumerate(openings)
    )
    recording = _collector(teacher, work, say).recording(Plan(probes=probes, sets=(), settings=Settings()))
    return [sample.text for sample in recording.samples]


def training_texts(found: Sequence[Passage], samples: Sequence[str]) -> tuple[list[str], list[str]]:
    """The student's texts and the control's: the same openings, continuations of the same number of bytes."""
    student = [each.opening + sample for each, sample in zip(found, samples, strict=True)]
    control = [
        each.opening + each.human.encode()[: len(sample.encode())].decode("utf-8", "ignore")
        for each, sample in zip(found, samples, strict=True)
    ]
    return student, control


def tuned(source: str, texts: Sequence[str], target: Path, say: Say) -> None:
    """A full fine-tune of a model on some texts: AdamW, every token a target."""
    import torch
    from safetensors.torch import save_file

    backend: Any = open_model(parse_spec(source))
    model, tokenizer = backend.model, backend.tokenizer
    rows = [torch.tensor(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    model.train()
    for epoch in range(EPOCHS):
        losses = []
        for chosen in torch.randperm(len(rows), generator=generator).split(BATCH):  # type: ignore[no-untyped-call]
            batch = [rows[place] for place in chosen.tolist()]
            ids = torch.nn.utils.rnn.pad_sequence(batch, batch_first=True)
            lengths = torch.tensor([len(row) for row in batch])
            mask = (torch.arange(ids.shape[1])[None] < lengths[:, None]).long()
            loss = model(input_ids=ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100)).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(float(loss.detach()))
        say(f"{target.name}: epoch {epoch + 1} of {EPOCHS}, loss {np.mean(losses):.3f}")
    partial = target.with_name(f".{target.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    # save_pretrained refuses a model that was read from GGUF, though its weights are plain floats by now.
    model.config.__dict__.pop("quantization_config", None)
    model.config.save_pretrained(partial)
    own = {name: tensor.detach().half().contiguous() for name, tensor in model.named_parameters()}
    save_file(own, partial / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save_pretrained(partial)
    partial.rename(target)


def run(base: str, teacher: str, text: str, work: Path, say: Say) -> dict[str, Recording]:
    """Trains what is missing, records all four models, and lets each score the others' answers."""
    found = passages(text)
    samples = written(teacher, [each.opening for each in found], work, say)
    say(f"{len(samples)} texts of the teacher, {sum(len(s.encode()) for s in samples)} bytes")
    student, control = training_texts(found, samples)
    for name, texts in (("student", student), ("control", control)):
        if not (work / name).is_dir():
            tuned(base, texts, work / name, say)
    specs = {"base": base, "student": str(work / "student"), "control": str(work / "control"), "teacher": teacher}
    plan = make_plan(load(PROBES), Settings(topk=TOPK))
    recordings = {}
    for role, spec in specs.items():
        recordings[role] = _collector(spec, work, say).recording(plan)
        say(f"{role}: recorded")
    for role, spec in specs.items():
        recordings[role] = _scored(recordings, role, spec, work, say)
        say(f"{role}: has scored the others' answers")
    return recordings


def _collector(spec: str, work: Path, say: Say) -> Collector:
    def progress(done: int, total: int, what: str) -> None:
        if done == total:
            say(f"{spec.rsplit('/', 1)[-1]}: {what} done")

    backend = open_model(parse_spec(spec))
    return Collector(backend=backend, store=Store(work / "store", backend.info.digest), budget=Budget(), progress=progress)


def _scored(recordings: dict[str, Recording], role: str, spec: str, work: Path, say: Say) -> Recording:
    own = recordings[role]
    prompts = {prompt.key: prompt for prompt in own.prompts}
    requests = [
        ScoreRequest(prompt=prompts[author.prompt_by_id[sample.prompt].key], text=sample.text)
        for author in (recordings[name] for name in SCORED_AUTHORS)
        for sample in scored_samples(author)
    ]
    return replace(own, scores=_collector(spec, work, say).scores(requests))


def scored_samples(author: Recording) -> list[Sample]:
    """The answers of a model that the others score."""
    return [sample for sample in scorable(author) if author.prompt_by_id[sample.prompt].set == SCORED_SET]


def publish(recordings: dict[str, Recording], folder: Path) -> None:
    """Write what may be kept in public: no text that the teacher wrote or that its pupil learned to write from it."""
    folder.mkdir(parents=True, exist_ok=True)
    for role in ("base", "student", "control"):
        own = recordings[role]
        kept = own if role != "student" else replace(own, samples=())
        recording_file.write(kept, folder / f"{role}.jsonl.zst")


def measure(recordings: dict[str, Recording]) -> dict[str, Any]:
    """What the student has of its teacher that the control has not, with 95 % intervals over prompts.

    ``gain``: bits per byte that reading the training text saved on the teacher's answers, student minus control.
    ``shift``: cosine of a child's change of log-probabilities with the direction from the base to the teacher.
    """
    table = align(recordings["student"], recordings["teacher"], [recordings["control"], recordings["base"]])
    result: dict[str, Any] = {"likelihood": _likelihood(recordings)}
    if isinstance(table, Aligned):
        result["shift"] = _shifts(table)
    return result


def _likelihood(recordings: dict[str, Recording]) -> dict[str, Any]:
    scores = {role: _by_text(recordings[role]) for role in ("base", "student", "control")}
    result: dict[str, Any] = {}
    for author in SCORED_AUTHORS:
        own = recordings[author]
        keys = [(own.prompt_by_id[s.prompt].key, digest(s.text)[7:31]) for s in scored_samples(own)]
        bits = {role: np.array([table[key] for key in keys]) for role, table in scores.items()}
        gains = bits["control"] - bits["student"]
        low, high = _interval(gains)
        result[f"text of the {author}"] = {
            "texts": len(keys),
            "bits_per_byte": {role: round(float(values.mean()), 4) for role, values in bits.items()},
            "gain": round(float(gains.mean()), 4),
            "interval": [low, high],
        }
    return result


def _by_text(recording: Recording) -> dict[tuple[str, str], float]:
    return {(recording.prompt_by_id[score.prompt].key, score.text): score.bits_per_byte for score in recording.scores}


def _interval(values: Floats) -> tuple[float, float]:
    low, high = bootstrap_interval(lambda w: float(w @ values / w.sum()), len(values), seed=0)
    return round(low, 4), round(high, 4)


def _shifts(table: Aligned) -> dict[str, Any]:
    student, teacher, control, base = (np.log(row.astype(np.float64) + 1e-4) for row in table.probabilities)
    weights = np.sqrt(table.probabilities.astype(np.float64).mean(axis=0))
    towards = (teacher - base) * weights
    per_prompt = []
    for child in (student, control):
        change = (child - base) * weights
        dots, norms, lengths = ((a * b).sum(axis=1) for a, b in ((change, towards), (change, change), (towards, towards)))
        per_prompt.append([np.bincount(table.prompts, weights=part) for part in (dots, norms, lengths)])

    def cosine(child: int, w: Floats) -> float:
        dot, own, other = (float(w @ part) for part in per_prompt[child])
        return float(dot / max(np.sqrt(own * other), 1e-12))

    even = np.ones(table.prompt_count)
    low, high = bootstrap_interval(lambda w: cosine(0, w) - cosine(1, w), table.prompt_count, seed=0)
    return {
        "student": round(cosine(0, even), 4),
        "control": round(cosine(1, even), 4),
        "difference": round(cosine(0, even) - cosine(1, even), 4),
        "interval": [round(low, 4), round(high, 4)],
        "contexts": len(table.prompts),
    }


def read_published(folder: Path) -> dict[str, Recording]:
    """The recordings that `publish` wrote."""
    return {path.name.removesuffix(".jsonl.zst"): recording_file.read(path) for path in sorted(folder.glob("*.jsonl.zst"))}


def as_json(result: dict[str, Any]) -> str:
    return json.dumps(result, indent=2, sort_keys=True) + "\n"
