"""The list of commands. Each lives in a file of its own, imported with nothing heavier than typer."""

from __future__ import annotations

import typer

from fingerprint.cli import (
    bench,
    cache,
    check,
    claims,
    collect,
    compare,
    demo,
    doctor,
    explain,
    identify,
    importing,
    library,
    matrix,
    probes,
    report,
    seal,
    tree,
    verify,
    weights,
    zoo,
)


def register(app: typer.Typer) -> None:
    """Hang every command on the program."""
    app.command("compare")(compare.compare)
    app.command("collect")(collect.collect)
    app.command("claims")(claims.claims)
    app.command("weights")(weights.weights)
    app.command("identify")(identify.identify)
    app.command("import")(importing.import_answers)
    app.command("matrix")(matrix.matrix)
    app.command("tree")(tree.tree)
    app.command("check")(check.check)
    app.command("seal")(seal.seal)
    app.command("verify")(verify.verify)
    app.command("report")(report.report)
    app.command("explain")(explain.explain)
    app.command("schema")(report.schema)
    app.command("demo")(demo.demo)
    app.add_typer(library.app, name="library")
    app.add_typer(probes.app, name="probes")
    app.add_typer(zoo.app, name="zoo")
    app.add_typer(bench.app, name="bench")
    app.add_typer(cache.app, name="cache")
    app.command("doctor")(doctor.doctor)
    app.command("version")(report.version)
