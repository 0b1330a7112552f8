"""How alike do models write?  Lineage scores for every pair, from one answer per prompt and nothing else.

``pair_scores`` takes a models × prompts table of answers (None = no answer) and gives symmetric
models × models matrices.  Several views of the same answers are compared, each prompt on its own first:

=============  =========================================================================================
``shared``     word 1-to-3-grams that at least two models used and at most half of them
``trigrams``   word trigrams, those that a single model used included
``lines``      how lines begin: list marks, headings, the first words of every point
``closings``   the last words of the answers
``openings``   the first words of the answers; each prompt in units of its own spread over pairs
``phrases``    all word 1-to-3-grams: the plain baseline, and all there is below six models
``length``     correlation over prompts of log length minus the mean log length for that prompt
``numbers``    correlation of stated numbers ("calm: 7", or a bare "7") minus the mean for that question
=============  =========================================================================================

The n-gram views are cosines with every n-gram weighted by its rarity among the models that answered the
prompt, log[(N + 1)/(models that used it)]: rarity stands for the population frequency in a forensic match
(Balding and Nichols 1994).  Raw similarity depends on how much and how predictably a model talks, so each
view is normalised against the panel (``panel_normalise``; after AS-norm in speaker verification).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fingerprint.stats import textgrams as tg
from fingerprint.stats.textnumbers import masked_correlation, number_similarity, numeric_share

if TYPE_CHECKING:
    from collections.abc import Mapping

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MIN_PANEL = 6
"""Models that it takes before a pair can be normalised against the others."""
_NEEDS_PANEL = ("shared", "trigrams", "lines", "closings", "openings")
_MIN_LENGTHS = 5  # prompts before a correlation of lengths means anything
_NUMERIC = 0.5  # share of numeric answers from which numbers are compared
_TINY = 1e-9
_FLOOR = 0.02  # a row's spread is not believed below this part of the panel's


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionWeights:
    """Weights of the views in a score; they are divided by the sum of those that the answers support."""

    shared: float = 0.0
    trigrams: float = 0.0
    lines: float = 0.0
    closings: float = 0.0
    openings: float = 0.0
    length: float = 0.0
    numbers: float = 0.0


# Equal weights, on purpose: logistic regressions on these views, fitted with whole families held out, did
# not beat them (docs/log.md), and equal weights cannot have learned our models by heart.  Numbers outweigh
# the text of numeric answers three to one, as they do in discrimination there.
LINEAGE = FusionWeights(shared=1, trigrams=1, lines=1, closings=1, numbers=12)
# Openings and length see imitation better than descent; shared rare phrases see descent.
IMITATION = FusionWeights(trigrams=1, lines=1, closings=1, openings=1, length=1, numbers=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairScores:
    """All pairs of n models; every matrix is symmetric (n × n), finite, and 0 means "like any other pair".

    ``score`` (any lineage) counts standard deviations of what each side has with the rest of the panel;
    ``imitation`` those over all pairs: a teacher of many resembles many, which the former would hold
    against it.  Without a panel (``normalised`` is False) both are the cosine ``phrases``, from 0 to 1,
    which on its own says little about lineage.  ``unsupported`` names what the answers could not give.
    """

    score: Floats
    imitation: Floats
    components: dict[str, Floats]
    shared_prompts: Ints
    normalised: bool
    unsupported: tuple[str, ...]


def pair_scores(answers: tg.Table) -> PairScores:
    """Everything for all pairs: a table (models × prompts) in, matrices (models × models) out.

    Models may miss any prompts; a pair is compared where both answered, and a pair without a common
    prompt gets the panel's middle.
    """
    components, common = text_similarity(answers)
    models = len(common)
    normalised = models >= MIN_PANEL
    off = ~np.eye(models, dtype=bool)
    missing = {name for name, matrix in components.items() if not np.any(matrix[off])}
    if not normalised:
        missing |= {*_NEEDS_PANEL, "panel"}
    plain = np.where(off, components["phrases"], 0.0)
    return PairScores(
        score=fuse(components, LINEAGE, per_model=True) if normalised else plain,
        imitation=fuse(components, IMITATION, per_model=False) if normalised else plain,
        components=components,
        shared_prompts=common,
        normalised=normalised,
        unsupported=tuple(sorted(missing)),
    )


def text_similarity(answers: tg.Table) -> tuple[dict[str, Floats], Ints]:
    """Raw views by name, each symmetric (models × models), and the number of prompts that a pair shares.

    A view that the answers cannot support is zero everywhere.
    """
    table = tg.usable(answers)
    models = len(table)
    tokens = tg.tokenise(table)
    totals, common = _prompt_views(tokens, models)
    views = {name: _over_prompts(total, common) for name, total in totals.items()}
    views["length"] = _length(tokens, models)
    numeric = numeric_share(table) >= _NUMERIC
    views["numbers"] = number_similarity(table) if numeric else np.zeros((models, models))
    return views, common.astype(np.int64)


def fuse(components: Mapping[str, Floats], weights: FusionWeights, *, per_model: bool) -> Floats:
    """Weighted mean of the normalised views that are not zero everywhere, (models × models)."""
    models = len(next(iter(components.values())))
    off = ~np.eye(models, dtype=bool)
    total, used = np.zeros((models, models)), 0.0
    for field in fields(weights):
        weight = float(getattr(weights, field.name))
        matrix = components[field.name]
        if weight and np.any(matrix[off]):
            total += weight * panel_normalise(matrix, per_model=per_model)
            used += weight
    return total / used if used else total


def panel_normalise(matrix: Floats, *, per_model: bool = True) -> Floats:
    """How far each pair stands out, (models × models); the diagonal is 0.

    Per model: z_ij = ½[(s_ij − m_i)/d_i + (s_ij − m_j)/d_j], m_i the median of row i without the diagonal
    and d_i the geometric mean of its standard deviation and its scaled median absolute deviation.  The
    latter alone sees a crowd in every large family, the former alone hides the family behind its size.
    Otherwise, and below ``MIN_PANEL`` models, m and d are those of all pairs.
    """
    models = len(matrix)
    if models < 2:
        return np.zeros((models, models))
    off = ~np.eye(models, dtype=bool)
    everyone = matrix[off][None]
    middle = np.full(models, np.median(everyone))
    spread = np.full(models, _spread(everyone)[0])
    if per_model and models >= MIN_PANEL:
        rows = matrix[off].reshape(models, models - 1)
        middle = np.median(rows, axis=1)
        spread = np.maximum(_spread(rows), _FLOOR * spread)
    spread = np.where(spread > _TINY, spread, 1.0)
    one_sided = (matrix - middle[:, None]) / spread[:, None]
    return np.asarray(np.where(off, (one_sided + one_sided.T) / 2, 0.0), np.float64)


def _spread(rows: Floats) -> Floats:
    """Geometric mean of two spreads; where over half the values are equal, the standard deviation."""
    deviation = rows.std(axis=1)
    robust = 1.4826 * np.median(np.abs(rows - np.median(rows, axis=1, keepdims=True)), axis=1)
    return np.asarray(np.where(robust > _TINY, np.sqrt(robust * deviation), deviation), np.float64)


def _prompt_views(tokens: tg.Tokens, models: int) -> tuple[dict[str, Floats], Floats]:
    """Sums over prompts of each view's cosines, and the number of prompts that a pair has in common."""
    totals = {name: np.zeros((models, models)) for name in ("phrases", *_NEEDS_PANEL)}
    common = np.zeros((models, models))
    table = tg.hash_table(tokens.size)
    for column in tokens.columns:
        present = np.array([len(ids) > 0 for ids in column])
        if present.sum() < 2:
            continue
        common += np.outer(present, present)
        flat = tg.flatten(column)
        views = _body(flat, table, present) | _edges(flat, table, tokens.newline, present)
        for name, matrix in views.items():
            totals[name] += matrix
    return totals, common


def _body(flat: tg.Flat, table: Ints, present: Bools) -> dict[str, Floats]:
    grams = tg.bag(*tg.word_grams(flat, table, (1, 2, 3)), len(present))
    answered = present.sum()
    rarity = np.log((answered + 1) / grams.use)
    common_to_some = (grams.use >= 2) & (grams.use <= answered / 2)
    threes = (grams.names & (2**tg.ORDER_BITS - 1)) == 3
    return {
        "phrases": tg.cosine(grams, rarity),
        "shared": tg.cosine(grams, np.where(common_to_some, rarity, 0.0)),
        "trigrams": tg.cosine(grams, np.where(threes, rarity, 0.0)),
    }


def _edges(flat: tg.Flat, table: Ints, newline: int, present: Bools) -> dict[str, Floats]:
    parts = {
        "lines": tg.line_grams(flat, table, newline),
        "closings": tg.edge_grams(flat, table, closing=True),
        "openings": tg.edge_grams(flat, table, closing=False),
    }
    views = {}
    for name, (doc, hashes) in parts.items():
        grams = tg.bag(doc, hashes, len(present))
        views[name] = tg.cosine(grams, np.log((present.sum() + 1) / grams.use))
    # Some prompts dictate the opening, so each counts by how far a pair stands out on it.
    views["openings"] = _standardised(views["openings"], present)
    return views


def _standardised(matrix: Floats, present: Bools) -> Floats:
    pairs = np.outer(present, present) & ~np.eye(len(present), dtype=bool)
    values = matrix[pairs]
    spread = values.std()
    if spread <= _TINY:
        return np.zeros_like(matrix)
    return np.asarray(np.where(pairs, (matrix - values.mean()) / spread, 0.0), np.float64)


def _over_prompts(total: Floats, common: Floats) -> Floats:
    """Mean over common prompts; pairs without any get the median of the others, which says nothing."""
    mean = np.divide(total, common, out=np.zeros_like(total), where=common > 0)
    off = ~np.eye(len(mean), dtype=bool)
    known = off & (common > 0)
    middle = float(np.median(mean[known])) if known.any() else 0.0
    mean = np.where(off & (common == 0), middle, mean)
    return np.asarray((mean + mean.T) / 2, np.float64)


def _length(tokens: tg.Tokens, models: int) -> Floats:
    """Correlation over common prompts of prompt-centred log(tokens + 5), (models × models)."""
    counts = [[len(ids) for ids in column] for column in tokens.columns]
    lengths = np.array(counts, np.float64).reshape(-1, models).T
    return masked_correlation(np.log(lengths + 5), lengths > 0, _MIN_LENGTHS)
