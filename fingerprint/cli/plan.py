"""What ``--dry-run`` prints: requests, tokens, minutes, money, and which kinds of evidence to expect."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fingerprint.forecast import ModelForecast, Range
    from fingerprint.options import Options


_CASES = (
    "Low, expected, worst: answers of a quarter, half and all of the allowed length; in the worst case, requests one "
    "after the other and prompts of a third more tokens."
)


def print_plan(
    specs: list[str], options: Options, *, price_in: float | None, price_out: float | None, json_out: bool
) -> None:
    """The plan on stdout, for people or as JSON."""
    from fingerprint.forecast import Prices, forecast
    from fingerprint.text import json_text, safe_text

    found = forecast(specs, options, Prices(read=price_in, written=price_out))
    if json_out:
        sys.stdout.write(json_text({"schema_version": "1.0", **asdict(found)}, indent=2))
        return
    lines = [f"{found.probes} probes to each model; answers that are stored already cost nothing.", ""]
    for model in found.models:
        lines += [*_model(model), ""]
    lines.append("Evidence that this pair can give:")
    for item in found.evidence:
        lines.append(
            f"  {'yes' if item.possible else 'no '}  {item.evidence}" + (f": {item.reason}" if item.reason else "")
        )
    lines += [
        "",
        _CASES,
    ]
    sys.stdout.write("\n".join(safe_text(line, limit=1000) for line in lines) + "\n")


def _model(model: ModelForecast) -> list[str]:
    kinds = [
        name for name, there in (("answers", model.text), ("scores", model.scores), ("weights", model.weights)) if there
    ]
    kinds += [f"lists of {model.topk} next tokens"] if model.topk else []
    lines = [
        f"{model.name}: {', '.join(kinds) or 'nothing'}",
        f"  requests  {model.requests:,} to send, {model.stored:,} answered already",
    ]
    if model.remote:
        lines.append(f"  tokens    read {_figures(model.read)}; written {_figures(model.written)}")
        lines.append(f"  minutes   {_figures(model.minutes, digits=1)}")
        lines.append(f"  money     {_figures(model.money, digits=2)}")
    elif model.requests:
        lines.append("  minutes   unknown; no money: it runs on this machine")
    return lines + [f"  note      {note}" for note in model.notes]


def _figures(found: Range | None, digits: int = 0) -> str:
    if found is None:
        return "unknown (give --price-in and --price-out per million tokens)" if digits == 2 else "unknown"
    if digits == 2 and 0 < found.worst < 1:
        digits = 6  # a plan of a few requests is not free
    return " / ".join(f"{value:,.{digits}f}" for value in (found.low, found.expected, found.worst))
