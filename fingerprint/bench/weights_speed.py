"""Time, memory and growth of the weights route, each in a process of its own; the digest against the disk in one run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fingerprint.models.identity import file_digest

#: The shape of the common half-billion models: hidden, feed-forward, vocabulary, heads, key heads, layers in full.
_HIDDEN, _FFN, _VOCAB, _HEADS, _KV, _LAYERS = 896, 4864, 151_936, 14, 2, 24
_BLOCK = 1 << 22
_PROGRAM = """
import json, resource, sys, time
from fingerprint import lineage
start = time.monotonic()
result = lineage.compare_weights(sys.argv[1], sys.argv[2]).result
used = resource.getrusage(resource.RUSAGE_SELF)
# Not ru_maxrss, which a process inherits from the one that started it.
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"seconds": round(time.monotonic() - start, 1), "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
                  "verdict": result.verdict.kind, "peak_mb": round(peak / 1024)}))
"""


def synthetic(folder: Path, layers: int, seed: int, *, parent: int | None = None, shuffle: bool = False) -> Path:
    """A bfloat16 checkpoint of random numbers in that shape; with ``parent`` a noisy child, neurons shuffled or not."""
    import torch
    from safetensors.torch import save_file

    if (folder / "config.json").is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    own = np.random.default_rng(seed)
    tensors: dict[str, Any] = {}
    for number, (name, shape) in enumerate(_shapes(layers).items()):
        rng = np.random.default_rng([parent if parent is not None else seed, number])
        values = rng.standard_normal(shape, dtype=np.float32) * np.float32(0.02)
        if parent is not None:
            values += own.standard_normal(shape, dtype=np.float32) * np.float32(0.004)
        if shuffle and "mlp" in name:
            order = np.random.default_rng([seed, int(name.split(".")[2])]).permutation(_FFN)
            values = np.ascontiguousarray(values[:, order] if "down" in name else values[order])
        tensors[name] = torch.from_numpy(values).to(torch.bfloat16)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = {"model_type": "qwen2", "hidden_size": _HIDDEN, "num_attention_heads": _HEADS, "num_key_value_heads": _KV}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return folder


def _shapes(layers: int) -> dict[str, tuple[int, int]]:
    keys = _HIDDEN // _HEADS * _KV
    found = {"model.embed_tokens.weight": (_VOCAB, _HIDDEN)}
    for layer in range(layers):
        stem = f"model.layers.{layer}"
        found |= {
            f"{stem}.self_attn.q_proj.weight": (_HIDDEN, _HIDDEN),
            f"{stem}.self_attn.k_proj.weight": (keys, _HIDDEN),
            f"{stem}.self_attn.v_proj.weight": (keys, _HIDDEN),
            f"{stem}.self_attn.o_proj.weight": (_HIDDEN, _HIDDEN),
            f"{stem}.mlp.gate_proj.weight": (_FFN, _HIDDEN),
            f"{stem}.mlp.up_proj.weight": (_FFN, _HIDDEN),
            f"{stem}.mlp.down_proj.weight": (_HIDDEN, _FFN),
        }
    return found


def timed(first: str, second: str) -> dict[str, Any]:
    """One comparison in a fresh process: seconds, verdict, peak memory."""
    command = [sys.executable, "-c", _PROGRAM, first, second]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  # our own program
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def digest_against_disk(path: Path, rounds: int = 7) -> dict[str, float]:
    """Bytes a second of reading a file and of digesting it, both with the file's pages dropped first; best of rounds."""
    size = path.stat().st_size
    read, digested = [], []
    for _ in range(rounds):
        read.append(_clocked(path, _read))
        digested.append(_clocked(path, file_digest))
    return {
        "read_gb_per_s": round(size / min(read) / 1e9, 2),
        "digest_gb_per_s": round(size / min(digested) / 1e9, 2),
        "share_of_bound": round(min(read) / min(digested), 2),
    }


def _clocked(path: Path, work: Callable[[Path], object]) -> float:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    start = time.monotonic()
    work(path)
    return time.monotonic() - start


def _read(path: Path) -> None:
    buffer = bytearray(_BLOCK)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def run(work: Path, real: Path | None, say: Callable[[str], None]) -> dict[str, Any]:
    """Independent, derived and shuffled pairs at three sizes, a real model against a copy, and the digest."""
    rows: list[dict[str, Any]] = []
    for layers in (_LAYERS // 4, _LAYERS // 2, _LAYERS):
        parent = synthetic(work / f"parent-{layers}", layers, 1)
        others = {
            "independent": synthetic(work / f"stranger-{layers}", layers, 2),
            "derived": synthetic(work / f"child-{layers}", layers, 3, parent=1),
            "shuffled": synthetic(work / f"shuffled-{layers}", layers, 4, parent=1, shuffle=True),
        }
        size = (parent / "model.safetensors").stat().st_size
        for name, other in others.items():
            row = {"pair": name, "layers": layers, "parameters": size // 2, "gb_a_side": round(size / 1e9, 2)}
            rows.append(row | timed(str(other), str(parent)))
            rows[-1]["seconds_per_gb"] = round(rows[-1]["seconds"] / (2 * size / 1e9), 1)
            say(json.dumps(rows[-1]))
    table: dict[str, Any] = {"pairs": rows, "digest": digest_against_disk(work / f"parent-{_LAYERS}" / "model.safetensors")}
    if real is not None:
        from fingerprint.bench.real import requantised

        copy = work / f"{real.stem}-Q8_0.gguf"
        if not copy.exists():
            requantised(real, copy)
        table["real"] = {"model": real.name, "gb": round(real.stat().st_size / 1e9, 2)} | timed(str(copy), str(real))
    return table
