"""The benchmark for people: a Markdown table for the README, and one HTML page with its plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import escape

from fingerprint.bench import plots
from fingerprint.verdict import ACCUSE

_STYLE = """
:root { color-scheme: light dark; --ink: light-dark(#1b1b1a, #eceae4); --soft: light-dark(#66635c, #a5a199);
  --related: light-dark(#0b6e4f, #4fc79a); --unrelated: light-dark(#b3261e, #ff8a80); --line: light-dark(#d8d4ca, #45423c); }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: light-dark(#fdfcf9, #191816);
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; display: block; overflow-x: auto; }
td, th { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: right; }
td:first-child, th:first-child { text-align: left; }
figure { display: inline-block; width: min(29rem, 100%); margin: .5rem; }
figcaption { color: var(--soft); font-size: .9rem; }
svg { width: 100%; } svg text { font-size: 11px; fill: var(--soft); }
.axis, .zero { fill: none; stroke: var(--line); } .zero { stroke-dasharray: 4 4; stroke: var(--soft); }
.curve { fill: none; stroke-width: 2; stroke: var(--soft); } .key { text-anchor: end; }
.curve.related, .curve.line0 { stroke: var(--related); } .curve.unrelated, .curve.line1 { stroke: var(--unrelated); }
.curve.line2 { stroke: light-dark(#3558b8, #8fb0ff); } .curve.line3 { stroke: light-dark(#8a5a00, #e0b35c); }
.curve.diagonal { stroke-dasharray: 4 4; stroke: var(--line); }
circle.related, text.related, circle.line0, text.line0 { fill: var(--related); }
text.unrelated, circle.line1, text.line1 { fill: var(--unrelated); }
circle.line2, text.line2 { fill: light-dark(#3558b8, #8fb0ff); } circle.line3, text.line3 { fill: light-dark(#8a5a00, #e0b35c); }
"""
Rows = list[list[str]]


def goals(result: Mapping[str, Any]) -> Rows:
    """The goals of this project beside what was reached, whether or not it was."""
    rates, verdicts = result["error_rates"], result["verdicts"]
    rows = [["what", "goal", "reached"]]

    def add(what: str, goal: str, found: str | None) -> None:
        rows.append([what, goal, found if found is not None else "not measured"])

    add("weights, derived: AUC / TPR at 1 % FPR", "1.000 / 1.000", _auc_tpr(rates.get("weights"), "derived"))
    for tier in [name for name in rates if name not in {"weights", "text"} and not name.startswith("baseline")]:
        add(f"{tier}, students by logits against same data", "≥ 0.99 / ≥ 0.95", _against(rates[tier], "by logits"))
        add(f"{tier}, students by text against same data", "≥ 0.95 / ≥ 0.80", _against(rates[tier], "by text"))
        add(f"{tier}, Cllr", "≤ 0.1", _number(rates[tier]["calibration"]["cllr"]))
    if "text" in rates:
        add("text only, students by text against same data", "≥ 0.95 / ≥ 0.60", _against(rates["text"], "by text"))
        add("text only, Cllr", "≤ 0.3", _number(rates["text"]["calibration"]["cllr"]))
    for tier, found in result["attribution"].items():
        add(f"{tier}, the teacher is first among {found['candidates']}", "≥ 0.90", _share(found["top1"]))
        add(f"{tier}, somebody wrong is named", "≤ 0.01", _share(found["accused_wrongly"]))
        add(f"{tier}, somebody is named though the teacher is absent", "≤ 0.01", _share(found["accused_wrongly_without_teacher"]))
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
    about = f"{result['models']} models, {result['pedigrees']} pedigrees, {result['lineages']} independent lineages, {result['pairs']} pairs"
    parts = [f"{about}; whole pedigrees left out.", _pipes(goals(result)), _pipes(rates_table(result))]
    parts += [f"Verdicts with access to {access}:\n\n{_pipes(confusion_table(found['confusion']))}" for access, found in result["verdicts"].items()]
    return "\n\n".join([*parts, _pipes(strata_table(result))]) + "\n"


def _pipes(rows: Rows) -> str:
    head, *body = rows
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *body])


def html(result: Mapping[str, Any]) -> str:
    """One page, light and dark, that loads nothing."""
    figures = [
        plot(parts["related"], parts["unrelated"], f"{tier}: {name}")
        for tier, parts in result["tippett"].items()
        for plot, name in ((plots.tippett, "Tippett plot"), (plots.reliability, "calibration"))
    ]
    curves = _power_curves(result.get("power", {}))
    if curves:
        figures.append(plots.lines(curves, "AUC against same-data pairs, by prompts asked", "prompts", "AUC"))
    sections = [
        ("Goals and what was reached", _table(goals(result))),
        ("Error rates", _table(rates_table(result))),
        ("Likelihood ratios", "".join(figures)),
        *((f"Verdicts with access to {a}", _table(confusion_table(f["confusion"]))) for a, f in result["verdicts"].items()),
        ("Misleading evidence by stratum", _table(strata_table(result))),
    ]
    body = "".join(f"<h2>{escape(title)}</h2>{content}" for title, content in sections)
    about = (
        f"{result['models']} models of {result['pedigrees']} pedigrees, {result['pairs']} ordered pairs. Every likelihood ratio comes "
        f"from pairs that touch neither pedigree of the pair it is for. An accusation needs {10**ACCUSE:.0f} or more."
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>fingerprint bench zoo</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body><h1>Error rates on models of known lineage</h1><p>{escape(about)}</p>{body}</body></html>\n"
    )


def _power_curves(power: Mapping[str, Any]) -> dict[str, Sequence[tuple[float, float]]]:
    curves: dict[str, list[tuple[float, float]]] = {}
    for count, tiers in power.items():
        for tier, row in tiers.items():
            for kind in ("by logits", "by text"):
                if row and kind in row:
                    curves.setdefault(f"{tier}, {kind}", []).append((float(count), row[kind]["auc"]))
    return dict(curves)


def _table(rows: Rows) -> str:
    head, *body = rows
    lines = [f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr>"]
    lines += [f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in body]
    return f"<table>{''.join(lines)}</table>"
