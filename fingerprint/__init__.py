"""The forensic laboratory for the lineage of language models.

`compare`, `collect`, `check` and `load_report` are the program as a library. They are loaded when they are first used, so
`import fingerprint` costs nothing and never brings torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fingerprint._version import __version__

if TYPE_CHECKING:
    from fingerprint.api import collect, compare
    from fingerprint.errors import FingerprintError
    from fingerprint.gate import Checked, check
    from fingerprint.options import Options
    from fingerprint.recording import Recording
    from fingerprint.report.schema import Report, load_report

__all__ = [
    "Checked",
    "FingerprintError",
    "Options",
    "Recording",
    "Report",
    "__version__",
    "check",
    "collect",
    "compare",
    "load_report",
]

_HOMES = {
    "Checked": "fingerprint.gate",
    "FingerprintError": "fingerprint.errors",
    "Options": "fingerprint.options",
    "Recording": "fingerprint.recording",
    "Report": "fingerprint.report.schema",
    "check": "fingerprint.gate",
    "collect": "fingerprint.api",
    "compare": "fingerprint.api",
    "load_report": "fingerprint.report.schema",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
