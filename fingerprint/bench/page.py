"""The benchmark for people: a Markdown table for the README, and one HTML page with its plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from fingerprint.bench import plots
from fingerprint.verdict import ACCUSE

Rows = list[list[str]]


def goals(result: Mapping[str, Any]) -> Rows:
    """The goals of this project beside what was reached, whether or not it was."""
    rates, verdicts = result["error_rates"], result["verdicts"]
    rows = [["what", "goal", "reached"]]

    def add(what: str, goal: str, found: str | None) -> None:
        rows.append([what, goal, found if found is not None else "not measured"])

    add("weights, derived: AUC / TPR at 1 % FPR", "1.000 / 1.000", _auc_tpr(rates.get("weights"), "derived"))
    for tier in [name for name in rates if name not in {"weights", "text"} and " " not in name]:
        add(f"{tier}, students by logits against same data", "≥ 0.99 / ≥ 0.95", _against(rates[tier], "by logits"))
        add(f"{tier}, students by text against same data", "≥ 0.95 / ≥ 0.80", _against(rates[tier], "by text"))
        add(f"{tier}, Cllr", "≤ 0.1", _number(rates[tier]["calibration"]["cllr"]))
    if "text" in rates:
        add("text only, students by text against same data", "≥ 0.95 / ≥ 0.60", _against(rates["text"], "by text"))
        add("text only, Cllr", "≤ 0.3", _number(rates["text"]["calibration"]["cllr"]))
    for tier, found in result["attribution"].items():
        add(f"{tier}, the teacher is first among {found['candidates']}", "≥ 0.90", _share(found["top1"]))
        add(f"{tier}, somebody wrong is named", "≤ 0.01", _share(found["accused_wrongly"]))
        absent = found["accused_wrongly_without_teacher"]
        add(f"{tier}, somebody is named though the teacher is absent", "≤ 0.01", _share(absent))
    found = verdicts["weights"]["direction"]
    add("direction: accuracy where decided", "≥ 0.85", _number(found["accuracy"]) if found["decided"] else "never decided")
    add("direction: abstains", "≤ 0.30", _number(found["abstained"]))
    worst = max((_worst(rates[t]) for t in rates if "calibration" in rates[t]), default=(0.0, ""))
    add("P(LR > 10, unrelated), worst stratum of all tiers", "≤ 0.01", f"{worst[0]:.4f} ({worst[1]})")
    return rows


def _auc_tpr(row: Mapping[str, Any] | None, name: str) -> str | None:
    found = row.get(name) if row else None
    if not found:
        return None
    low, high = found["interval"]
    return f"{found['auc']:.3f} / {found['tpr_at_1_percent_fpr']:.2f} [{low:.2f}, {high:.2f}], {found['pairs']} pairs"


def _against(row: Mapping[str, Any], name: str) -> str | None:
    return _auc_tpr(row, f"{name} against same data")


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _share(found: Mapping[str, Any]) -> str:
    low, high = found["interval"]
    return f"{found['share']:.3f} [{low:.2f}, {high:.2f}] of {found['of']}"


def _worst(row: Mapping[str, Any]) -> tuple[float, str]:
    return max((s["lr_above_10"] / s["pairs"], name) for name, s in row["calibration"]["misleading"].items())


def rates_table(result: Mapping[str, Any]) -> Rows:
    """Every tier and baseline: AUC and TPR at 1 % FPR, against all unrelated pairs and against those on the same data."""
    rows = [["score", "derived", "by logits, same data", "by text, same data", "Cllr"]]
    for name, row in result["error_rates"].items():
        cells = [_auc_tpr(row, "derived against same data"), _against(row, "by logits"), _against(row, "by text")]
        cost = row["calibration"]["cllr"] if "calibration" in row else None
        rows.append([name, *(cell or "–" for cell in cells), "–" if cost is None else f"{cost:.3f}"])
    return rows


def confusion_table(table: Mapping[str, Mapping[str, int]]) -> Rows:
    """Truth in rows, verdicts in columns."""
    kinds = list(next(iter(table.values())))
    return [["truth", *kinds], *([truth, *(str(row[kind]) for kind in kinds)] for truth, row in table.items())]


def strata_table(result: Mapping[str, Any]) -> Rows:
    """Misleading evidence per tier and stratum."""
    rows = [["tier", "stratum", "pairs", "LR > 1", "LR > 10", "upper limit of LR > 10"]]
    for tier, row in result["error_rates"].items():
        for stratum, found in row.get("calibration", {}).get("misleading", {}).items():
            high = found["lr_above_10_interval"][1]
            above = (str(found["lr_above_1"]), str(found["lr_above_10"]))
            rows.append([tier, stratum, str(found["pairs"]), *above, f"{high:.3f}"])
    return rows


def markdown(result: Mapping[str, Any]) -> str:
    """Goals, error rates and confusion as Markdown tables."""
    about = ", ".join(f"{result[name]} {name}" for name in ("models", "pedigrees", "lineages", "pairs"))
    parts = [f"{about}; whole pedigrees left out.", _pipes(goals(result)), _pipes(rates_table(result))]
    for access, found in result["verdicts"].items():
        parts += [f"Verdicts with access to {access}:", _pipes(confusion_table(found["confusion"]))]
    return "\n\n".join([*parts, _pipes(strata_table(result))]) + "\n"


def _pipes(rows: Rows) -> str:
    head, *body = rows
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *body])


def html(result: Mapping[str, Any]) -> str:
    """One page, light and dark, that loads nothing."""
    from jinja2 import Environment, PackageLoader

    figures = [
        plot(parts["related"], parts["unrelated"], f"{tier}: {name}")
        for tier, parts in result["tippett"].items()
        for plot, name in ((plots.tippett, "Tippett plot"), (plots.reliability, "calibration"))
    ]
    curves = _power_curves(result.get("power", {}))
    if curves:
        figures.append(plots.lines(curves, "AUC against same-data pairs, by prompts asked", "prompts", "AUC"))
    templates = Environment(loader=PackageLoader("fingerprint.bench"), autoescape=True, trim_blocks=True)
    return templates.get_template("zoo.html").render(
        result=result,
        accuse=f"{10**ACCUSE:.0f}",
        goals=goals(result),
        rates=rates_table(result),
        figures=[Markup(figure) for figure in figures],  # noqa: S704  # drawn here, from numbers and our own words
        confusions={access: confusion_table(found["confusion"]) for access, found in result["verdicts"].items()},
        strata=strata_table(result),
    )


def _power_curves(power: Mapping[str, Any]) -> dict[str, Sequence[tuple[float, float]]]:
    curves: dict[str, list[tuple[float, float]]] = {}
    for count, tiers in power.items():
        for tier, row in tiers.items():
            for kind in ("by logits", "by text"):
                if row and kind in row:
                    curves.setdefault(f"{tier}, {kind}", []).append((float(count), row[kind]["auc"]))
    return dict(curves)
