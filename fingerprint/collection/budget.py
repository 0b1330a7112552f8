"""What a run may still cost. Limits end a run cleanly: what was collected is kept, and the next run goes on."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from fingerprint.errors import BudgetSpent
from fingerprint.models.base import Cost


@dataclass(slots=True, kw_only=True)
class Budget:
    """Requests, tokens and minutes that may still be spent; None is no limit. Minutes count from the making of it."""

    requests: int | None = None
    tokens: int | None = None
    minutes: float | None = None
    _begun: float = field(default_factory=time.monotonic)

    def spend(self, requests: int, tokens: int = 0) -> None:
        """Set aside what a batch may cost at most.

        Raises:
            BudgetSpent: a limit does not allow it.

        """
        if self.requests is not None and requests > self.requests:
            raise _spent("--max-requests")
        if self.tokens is not None and tokens > self.tokens:
            raise _spent("--max-tokens")
        if self.overdue:
            raise _spent("--max-minutes")
        if self.requests is not None:
            self.requests -= requests
        if self.tokens is not None:
            self.tokens -= tokens

    @property
    def overdue(self) -> bool:
        """Whether the time is up."""
        return self.minutes is not None and time.monotonic() - self._begun >= 60 * self.minutes

    def settle(self, aside: Cost, real: Cost) -> None:
        """Take back what an answered request did not need; a server that counts more than was set aside is believed."""
        if self.tokens is not None:
            self.tokens += aside.tokens - real.tokens if real.tokens else 0

    def give_back(self, aside: Cost) -> None:
        """Take back all of a request that was never sent."""
        if self.requests is not None:
            self.requests += aside.requests
        if self.tokens is not None:
            self.tokens += aside.tokens


def _spent(option: str) -> BudgetSpent:
    return BudgetSpent(
        f"The limit of {option} is reached; everything collected is kept.",
        hint="Run the same command with a higher limit to go on from here.",
    )
