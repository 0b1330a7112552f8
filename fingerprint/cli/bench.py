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


def _deliver(text: str, output: Path | None) -> None:
    """A table: into its file, if one is named, and to stdout."""
    if output is not None:
        common.write_text(text, output)
    sys.stdout.write(text)


@app.command("zoo")
def zoo(
    folder: ZooArgument,
    output: OutputsOption = None,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", help="Also fit a calibration on the whole zoo and write it here.")
    ] = None,
    date: Annotated[str, typer.Option("--date", help="Date to put into the calibration.")] = "",
    name: Annotated[str, typer.Option("--name", help="Its identifier.", show_default="zoo-DATE")] = "",
    power: Annotated[bool, typer.Option("--power/--no-power", help="Repeat with fewer prompts.")] = True,
) -> None:
    """Error rates on a zoo, whole pedigrees left out; and the calibration that its pairs support."""
    from fingerprint.bench import page, suite
    from fingerprint.bench import zoo as bench

    found = bench.read_zoo(folder)
    scored = bench.score_pairs(found, common.say)
    if calibration is not None:
        fitted = bench.calibrate(found, scored, name=name or f"zoo-{date or 'undated'}", date=date)
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


@app.command("validate")
def validate(
    folder: ZooArgument,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the table as JSON.")] = None,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", help="Another calibration.", show_default="the one that ships")
    ] = None,
) -> None:
    """Whether a calibration holds on models that took no part in it: nothing is fitted."""
    from fingerprint.bench import validation
    from fingerprint.bench.zoo import read_zoo
    from fingerprint.calibration import model

    used = model.shipped() if calibration is None else model.read(calibration)
    table = validation.run(read_zoo(folder, fewest=1), used, common.say)
    text = json.dumps(table, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    _deliver(text, output)


@app.command("same")
def same(
    folder: ZooArgument,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the table as JSON.")] = None,
) -> None:
    """Same model or another one, from sampled answers alone: equal error rates."""
    from fingerprint.bench import same as bench
    from fingerprint.bench.zoo import read_zoo

    text = json.dumps(bench.run(read_zoo(folder, fewest=1), common.say), indent=2) + "\n"
    _deliver(text, output)


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
    _deliver(text, output)


@app.command("tree")
def tree(
    folder: ZooArgument,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the table as JSON.")] = None,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", help="Put the fitted tier into this file (ties.json).")
    ] = None,
    replicates: Annotated[int, typer.Option("--replicates", min=1, help="Bootstrap replicates.")] = 100,
    panels: Annotated[int, typer.Option("--panels", min=1, help="Small panels of each size and pedigree.")] = 3,
) -> None:
    """Do trees show the true pedigrees of a zoo?  Ours beside neighbour joining on the distances of peers."""
    from fingerprint.bench import tree as bench
    from fingerprint.bench.zoo import read_zoo
    from fingerprint.calibration.ties import TOPK, shipped, with_tier

    table, tier = bench.run(read_zoo(folder), shipped(), replicates, common.say, panels=panels)
    text = json.dumps(table, indent=2, ensure_ascii=False) + "\n"
    if output is not None:
        common.write_text(text, output)
    if calibration is not None:
        common.write_text(with_tier(calibration.read_text("utf-8"), TOPK, tier), calibration)
    sys.stdout.write(text)


@app.command("growth")
def growth(
    work: Annotated[Path, typer.Option("--work", help="Folder for synthetic recordings; those that are there are kept.")],
    sizes: Annotated[str, typer.Option("--sizes", help="Numbers of models.")] = "10,30,100,300,1000,3000",
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes.")] = 2,
    recorded: Annotated[
        Path | None, typer.Option("--recorded", help="Recorded assistants: how well sketched scores agree with exact ones.")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", help="Put the tier of sketched scores into this file.")
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option("--task", help="Only this task; other rows of the output file are kept.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the table as JSON.")] = None,
) -> None:
    """Time and memory of matrix, identify and tree for more and more models, with exponents."""
    from fingerprint.bench import scale, scale_tasks, sketched
    from fingerprint.calibration.ties import TEXT, with_tier
    from fingerprint.errors import UsageError

    work.mkdir(parents=True, exist_ok=True)
    counts = [int(size) for size in sizes.split(",") if size.strip()]
    if unknown := set(task or ()) - set(scale_tasks.TASKS):
        raise UsageError(f"There is no task {min(unknown)!r}.", hint=f"Known: {'; '.join(scale_tasks.TASKS)}.")
    # A table that is measured in part keeps its other rows.
    keeps = output is not None and output.is_file() and (task or not counts)
    table = json.loads(output.read_text("utf-8")) if output and keeps else {}
    if counts:
        table |= scale.run(counts, work, workers, common.say, tasks=task or (), earlier=table)
    if recorded is not None:
        table["agreement"], tier = sketched.run(recorded)
        if calibration is not None:
            common.write_text(with_tier(calibration.read_text("utf-8"), TEXT, tier), calibration)
    text = json.dumps(table, indent=2) + "\n"
    _deliver(text, output)


@app.command("recorded")
def recorded(
    folder: Annotated[Path, typer.Argument(help="Folder with assistants.jsonl.zst and lineage.csv.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the table as JSON.")] = None,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", help="Also write the fitted panel calibration to this file.")
    ] = None,
    date: Annotated[str, typer.Option("--date", help="Date to put into the calibration.")] = "",
    growth: Annotated[bool, typer.Option("--growth", help="Also time `matrix` on 28, 56 and 112 models.")] = False,
) -> None:
    """Text only, recorded real models: documented relations against all other pairs."""
    from fingerprint.bench import recorded as bench
    from fingerprint.bench.growth import matrix_growth

    table, fitted = bench.run(folder, date=date)
    if growth:
        table["growth of matrix"] = matrix_growth(folder, common.say)
    text = json.dumps(table, indent=2, ensure_ascii=False) + "\n"
    if output is not None:
        common.write_text(text, output)
    if calibration is not None:
        common.write_text(fitted.model_dump_json(indent=2) + "\n", calibration)
    sys.stdout.write(text)


@app.command("sequential")
def sequential(
    folder: ZooArgument,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the table as JSON.")] = None,
    alpha: Annotated[float, typer.Option("--alpha", min=1e-6, max=0.5, help="Level of the test.")] = 0.01,
) -> None:
    """Probes until `compare --sequential` decides, on pairs of known lineage."""
    from fingerprint.bench import sequential as bench

    text = json.dumps(bench.run(folder, common.say, alpha=alpha), indent=2) + "\n"
    _deliver(text, output)


@app.command("direction")
def direction(
    folder: ZooArgument,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the table as JSON.")] = None,
) -> None:
    """Statistics for who learned from whom, and what confounds them; none is used by a verdict."""
    from fingerprint.bench import direction as bench

    text = json.dumps(bench.run(folder, common.say), indent=2) + "\n"
    _deliver(text, output)


@app.command("speed")
def speed(
    model: Annotated[str, typer.Argument(help="The model to measure with.")] = "zoo:teacher",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the ratios as JSON.")] = None,
) -> None:
    """Speed of collecting, of the statistics and of --help, as ratios in one run."""
    from fingerprint.bench import speed as bench

    text = json.dumps(bench.run(model), indent=2) + "\n"
    _deliver(text, output)


@app.command("throughput")
def throughput(
    model: Annotated[
        str, typer.Argument(help="A served model, openai:…; a small server of our own is started without one.")
    ] = "",
    count: Annotated[int, typer.Option("--count", min=1, help="Requests in each round.")] = 400,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="Requests at a time.")] = 16,
    delay: Annotated[
        list[float] | None,
        typer.Option("--delay", min=0.0, help="Seconds that our own server takes; several are measured in turn. [0.1]"),
    ] = None,
    tokens: Annotated[int, typer.Option("--tokens", min=1, help="Length of each answer.")] = 8,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the ratio as JSON.")] = None,
) -> None:
    """Collecting from a server against a bare load generator that sends the same requests, in alternating rounds."""
    from fingerprint.bench import throughput as bench

    found = {
        f"{each:g} s": bench.run(model, bench.Load(count=count, concurrency=concurrency, delay=each, tokens=tokens))
        for each in delay or [0.1]
    }
    text = json.dumps(found if len(found) > 1 else next(iter(found.values())), indent=2) + "\n"
    _deliver(text, output)


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


@app.command("weights")
def weights(
    work: Annotated[Path, typer.Option("--work", help="Folder for the models that are made, a few hundred MB.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of training texts; without it nothing is trained.")
    ] = None,
    zoo: Annotated[
        Path | None, typer.Option("--zoo", help="Folder of trained models with cards, all pairs of them.")
    ] = None,
    recordings: Annotated[
        Path | None, typer.Option("--recordings", help="Folder of recordings with cards, for the sketches.")
    ] = None,
    twins: Annotated[int, typer.Option("--twins", min=2, help="Tiny twins to train.")] = 10,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the table as JSON.")] = None,
) -> None:
    """Error rates of the weights route: everything that people do to weights, against models that began on their own."""
    from fingerprint.bench import weights as bench

    table = bench.run(work, bench.Inputs(data=data, zoo=zoo, recordings=recordings, twins=twins), common.say)
    text = json.dumps(table, indent=2, ensure_ascii=False) + "\n"
    _deliver(text, output)


@app.command("weights-speed")
def weights_speed(
    work: Annotated[Path, typer.Option("--work", help="Folder for the models that are made, 8 GB.")],
    model: Annotated[
        Path | None, typer.Option("--model", help="A GGUF file of a real model, against a copy of it.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the table as JSON.")] = None,
) -> None:
    """Time, memory and growth of the weights route up to half a billion parameters, and the digest against the disk."""
    from fingerprint.bench import weights_speed as bench

    text = json.dumps(bench.run(work, model, common.say), indent=2) + "\n"
    _deliver(text, output)


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
    _deliver(text, output)
