"""`python -m fingerprint.zoo RECIPE --data DIR --out DIR`: build a zoo."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from fingerprint.zoo.build import BuildError, build_zoo
from fingerprint.zoo.recipe import RecipeError, load_recipe


def main() -> int:
    """Exit 0 when every model is finished, 2 for a faulty recipe or folder, 1 when a model failed."""
    parser = argparse.ArgumentParser(prog="python -m fingerprint.zoo", description="Train models of known lineage.")
    parser.add_argument("recipe", help="name of a shipped recipe, or path of a TOML file")
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpora")
    parser.add_argument("--out", type=Path, required=True, help="folder for the models; finished ones are kept")
    parser.add_argument("--workers", type=int, default=2, help="models trained at a time (default: 2)")
    args = parser.parse_args()
    started = time.monotonic()

    def say(line: str) -> None:
        sys.stderr.write(f"[{time.monotonic() - started:6.0f} s] {line}\n")
        sys.stderr.flush()

    try:
        build_zoo(load_recipe(args.recipe), args.data, args.out, args.workers, say)
    except RecipeError as error:
        say(f"error: {error}")
        return 2
    except BuildError as error:
        say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
