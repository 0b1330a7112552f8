"""How time and memory grow with the number of models: synthetic recordings with a planted pedigree.

Every size runs in a process of its own, so that memory
is that of the size alone; times are wall times with the recordings on disk.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fingerprint.bench.synthetic import PROMPTS, WORDS, synthetic


def measure(what: str, count: int, folder: Path, workers: int) -> dict[str, Any]:
    """Time one task at one size in this process; called in a fresh one by `run`."""
    from fingerprint.bench import scale_tasks

    started = time.monotonic()
    task = scale_tasks.Task(folder=folder, count=count, workers=workers)
    found = scale_tasks.TASKS[what](task)
    seconds = time.monotonic() - started
    # Workers end here, so that what they used is counted.
    task.close()
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    peak = own.ru_maxrss + others.ru_maxrss * (workers if workers > 1 else 0)
    cpu = sum(each.ru_utime + each.ru_stime for each in (own, others))
    return {"seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2), "gib": round(peak / 2**20, 2), **found}


def run(
    sizes: Sequence[int],
    work: Path,
    workers: int,
    say: Callable[[str], None],
    *,
    tasks: Sequence[str] = (),
    earlier: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Tasks (all unless named) at all sizes, and the exponents of a power law fitted from 100 models on.

    ``earlier`` is a table whose other rows are kept, so that one task can be measured again alone.
    """
    from fingerprint.bench import scale_tasks

    known = (earlier or {}).get("tasks", {})
    rows: dict[str, dict[str, Any]] = {what: dict(known.get(what, {})) for what in scale_tasks.TASKS}
    synthetic(max(sizes), work)
    for count in sorted(sizes):
        for what in tasks or scale_tasks.TASKS:
            if count > scale_tasks.LIMITS.get(what, count):
                continue
            command = [sys.executable, "-m", "fingerprint.bench.scale", what, str(count), str(work), str(workers)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own module
            row = json.loads(done.stdout) if done.returncode == 0 else {"failed": done.stderr.strip()[-200:]}
            rows[what][str(count)] = row
            say(f"{what} of {count}: {row}")
    return {"prompts": PROMPTS, "words": WORDS, "workers": workers, "tasks": rows, "exponents": exponents(rows)}


def exponents(rows: dict[str, dict[str, Any]], least: int = 100) -> dict[str, dict[str, float]]:
    """Slope of log time and log memory over log models."""
    found = {}
    for what, sizes in rows.items():
        kept = [(int(count), row) for count, row in sizes.items() if int(count) >= least and "seconds" in row]
        if len(kept) > 1:
            x = np.log([count for count, _ in kept])
            keys = [key for key in ("seconds", "gib", "later suspect") if all(key in row for _, row in kept)]
            columns = {key: np.log([max(row[key], 1e-3) for _, row in kept]) for key in keys}
            found[what] = {key: round(float(np.polyfit(x, column, 1)[0]), 2) for key, column in columns.items()}
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))))
