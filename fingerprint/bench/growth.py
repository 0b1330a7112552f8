"""How time and memory of ``fingerprint matrix`` grow with the number of models: each size in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fingerprint.bench.recorded_data import Recorded, read_set

SIZES = (28, 56, 112)
# The child tells its own peak, VmHWM: the figure of getrusage lives on from the process that started it.
_CHILD = """
import json, resource, sys, time
from pathlib import Path
from fingerprint import api
start = time.monotonic()
names, rows = api.matrix(Path(sys.argv[1]))
usage = resource.getrusage(resource.RUSAGE_SELF)
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({
    "seconds": round(time.monotonic() - start, 1),
    "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
    "peak_megabytes": int(peak) // 1024,
    "pairs": len(rows),
}))
"""


def matrix_growth(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Seconds and peak memory of all pairs of the first 28, 56 and 112 recorded assistants, reading included."""
    data = read_set(folder, "assistants")
    found = {}
    for size in SIZES:
        with tempfile.TemporaryDirectory() as place:
            write_minimal(data, size, Path(place))
            command = [sys.executable, "-c", _CHILD, place]
            done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603  # our own interpreter
        found[str(size)] = json.loads(done.stdout)
        say(f"{size} models: {found[str(size)]}")
    return found


def write_minimal(data: Recorded, size: int, place: Path) -> None:
    """The first models of a set as a folder of minimal recordings, one file a model."""
    for row, model in enumerate(data.models[:size]):
        with (place / f"{row:03}.jsonl").open("w", encoding="utf-8") as file:
            for prompt, answer in zip(data.prompts, data.answers[row], strict=True):
                if answer is not None:
                    file.write(json.dumps({"model": model, "prompt": prompt, "output": answer}) + "\n")
