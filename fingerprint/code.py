"""Which program this is: digests of its own source files, and the libraries that its numbers come from."""

from __future__ import annotations

from functools import cache
from importlib import metadata, resources
from pathlib import Path

from fingerprint.canonical import digest, sha256

#: Rooms and modules that a number of a report depends on.
STATISTICS = ("stats", "evidence", "calibration", "verdict.py", "shipped.py")
_LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch", "transformers")


@cache
def source_digest(parts: tuple[str, ...] = ()) -> str:
    """Digest of the package's Python files by their path inside it: all of them, or those of some rooms."""
    root = Path(str(resources.files("fingerprint")))
    files = sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).parts)
    chosen = [path.relative_to(root) for path in files]
    if parts:
        chosen = [path for path in chosen if path.parts[0] in parts]
    return digest([[path.as_posix(), sha256((root / path).read_bytes())] for path in chosen])


@cache
def library_versions() -> dict[str, str]:
    """Versions of the libraries that compute, as installed; none of them is imported for it."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
