"""Real weights: a model against a re-quantised copy of itself, a short fine-tune of itself, and another real model.

The derivatives are made here from a GGUF file, so that the truth is known.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fingerprint import api
from fingerprint.errors import ModelError

#: A quarter of the probes: enough for a verdict from weights, in minutes on two cores.
_PROBES = "prefixes,creative-openings,style"
_STEPS, _BATCH, _CONTEXT, _RATE = 24, 4, 96, 2e-5


def requantised(source: Path, target: Path) -> None:
    """Write a Q8_0 copy of a GGUF file: every matrix dequantised and rounded anew, everything else copied."""
    from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, dequantize, quantize

    reader = GGUFReader(source)
    architecture = reader.get_field("general.architecture")
    if architecture is None:
        raise ModelError(f"{source.name} names no architecture.")
    writer = GGUFWriter(target, architecture.contents())
    for field in reader.fields.values():
        if field.name == "general.architecture" or field.name.startswith("GGUF."):
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=inner)
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type)
        wide = values.ndim > 1 and values.shape[-1] % 32 == 0
        packed = quantize(values, GGMLQuantizationType.Q8_0) if wide else values.astype(np.float32)
        writer.add_tensor(tensor.name, packed, raw_dtype=GGMLQuantizationType.Q8_0 if wide else None)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def fine_tuned(source: str, text: str, target: Path) -> None:
    """A short full fine-tune of a model on a text, saved as a checkpoint: AdamW, 24 steps of 4 × 96 tokens."""
    import torch
    from safetensors.torch import save_file

    from fingerprint.models.registry import open_model
    from fingerprint.models.spec import parse_spec

    backend: Any = open_model(parse_spec(source))
    model, tokenizer = backend.model, backend.tokenizer
    torch.manual_seed(0)
    ids = torch.tensor(tokenizer(text, add_special_tokens=False)["input_ids"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE)
    model.train()
    for _ in range(_STEPS):
        starts = torch.randint(len(ids) - _CONTEXT, (_BATCH,))
        batch = torch.stack([ids[start : start + _CONTEXT] for start in starts.tolist()])
        model(input_ids=batch, labels=batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    # save_pretrained refuses a model that was read from GGUF, though its weights are plain floats by now.
    model.config.__dict__.pop("quantization_config", None)
    model.config.save_pretrained(target)
    own = {name: tensor.detach().contiguous() for name, tensor in model.named_parameters()}
    save_file(own, target / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save_pretrained(target)


def run(source: Path, other: Path | None, text: str, work: Path, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Compare a real model with its derivatives and with another model; each with the time that it took."""
    work.mkdir(parents=True, exist_ok=True)
    copy, tuned = work / f"{source.stem}-Q8_0.gguf", work / "fine-tuned"
    if not copy.exists():
        requantised(source, copy)
    if not (tuned / "config.json").exists():
        fine_tuned(f"gguf:{source}", text, tuned)
    rows = []
    options = api.Options(store=work / "store", probes=_PROBES)
    for suspect in [f"gguf:{copy}", str(tuned), *([f"gguf:{other}"] if other else [])]:
        started = time.monotonic()
        report = api.compare(suspect, f"gguf:{source}", options=options, save_to=work / "recordings")
        result = report.result
        row = {
            "suspect": result.suspect.name,
            "reference": result.reference.name,
            "verdict": result.verdict.kind,
            "log10_lr": result.log10_lr,
            "seconds": round(time.monotonic() - started),
            "evidence": {item.method: item.effect for item in result.evidence},
        }
        say(f"{row['suspect']}: {row['verdict']} in {row['seconds']} s")
        rows.append(row)
    return rows
