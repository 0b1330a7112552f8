"""``fingerprint zoo``: models of known lineage, shipped or trained here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fingerprint.cli import common

app = typer.Typer(help="Models of known lineage.", no_args_is_help=True)


@app.command("list")
def list_models() -> None:
    """The models that ship with the package, and how each came to be."""
    from fingerprint.shipped import cards

    for name, card in cards().items():
        parents = f" from {', '.join(card['parents'])}" if card["parents"] else ""
        sys.stdout.write(
            f"zoo:{name:<15} {card['mechanism']}{parents}; {card['parameters']:,} parameters, read "
            f"{', '.join(card['corpora'])}, {card['held_out_bits_per_byte']} bits per byte held out\n"
        )


@app.command("build")
def build(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe (standard, small, shipped) or the path of a TOML file.")],
    data: Annotated[Path, typer.Option("--data", help="Folder of the corpora that the recipe names.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the models; finished ones are kept.")],
    workers: Annotated[int, typer.Option("--workers", min=1, help="Models trained at a time.")] = 2,
    engine: common.EngineOption = "processes",
    ray_address: common.RayAddressOption = "",
) -> None:
    """Train the models of a recipe. Run again to go on after an interruption."""
    from fingerprint.collection.execution import engine as named
    from fingerprint.errors import ModelError, UsageError
    from fingerprint.zoo.build import BuildError, build_zoo
    from fingerprint.zoo.recipe import RecipeError, load_recipe

    try:
        shards = named(engine, address=ray_address) if engine == "ray" else None
        build_zoo(load_recipe(recipe), data, out, 1 if engine == "here" else workers, common.say, shards)
    except RecipeError as error:
        raise UsageError(str(error)) from error
    except BuildError as error:
        raise ModelError(str(error)) from error


@app.command("record")
def record(
    models: Annotated[Path, typer.Argument(help="Folder of trained models, as `zoo build` writes it.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for recordings and cards; what is there is kept.")],
    probes: common.ProbesOption = "all",
    seed: common.SeedOption = 0,
) -> None:
    """Let the models of a zoo answer the probes, then score each other's answers. Run again to go on."""
    from fingerprint.zoo.record import record_zoo

    written = record_zoo(models, out, probes=probes, seed=seed, say=common.say)
    sys.stdout.write(f"{written} recordings written to {out}\n")
