"""From a spec to a model behind one server or many."""

from __future__ import annotations

from fingerprint.models.http import HttpModel
from fingerprint.models.http_discover import discover
from fingerprint.models.http_options import parse_options
from fingerprint.models.http_spread import addresses, open_servers
from fingerprint.models.http_transport import Transport
from fingerprint.models.spec import ModelSpec


def open_server(spec: ModelSpec) -> HttpModel:
    """Open ``openai:MODEL?base_url=…``: look what the server offers, before any work. Several addresses: `http_spread`.

    Raises:
        SpecError: an option is wrong.
        ModelError: the server cannot be reached, has no such model, or answers neither chat nor completions.

    """
    if len(urls := addresses(spec)) > 1:
        return open_servers(spec, urls)
    options = parse_options(spec)
    transport = Transport(options)
    info, terms = discover(transport, options)
    return HttpModel(transport, options, info, terms)
