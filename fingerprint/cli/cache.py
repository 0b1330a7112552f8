"""``fingerprint cache``: where collected answers lie, how many there are, and how to be rid of them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from fingerprint.cli import common

app = typer.Typer(help="The store of collected answers.", invoke_without_command=True)


@app.callback()
def show(context: typer.Context, store: common.StoreOption = None) -> None:
    """Where the store is and how large."""
    from fingerprint.collection.store import Store, default_root
    from fingerprint.text import safe_text

    if context.invoked_subcommand is None:
        root = store or default_root()
        sys.stdout.write(f"{safe_text(root, limit=1000)}: {Store.size(root).told}\n")


@app.command("clear")
def clear(
    store: common.StoreOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete all collected answers. They cost time or money to collect again."""
    from fingerprint.collection.store import Store, default_root
    from fingerprint.errors import UsageError
    from fingerprint.text import safe_text

    root = store or default_root()
    size = Store.size(root)
    shown = safe_text(root, limit=1000)
    if size.models and not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"{shown} holds {size.told}, and nobody is there to confirm.", hint="Add --yes to delete it.")
        if not typer.confirm(f"Delete {size.told} in {shown}?", err=True):
            sys.stdout.write("Nothing was deleted.\n")
            return
    Store.clear(root)
    sys.stdout.write(f"{shown}: {size.told} deleted\n")
