"""Does a calibration fitted on tiny models hold for real ones? Its text tier on recorded assistants.

The tier knows nothing of assistants, so a ratio that it gives to a pair which nobody documented is as misleading as it
would be in a report, if reports claimed ratios outside the population's range of sizes. They do not; this is why.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fingerprint.bench.recorded_data import read_set
from fingerprint.calibration.model import Calibration
from fingerprint.stats.intervals import clopper_pearson
from fingerprint.stats.textsim import pair_scores


def run(folder: Path, calibration: Calibration) -> dict[str, Any]:
    """Shares of documented and undocumented pairs above log10 LR 0 and 1, as the tier says and within its bounds."""
    data, tier = read_set(folder, "assistants"), calibration.tiers["text"]
    score = pair_scores(data.answers).score
    stated = np.array([tier.log10_lr({"text_z": float(score[pair])}) for pair in data.pairs])
    listed = np.array([bool(relation) for relation in data.relation_of_pairs])
    result: dict[str, Any] = {"models": len(data.models), "calibration": calibration.id, "bounds": list(tier.bounds)}
    for name, chosen in (("documented", listed), ("undocumented", ~listed)):
        values = stated[chosen]
        result[name] = {"pairs": int(values.size), "median_log10_lr": round(float(np.median(values)), 3)}
        for limit in (0, 1):
            for kind, found in (("uncapped", values), ("within_bounds", np.clip(values, *tier.bounds))):
                result[name][f"lr_above_{10**limit}_{kind}"] = _share(int(np.sum(found > limit)), values.size)
    return result


def _share(count: int, total: int) -> dict[str, Any]:
    low, high = clopper_pearson(count, total)
    return {"share": round(count / max(total, 1), 4), "interval": [round(low, 4), round(high, 4)]}
