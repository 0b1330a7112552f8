"""The program: commands are listed here and live in files of their own."""

from __future__ import annotations

import os
import sys

import typer

from fingerprint.cli.commands import Commands

app = typer.Typer(
    name="fingerprint",
    cls=Commands,
    help="Was model A distilled or otherwise derived from model B? Compare, and get a likelihood ratio with its limits.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def _fingerprint() -> None:
    """Typer makes a group, not a single command, where there is a callback."""


def main() -> None:
    """Entry point: runs the command and turns every outcome into an exit code and at most one line."""
    from fingerprint.errors import FingerprintError
    from fingerprint.text import safe_text

    try:
        app()
    except FingerprintError as error:
        sys.stderr.write(f"fingerprint: {safe_text(error, limit=1000)} ({error.code})\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("fingerprint: interrupted; everything collected is kept, run the same command to go on.\n")
        sys.exit(130)
    except BrokenPipeError:
        # The reader went away; a second failure at interpreter exit would print a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if os.environ.get("FINGERPRINT_DEBUG"):
            raise
        sys.stderr.write(
            f"fingerprint: a bug: {type(error).__name__}: {safe_text(error)}. "
            "Set FINGERPRINT_DEBUG=1 to see where; what was collected is kept.\n"
        )
        sys.exit(5)


if __name__ == "__main__":
    main()
