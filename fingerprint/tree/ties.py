"""Ties by behaviour: for all pairs of a panel a log10 likelihood ratio, and how it moves when probes are drawn again.

Where models give next-token distributions, the tie of two of them is the correlation of what sets them apart from the
panel: their log-probabilities less the mean over its lineages, models that share weights counting as one. Its null hardly
depends on how large the panel is, which that of a partial correlation does: there all others share in explaining a pair
away. Where they give text, it is the panel score of `matrix`, from sketches of the answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fingerprint.calibration.model import Calibration, Tier
from fingerprint.calibration.ties import TEXT, TOPK
from fingerprint.evidence.align import Aligned, align
from fingerprint.evidence.base import MIN_PROMPTS, Skipped
from fingerprint.evidence.text import usable_answers
from fingerprint.recording import Recording
from fingerprint.stats import residual, sketches
from fingerprint.stats.panelsketch import PanelSketch
from fingerprint.verdict import ACCUSE, SMALLEST_PANEL, TEXT_TIE, TOPK_TIE

Floats = NDArray[np.float64]
FEATURE = "deviation"
_LARGEST = 0.999999
_WEAK = ACCUSE - 0.01
_SIZES = "they are of other sizes than the models that ties were calibrated on, or of unknown size"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ties:
    """``uncapped`` and ``capped`` (models, models): log10 likelihood ratios of a tie, 0 where nothing is known.

    ``replicates`` (draws, pairs) holds ``uncapped`` again with the probes drawn anew, pairs in the order of
    `numpy.triu_indices`; ``notes`` says what the ties rest on and what was left out.
    """

    uncapped: Floats
    capped: Floats
    replicates: NDArray[np.float32]
    notes: tuple[str, ...]

    def replicate(self, draw: int) -> Floats:
        """One replicate as a symmetric matrix."""
        return square(self.replicates[draw], len(self.uncapped))


def square(pairs: NDArray[np.float32] | Floats, models: int) -> Floats:
    """A symmetric matrix from its upper triangle."""
    found = np.zeros((models, models))
    rows, columns = np.triu_indices(models, 1)
    found[rows, columns] = found[columns, rows] = pairs
    return found


def behaviour_ties(
    recordings: Sequence[Recording], lineages: Sequence[Sequence[int]], calibration: Calibration, *, draws: int, seed: int
) -> Ties:
    """Ties of all pairs, by distributions where both sides give them and by text elsewhere.

    Args:
        recordings: the panel.
        lineages: places of models that share weights; only ties between lineages are told by behaviour.
        calibration: its tiers ``panel_topk`` and ``panel`` turn scores into likelihood ratios.
        draws: bootstrap replicates over probes.
        seed: of the bootstrap.

    """
    rng = np.random.default_rng(seed)
    top, used, notes = _top_ties(recordings, lineages, calibration, draws, rng)
    if top is not None and len(used) == len(recordings):
        return top
    text = _text_ties(recordings, calibration, draws, rng)
    text = replace(text, notes=(*text.notes, *notes))
    return text if top is None else _over(text, top, used)


def _top_ties(
    recordings: Sequence[Recording],
    lineages: Sequence[Sequence[int]],
    calibration: Calibration,
    draws: int,
    rng: np.random.Generator,
) -> tuple[Ties | None, list[int], tuple[str, ...]]:
    """Ties by distributions, the places of the models that they are between; else why there are none."""
    tier = calibration.tiers.get(TOPK)
    given = [place for place, recording in enumerate(recordings) if recording.distributions]
    if tier is None or FEATURE not in tier.features or len(given) < 2:
        return None, [], ()
    places = [place for place in given if calibration.covers(recordings[place].model.parameters)]
    odd = len(given) - len(places)
    other = (f"distributions of {odd} models tie nobody: {_SIZES}",) if odd else ()
    if len(places) < 2:
        return None, [], other
    table = align(recordings[places[0]], recordings[places[1]], [recordings[place] for place in places[2:]])
    if isinstance(table, Skipped):
        return None, [], (f"distributions are not compared: {table.reason}", *other)
    used = [*places[:2], *(places[2 + place] for place in table.used)]
    inside = [[used.index(model) for model in lineage if model in used] for lineage in lineages]
    inside = [lineage for lineage in inside if lineage]
    fewest = tier.lineages[0] if tier.lineages else len(inside)
    if len(inside) < fewest:
        few = f"distributions of {len(inside)} lineages tie nobody: ties were calibrated on panels of {fewest} and more"
        return None, [], (few, *other)
    return _deviation_ties(table, inside, tier, draws, rng), used, other


def _over(text: Ties, top: Ties, used: Sequence[int]) -> Ties:
    """The ties by distributions in place of those by text, for the models that have both."""
    uncapped, capped = text.uncapped.copy(), text.capped.copy()
    uncapped[np.ix_(used, used)], capped[np.ix_(used, used)] = top.uncapped, top.capped
    models = len(uncapped)
    rows, columns = np.triu_indices(models, 1)
    place = np.full(models, -1)
    place[list(used)] = np.arange(len(used))
    both = (place[rows] >= 0) & (place[columns] >= 0)
    first, second = np.sort([place[rows[both]], place[columns[both]]], axis=0)
    order = first * len(used) - first * (first + 1) // 2 + second - first - 1
    replicates = text.replicates.copy()
    replicates[:, both] = top.replicates[:, order]
    return Ties(uncapped=uncapped, capped=capped, replicates=replicates, notes=(*top.notes, *text.notes))


def panel_deviations(gram: Floats, lineages: Sequence[Sequence[int]]) -> Floats:
    """Fisher z of the correlation of any two models' deviations from the mean over the lineages of their panel.

    Args:
        gram: inner products of the models' centred log-probabilities, (models, models).
        lineages: places of models that share weights; each counts once in the mean, as the mean of its models.

    Returns:
        (models, models), 0 within a lineage.

    """
    models = len(gram)
    where, weights = np.zeros(models, np.int64), np.zeros(models)
    for row, lineage in enumerate(lineages):
        places = list(lineage)
        where[places], weights[places] = row, 1 / (len(places) * len(lineages))
    centre = np.eye(models) - weights
    apart = centre @ gram @ centre.T
    scale = np.sqrt(np.maximum(np.diag(apart), 1e-300))
    table = np.arctanh(np.clip(apart / scale[:, None] / scale[None], -_LARGEST, _LARGEST))
    table[where[:, None] == where[None]] = 0.0
    return np.asarray((table + table.T) / 2, np.float64)


def _deviation_ties(
    table: Aligned, lineages: Sequence[Sequence[int]], tier: Tier, draws: int, rng: np.random.Generator
) -> Ties:
    grams = residual.gram_matrices(table.probabilities, table.prompts)
    models, prompts = len(table.probabilities), len(grams.by_prompt)
    upper = np.triu_indices(models, 1)
    uncapped = _log_lrs(tier, panel_deviations(grams.total(), lineages))
    found = np.zeros((draws, len(upper[0])), np.float32)
    for draw in range(draws):
        times = np.bincount(rng.integers(0, prompts, prompts), minlength=prompts).astype(np.float64)
        found[draw] = _log_lrs(tier, panel_deviations(grams.total(times), lineages))[upper]
    note = f"next-token distributions after {prompts} prompts, {len(lineages)} lineages"
    return Ties(
        uncapped=uncapped,
        capped=_capped(uncapped, tier, TOPK_TIE),
        replicates=_weakened(found, TOPK_TIE),
        notes=(note, _calibrated_on(tier)),
    )


def _calibrated_on(tier: Tier) -> str:
    panels = f"panels of {tier.lineages[0]} to {tier.lineages[1]} lineages" if tier.lineages else "one panel"
    return (
        f"such ties were calibrated on {panels} of small models, {tier.families} of them begun from nothing: "
        f"{tier.related_pairs:,} pairs where one learned from the other, {tier.unrelated_pairs:,} without a common origin"
    )


def _capped(uncapped: Floats, tier: Tier, least: float) -> Floats:
    """Ties within the bounds of their tier; one that is uncapped below ``least`` may not reach `ACCUSE` and ties nobody."""
    capped = np.asarray(np.clip(uncapped, *tier.bounds), np.float64)
    weak = uncapped < least
    capped[weak] = np.minimum(capped[weak], _WEAK)
    return capped


def _weakened(replicates: NDArray[np.float32], least: float) -> NDArray[np.float32]:
    """The same of replicates, in place."""
    weak = replicates < least
    replicates[weak] = np.minimum(replicates[weak], _WEAK)
    return replicates


def _log_lrs(tier: Tier, scores: Floats) -> Floats:
    zero = tier.log10_lr(dict.fromkeys(tier.features, 0.0))
    slope = tier.log10_lr(dict.fromkeys(tier.features, 1.0)) - zero
    return np.asarray(zero + slope * scores, np.float64)


def _text_ties(recordings: Sequence[Recording], calibration: Calibration, draws: int, rng: np.random.Generator) -> Ties:
    """Panel scores of sketched answers; a panel below `SMALLEST_PANEL` is no population, and text then ties nobody."""
    answers = [usable_answers(recording) for recording in recordings]
    keys = list(dict.fromkeys(key for found in answers for key in found))
    tier = calibration.tiers.get(TEXT)
    if tier is None or not MIN_PROMPTS <= len(keys) <= sketches.MOST_PROMPTS:
        return _no_ties(len(recordings), draws, f"{len(keys)} prompts are answered, so text ties nobody")
    if len(recordings) < SMALLEST_PANEL:
        note = f"too few models ({SMALLEST_PANEL} are needed) for a likelihood ratio from text alone, so text ties nobody"
        return _no_ties(len(recordings), draws, note)
    panel = PanelSketch.of([[found[key][0] if key in found else None for key in keys] for found in answers])
    return ties_of_panel(panel, tier, draws, rng)


def ties_of_panel(panel: PanelSketch, tier: Tier, draws: int, rng: np.random.Generator) -> Ties:
    """Ties of models whose answers are sketched; pairs with too few common prompts have none."""
    models = len(panel.values)
    upper = np.triu_indices(models, 1)
    known = panel.common() >= MIN_PROMPTS
    uncapped = np.where(known, _log_lrs(tier, panel.scores()), 0.0)
    np.fill_diagonal(uncapped, 0.0)
    slope = tier.log10_lr(dict.fromkeys(tier.features, 1.0)) - tier.log10_lr(dict.fromkeys(tier.features, 0.0))
    replicates = panel.deviations(draws, rng)
    replicates *= np.float32(slope)
    replicates += uncapped[upper].astype(np.float32)
    replicates[:, ~known[upper]] = 0.0
    note = f"text of answers to {panel.answered.shape[1]} prompts"
    return Ties(
        uncapped=uncapped,
        capped=_capped(uncapped, tier, TEXT_TIE),
        replicates=_weakened(replicates, TEXT_TIE),
        notes=(note,),
    )


def _no_ties(models: int, draws: int, note: str) -> Ties:
    return Ties(
        uncapped=np.zeros((models, models)),
        capped=np.zeros((models, models)),
        replicates=np.zeros((draws, models * (models - 1) // 2), np.float32),
        notes=(note,),
    )
