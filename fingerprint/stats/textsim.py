"""How alike do models write?  Lineage scores for every pair, from one answer per prompt and nothing else.

``pair_scores`` takes a models × prompts table of answers (None = no answer) and gives symmetric
models × models matrices.  Several views of the same answers are compared, each prompt on its own first:

=============  =========================================================================================
``shared``     word 1-to-3-grams that at least two models used and at most half of them
``trigrams``   word trigrams, those that a single model used included
``lines``      how lines begin: list marks, headings, the first words of every point
``closings``   the last words of the answers
``openings``   the first words of the answers
``phrases``    all word 1-to-3-grams: the plain baseline, and all there is below six models
``length``     correlation over prompts of log length minus the mean log length for that prompt
``numbers``    correlation of stated numbers ("calm: 7", or a bare "7") minus the mean for that question
``choices``    the letters chosen in multiple-choice questions, weighted by rarity
``verbosity``  no similarity: how far two models are apart in mean log length, what they are normalised for
=============  =========================================================================================

The n-gram views are cosines with every n-gram weighted by its rarity among the models that answered the
prompt, log[(N + 1)/(models that used it)]: rarity stands for the population frequency in a forensic match
(Balding and Nichols 1994).  Each view of the five comes twice: plain, and *centred*, the cosine of what is
left of the answers when the mean over models for that prompt is taken away (``textcentre``).  What all say
to a prompt, as a memorised text or a stock phrase, is gone from the latter; what a family says stays.  Raw
similarity depends on how much and how predictably a model talks, so each view is normalised against the
panel (``panel.panel_normalise``; after AS-norm in speaker verification).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fingerprint.stats import textgrams as tg
from fingerprint.stats.panel import MIN_PANEL, panel_normalise
from fingerprint.stats.textcentre import centred_cosine
from fingerprint.stats.textchoices import choice_share, choice_similarity
from fingerprint.stats.textnumbers import masked_correlation, number_similarity, numeric_share

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

VIEWS = ("shared", "trigrams", "lines", "closings", "openings")
CENTRED = "centred "
_MIN_LENGTHS = 5  # prompts before a correlation of lengths means anything
_COMPARED_AS_SUCH = 0.5  # share of numeric answers (of choices) from which numbers (letters) are compared
_TINY = 1e-9

# Equal weights, on purpose: logistic regressions on these views, fitted with whole families held out, did
# not beat them (docs/log.md), and equal weights cannot have learned our models by heart.  Numbers and choices
# are weighed against all views of the text together.
_DESCENT = ("shared", "trigrams", "lines", "closings")
LINEAGE: Mapping[str, float] = {
    **dict.fromkeys((*_DESCENT, *(CENTRED + view for view in _DESCENT)), 1.0),
    "numbers": 12.0,
    "choices": 4.0,
}
# Openings and length see imitation better than descent; what a family alone says sees descent.
IMITATION: Mapping[str, float] = {
    **dict.fromkeys(("trigrams", "lines", "closings", "openings", "length"), 1.0),
    "numbers": 7.5,
    "choices": 2.5,
}


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
    missing = {name for name, matrix in components.items() if not np.any(matrix[off]) and name != "verbosity"}
    if not normalised:
        missing |= {*VIEWS, *(CENTRED + view for view in VIEWS), "panel"}
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
    tokens, models = tg.tokenise(table), len(table)
    totals, common = _prompt_views(tokens, models)
    views = {name: _over_prompts(total, common) for name, total in totals.items()}
    lengths = _lengths(tokens, models)
    views["length"] = masked_correlation(np.log(lengths + 5), lengths > 0, _MIN_LENGTHS)
    talk = verbosity(lengths)
    views["verbosity"] = np.abs(talk[:, None] - talk[None])
    nothing = np.zeros((models, models))
    views["numbers"] = number_similarity(table) if numeric_share(table) >= _COMPARED_AS_SUCH else nothing
    views["choices"] = choice_similarity(table) if choice_share(table) >= _COMPARED_AS_SUCH else nothing
    return views, common.astype(np.int64)


def verbosity(lengths: Floats) -> Floats:
    """(models,) mean over prompts of log length minus the median for the prompt; lengths are (models × prompts)."""
    logs = np.where(lengths > 0, np.log(lengths + 5), np.nan)
    logs = logs[:, np.isfinite(logs).any(axis=0)]
    if not logs.size:
        return np.zeros(len(lengths))
    logs -= np.nanmedian(logs, axis=0)
    seen = np.isfinite(logs).sum(axis=1)
    return np.asarray(np.where(np.isfinite(logs), logs, 0.0).sum(axis=1) / np.maximum(seen, 1), np.float64)


def fuse(components: Mapping[str, Floats], weights: Mapping[str, float], *, per_model: bool) -> Floats:
    """Weighted mean of the normalised views that are not zero everywhere, (models × models)."""
    apart = components.get("verbosity")
    models = len(next(iter(components.values())))
    off = ~np.eye(models, dtype=bool)
    total, used = np.zeros((models, models)), 0.0
    for name, weight in weights.items():
        matrix = components[name]
        if weight and np.any(matrix[off]):
            total += weight * panel_normalise(matrix, per_model=per_model, apart=apart)
            used += weight
    return total / used if used else total


def _prompt_views(tokens: tg.Tokens, models: int) -> tuple[dict[str, Floats], Floats]:
    """Sums over prompts of each view's cosines, and the number of prompts that a pair has in common."""
    names = ("phrases", *VIEWS, *(CENTRED + view for view in VIEWS))
    totals = {name: np.zeros((models, models)) for name in names}
    common = np.zeros((models, models))
    table = tg.hash_table(tokens.size)
    for column in tokens.columns:
        present = np.array([len(ids) > 0 for ids in column])
        if present.sum() < 2:
            continue
        common += np.outer(present, present)
        flat = tg.flatten(column)
        views = _body(flat, table, present) | _edges(flat, table, tokens.newline, present)
        for name in VIEWS:
            totals[CENTRED + name] += centred_cosine(views[name], present)
        # Some prompts dictate the opening, so each counts by how far a pair stands out on it.
        views["openings"] = _standardised(views["openings"], present)
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


def _lengths(tokens: tg.Tokens, models: int) -> Floats:
    """Tokens of every answer, (models × prompts)."""
    counts = [[len(ids) for ids in column] for column in tokens.columns]
    return np.array(counts, np.float64).reshape(-1, models).T
