"""Scores from sketches against the exact ones on recorded assistants, and the calibration that lets a tree use them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fingerprint.bench.blocking import missed
from fingerprint.bench.recorded_data import read_set
from fingerprint.calibration.fit import LabelledPair, fit_tier, left_out_log_lrs
from fingerprint.calibration.metrics import auc, cllr, tpr_at
from fingerprint.calibration.model import Tier
from fingerprint.stats.intervals import clopper_pearson
from fingerprint.stats.panelsketch import PanelSketch
from fingerprint.stats.textsim import pair_scores

FEATURE = "sketch_z"
_FOLDS = 5
_SET = "assistants"


def run(folder: Path, *, exact: bool = True) -> tuple[dict[str, Any], Tier]:
    """Error rates of sketched scores on documented relations (families kept apart), agreement with the exact ones."""
    data = read_set(folder, _SET)
    panel = PanelSketch.of(data.answers)
    scores = panel.scores()
    pairs = [(i, j) for i in range(len(data.models)) for j in range(i + 1, len(data.models))]
    related = np.array([bool(data.relations.get(pair)) for pair in pairs])
    values = np.array([scores[pair] for pair in pairs])
    family = _families(len(data.models), [pair for pair, relation in data.relations.items() if relation != "indirect"])
    folds = [str(min(family[i], family[j]) % _FOLDS) for i, j in pairs]
    labelled = [
        LabelledPair(features={FEATURE: float(value)}, related=bool(truth), pedigree=fold)
        for value, truth, fold in zip(values, related, folds, strict=True)
    ]
    held_out = left_out_log_lrs(labelled, (FEATURE,))
    hits, of = tpr_at(values[related], values[~related])
    low, high = clopper_pearson(hits, of)
    table: dict[str, Any] = {
        "models": len(data.models),
        "related_pairs": int(related.sum()),
        "unlisted_pairs": int((~related).sum()),
        "auc": round(auc(values[related], values[~related]), 4),
        "tpr_at_1_percent_fpr": round(hits / of, 4),
        "interval": [round(low, 3), round(high, 3)],
        "cllr": round(cllr(held_out[related], held_out[~related]), 4),
        "unlisted_with_lr_above_10": int((held_out[~related] > np.log(10)).sum()),
    }
    close = [pair for pair in pairs if data.relations.get(pair) not in {None, "", "indirect"}]
    table["missed by a shortlist"] = missed(panel, close, [pair for pair in pairs if not data.relations.get(pair)])
    if exact:
        whole = pair_scores(data.answers).score
        known = np.array([whole[pair] for pair in pairs])
        table["agreement"] = {
            "correlation": round(float(np.corrcoef(known, values)[0, 1]), 4),
            "standard_deviation_of_difference": round(float(np.std(known - values)), 3),
            "auc_exact": round(auc(known[related], known[~related]), 4),
        }
    with_kin = sum(1 for name in set(family) if family.count(name) > 1)
    return table, fit_tier(labelled, (FEATURE,), families=len(set(family)), related_families=with_kin)


def _families(models: int, edges: list[tuple[int, int]]) -> list[int]:
    """Connected components, each numbered by its first model."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows, columns = (np.array([edge[side] for edge in edges]) for side in (0, 1))
    graph = coo_array((np.ones(len(edges)), (rows, columns)), shape=(models, models))
    _, label = connected_components(graph, directed=False)
    first = {int(name): int(np.flatnonzero(label == name)[0]) for name in np.unique(label)}
    return [first[int(name)] for name in label]
