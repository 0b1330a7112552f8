"""The exceptions, and what each means to the shell.

    FingerprintError            5  a bug, unless a subclass says otherwise
    ├── UsageError              2  the command, a file or a policy is wrong
    │   ├── SpecError           2  a model spec cannot be read
    │   ├── ProbeError          2  a probe set is unknown or malformed
    │   ├── RecordingError      2  a recording cannot be read or does not fit
    │   ├── LibraryError        2  a reference library is damaged, or a recording does not belong in it
    │   ├── PolicyError         2  a policy cannot be read
    │   └── OutputError         2  a result cannot be written where it was asked
    ├── ModelError              4  a model could not be reached or loaded
    │   ├── ModelRefused        4  a model is not trusted: pickle, remote code
    │   └── ModelBroken         4  a model answers nonsense: NaN, wrong shapes
    └── RunEnded                4  the run ended early; what was collected is kept
        ├── BudgetSpent         4  a --max-… limit was reached
        └── StorageError        4  the disk is full or not writable

Every message is one sentence that says what and why; ``hint`` says what to do, and
``code`` is for searching: `fingerprint explain CODE`.
"""

from __future__ import annotations


class FingerprintError(Exception):
    """Base of all errors that this package raises on purpose."""

    code = "FP-BUG"
    exit_code = 5

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} {self.hint}" if self.hint else message


class UsageError(FingerprintError):
    code = "FP-USAGE"
    exit_code = 2


class SpecError(UsageError):
    code = "FP-SPEC"


class ProbeError(UsageError):
    code = "FP-PROBE"


class RecordingError(UsageError):
    code = "FP-RECORDING"


class LibraryError(UsageError):
    code = "FP-LIBRARY"


class PolicyError(UsageError):
    code = "FP-POLICY"


class OutputError(UsageError):
    code = "FP-OUTPUT"


class ModelError(FingerprintError):
    code = "FP-MODEL"
    exit_code = 4


class ModelRefused(ModelError):
    code = "FP-REFUSED"


class ModelBroken(ModelError):
    code = "FP-BROKEN"


class RunEnded(FingerprintError):
    code = "FP-ENDED"
    exit_code = 4


class BudgetSpent(RunEnded):
    code = "FP-BUDGET"


class StorageError(RunEnded):
    code = "FP-STORAGE"
