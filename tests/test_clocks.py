"""Clocks that jump, on our side and on the server's, and servers that ask to wait."""

from __future__ import annotations

import random
import time

import httpx
import pytest
from servers import fake_server
from test_faults import collect, plan_of

from fingerprint.collection.budget import Budget
from fingerprint.errors import BudgetSpent, ModelError
from fingerprint.models.http_transport import retry_after
from fingerprint.models.registry import open_model
from fingerprint.models.spec import parse_spec

NOW = "Wed, 25 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("given", "date", "seconds"),
    [
        ("3", "", 3.0),
        ("0.5", "", 0.5),
        ("-3", "", 0.0),
        ("nan", "", 0.0),
        ("Wed, 25 Nov 2026 10:00:07 GMT", NOW, 7.0),
        ("Wed, 25 Nov 2026 09:59:00 GMT", NOW, 0.0),
        ("Wed, 25 Nov 2026 10:00:07 GMT", "", None),  # a date says nothing without the server's own
        ("Wed, 25 Nov 2026 10:00:07 GMT", "yesterday", None),
        ("soon", NOW, None),
        ("", NOW, None),
    ],
)
def test_both_forms_of_retry_after_are_read_against_the_servers_clock(given, date, seconds):
    assert retry_after({"retry-after": given, "date": date}) == seconds


@pytest.mark.parametrize("given", ["4000", "inf"])
def test_a_server_that_asks_to_wait_too_long_ends_the_run_in_a_sentence(given):
    with fake_server(status=429, retry_after=given) as address, pytest.raises(ModelError, match="asks to wait") as caught:
        open_model(parse_spec(f"openai:tiny?base_url={address}&backoff=0"))
    assert "max_wait" in str(caught.value)
    assert caught.value.exit_code == 4


def test_jumps_of_our_clock_change_nothing(monkeypatch, tmp_path):
    """Neither what is recorded, nor how long a run may last: only the monotonic clock is asked."""
    dice, real = random.Random(3), time.time
    plan = plan_of(probes=20, draws=4)
    with fake_server(dialect="openai") as address:
        httpx.get(address + "/_count")
        whole, _ = collect(address, tmp_path / "whole", plan)
        monkeypatch.setattr(time, "time", lambda: real() + dice.choice([-1e9, -3600.0, 0.0, 3600.0, 1e9]))
        jumped, _ = collect(address, tmp_path / "jumped", plan, budget=Budget(minutes=5))
        assert jumped.digest == whole.digest
        with pytest.raises(BudgetSpent):
            collect(address, tmp_path / "late", plan, budget=Budget(minutes=0))
