"""``fingerprint bench``: measure the program on models of known lineage."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fingerprint.cli import common

if TYPE_CHECKING:
    from fingerprint.calibration.model import Calibration

app = typer.Typer(help="Measurements; every number of the README comes from one of these.", no_args_is_help=True)
OutputsOption = Annotated[
    list[Path] | None, typer.Option("-o", "--output", help="Write the table: .json, .md or .html; may be repeated.")
]
ZooArgument = Annotated[Path, typer.Argument(help="Folder of recordings (NAME.jsonl.zst) with cards (NAME.card.json).")]


@app.command("zoo")
def zoo(
    folder: ZooArgument,
    output: OutputsOption = None,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", help="Also fit a calibration on the whole zoo and write it here.")
    ] = None,
    date: Annotated[str, typer.Option("--date", help="Date to put into the calibration.")] = "",
    power: Annotated[bool, typer.Option("--power/--no-power", help="Repeat with fewer prompts.")] = True,
) -> None:
    """Error rates on a zoo, whole pedigrees left out; and the calibration that its pairs support."""
    from fingerprint.bench import page, suite
    from fingerprint.bench import zoo as bench

    found = bench.read_zoo(folder)
    scored = bench.score_pairs(found, common.say)
    if calibration is not None:
        fitted = bench.calibrate(found, scored, name=f"zoo-{date or 'undated'}", date=date)
        common.write_text(_with_panel(fitted, calibration).model_dump_json(indent=2) + "\n", calibration)
    table = suite.measure(found, scored, common.say, with_power=power)
    text = json.dumps(table, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    renderers = {".json": lambda: text, ".md": lambda: page.markdown(table), ".html": lambda: page.html(table)}
    for path in output or []:
        common.write_text(renderers.get(path.suffix, renderers[".json"])(), path)
    sys.stdout.write(page.markdown(table))


def _with_panel(fitted: Calibration, path: Path) -> Calibration:
    """The panel tier is fitted on other recordings (`bench recorded`), so it stays when the zoo's tiers are refitted."""
    if not path.is_file():
        return fitted
    tiers = type(fitted).model_validate_json(path.read_text("utf-8")).tiers
    return fitted.model_copy(update={"tiers": {**fitted.tiers, **{k: v for k, v in tiers.items() if k == "panel"}}})


@app.command("null")
def null(
    folder: ZooArgument,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the table as JSON.")] = None,
    comparisons: Annotated[int, typer.Option("--comparisons", min=1, help="How many at least.")] = 2000,
    seed: common.SeedOption = 0,
) -> None:
    """False accusations: comparisons of models that did not learn from each other, on resampled probes."""
    from fingerprint.bench import null as bench
    from fingerprint.bench.zoo import read_zoo

    text = json.dumps(bench.run(read_zoo(folder), common.say, comparisons=comparisons, seed=seed), indent=2) + "\n"
    if output is not None:
        common.write_text(text, output)
    sys.stdout.write(text)


@app.command("recorded")
def recorded(
    folder: Annotated[Path, typer.Argument(help="Folder with assistants.jsonl.zst and lineage.csv.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the table as JSON.")] = None,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", help="Put the fitted panel tier into this calibration file.")
    ] = None,
) -> None:
    """Text only, recorded real assistants: documented relations against all other pairs."""
    from fingerprint.bench import recorded as bench
    from fingerprint.calibration.model import Calibration

    table, tier = bench.run(folder)
    text = json.dumps(table, indent=2, ensure_ascii=False) + "\n"
    if output is not None:
        common.write_text(text, output)
    if calibration is not None:
        known = Calibration.model_validate_json(calibration.read_text("utf-8"))
        fitted = known.model_copy(update={"tiers": {**known.tiers, "panel": tier}})
        common.write_text(fitted.model_dump_json(indent=2) + "\n", calibration)
    sys.stdout.write(text)


@app.command("speed")
def speed(
    model: Annotated[str, typer.Argument(help="The model to measure with.")] = "zoo:teacher",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the ratios as JSON.")] = None,
) -> None:
    """Speed of collecting, of the statistics and of --help, as ratios in one run."""
    from fingerprint.bench import speed as bench

    text = json.dumps(bench.run(model), indent=2) + "\n"
    if output is not None:
        common.write_text(text, output)
    sys.stdout.write(text)


@app.command("real")
def real(
    model: Annotated[Path, typer.Argument(help="A GGUF file of a real model.")],
    text: Annotated[Path, typer.Option("--text", help="Plain text for the short fine-tune.")],
    work: Annotated[Path, typer.Option("--work", help="Folder for derivatives, answers and recordings.")],
    other: Annotated[Path | None, typer.Option("--other", help="A GGUF file of another real model.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the rows as JSON.")] = None,
) -> None:
    """A real model against its re-quantised copy, a short fine-tune of it, and another model."""
    from fingerprint.bench import real as bench

    rows = bench.run(model, other, text.read_text("utf-8")[:200_000], work, common.say)
    written = json.dumps(rows, indent=2) + "\n"
    if output is not None:
        common.write_text(written, output)
    sys.stdout.write(written)


@app.command("real-scale")
def real_scale(
    base: Annotated[str, typer.Argument(help="Model spec of the base that both children are tuned from.")],
    teacher: Annotated[str, typer.Argument(help="Model spec of another real model, which writes the student's texts.")],
    text: Annotated[Path, typer.Option("--text", help="Prose (.txt or .txt.zst), for openings and for the control.")],
    work: Annotated[Path, typer.Option("--work", help="Folder for the children, answers and recordings.")],
    keep: Annotated[Path | None, typer.Option("--keep", help="Write the recordings that may be public here.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the result as JSON.")] = None,
) -> None:
    """A student of a real model's text and its control, tuned on human text: what of the teacher shows."""
    from fingerprint.bench import realscale as bench
    from fingerprint.zoo.corpus import read_text

    found = bench.run(base, teacher, read_text(text)[:2_000_000], work, common.say)
    if keep is not None:
        bench.publish(found, keep)
    written = bench.as_json(bench.measure(found))
    if output is not None:
        common.write_text(written, output)
    sys.stdout.write(written)


@app.command("transfer")
def transfer(
    folder: Annotated[Path, typer.Argument(help="Folder with assistants.jsonl.zst and lineage.csv.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the table as JSON.")] = None,
) -> None:
    """The shipped text calibration, fitted on tiny models, on recorded real assistants."""
    from fingerprint.bench import transfer as bench
    from fingerprint.calibration.model import shipped

    text = json.dumps(bench.run(folder, shipped()), indent=2) + "\n"
    if output is not None:
        common.write_text(text, output)
    sys.stdout.write(text)
