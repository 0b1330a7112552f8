"""From answers to sparse bags of word n-grams: one bag per model and prompt, all models of a prompt at once.

Answers arrive as strings of unknown origin.  Each is cut at ``MAX_CHARS``, lowered and split into words,
single marks and line breaks; a string that Python can hold is enough, whatever is in it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Table = Sequence[Sequence[str | None]]

MAX_CHARS = 20_000
"""Characters of an answer that are read (the longest real answers are a few tens of thousands)."""

_TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[^\w\s]|_|\n+")
_WORDY = re.compile(r"\w")
_REFUSAL = re.compile(
    r"\W*(?:i['’]?m sorry,? but|i am sorry,? but|sorry,? but|i apologi[sz]e,? but|unfortunately,? i|"
    r"as an ai\b[^.]{0,60}?,? i|i(?: cannot| can['’]?t|['’]m unable to| am unable to| won['’]?t))\b",
    re.IGNORECASE,
)
_REFUSAL_CHARS = 240  # longer answers that begin with an apology go on to say something of their own
_CONSTANT_SHARE = 0.2
_CONSTANT_CHARS = 20  # "B" or "7" may rightly be the answer to many questions, a sentence may not
_CONSTANT_PROMPTS = 5
_LINE_TOKENS = 5
_CHUNK = 1 << 16  # n-grams that are dense in memory at a time
EDGE_TOKENS = 20
"""Tokens of an opening and of a closing."""
ORDER_BITS = 3
"""Low bits of the hash of a word n-gram that hold its order n."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The table as integers: ``columns[p]`` holds the answers to prompt p, one array per model.

    ``ids`` of word pieces run from 0 to ``size`` − 1; a missing answer is an empty array.
    """

    columns: tuple[tuple[Ints, ...], ...]
    size: int
    newline: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bag:
    """Sparse binary matrix (models × n-grams): entries (doc, gram) sorted by gram.

    ``use`` counts the models that have an n-gram, ``names`` are the hashes.
    """

    doc: Ints
    gram: Ints
    use: Floats
    names: Ints
    models: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat:
    """All answers to one prompt end to end: token, model, distance from the start and to the end."""

    ids: Ints
    doc: Ints
    start: Ints
    end: Ints


def usable(answers: Table) -> list[list[str | None]]:
    """Replace what is no evidence by None: blank answers, refusals, and outputs that ignore the prompt.

    An output ignores the prompt if the very same text makes up a fifth of a model's answers, or all of
    them; short labels and numbers are spared from the first rule.
    """
    return [_usable_row([_clean(answer) for answer in row]) for row in answers]


def says_nothing(answer: str) -> bool:
    """Whether an answer is blank or a refusal: a missing value, never a match."""
    return _clean(answer) is None


def _clean(answer: str | None) -> str | None:
    if answer is None:
        return None
    text = answer[:MAX_CHARS]
    if not _WORDY.search(text):
        return None
    if len(text) <= _REFUSAL_CHARS and _REFUSAL.match(text):
        return None
    return text


def _usable_row(row: list[str | None]) -> list[str | None]:
    banned = constants([text for text in row if text is not None])
    return [None if text is None or text.strip() in banned else text for text in row]


def constants(row: Sequence[str]) -> set[str]:
    """Outputs that ignore the prompt, by the rules of `usable`, without the blanks around them."""
    counts = Counter(text.strip() for text in row)
    return {
        text
        for text, count in counts.items()
        if count >= _CONSTANT_PROMPTS
        and (count == len(row) or (len(text) >= _CONSTANT_CHARS and count >= _CONSTANT_SHARE * len(row)))
    }


def tokenise(table: Table) -> Tokens:
    """Integers for the words of a models × prompts table of usable answers."""
    vocabulary: dict[str, int] = {"\n": 0}
    prompts = len(table[0]) if table else 0
    columns = tuple(tuple(_encode(row[p], vocabulary) for row in table) for p in range(prompts))
    return Tokens(columns=columns, size=len(vocabulary), newline=0)


def _encode(text: str | None, vocabulary: dict[str, int]) -> Ints:
    if text is None:
        return np.zeros(0, np.int64)
    add = vocabulary.setdefault
    words = _TOKEN.findall(text.lower())
    return np.fromiter((add("\n" if word[0] == "\n" else word, len(vocabulary)) for word in words), np.int64, len(words))


def flatten(column: Sequence[Ints]) -> Flat:
    """Lay the answers to one prompt end to end."""
    lengths = np.array([len(ids) for ids in column], np.int64)
    doc = np.repeat(np.arange(len(column), dtype=np.int64), lengths)
    first = np.cumsum(lengths) - lengths
    start = np.arange(len(doc), dtype=np.int64) - first[doc]
    ids = np.concatenate(column) if len(column) else np.zeros(0, np.int64)
    return Flat(ids=ids, doc=doc, start=start, end=lengths[doc] - 1 - start)


def hash_table(size: int) -> Ints:
    """Random 62-bit multipliers, (4, size + 2); the last two columns mark the start and the end of a text."""
    return np.random.default_rng(20_240_501).integers(1, 2**62, size=(4, size + 2), dtype=np.int64)


def word_grams(flat: Flat, table: Ints, orders: Sequence[int]) -> tuple[Ints, Ints]:
    """(model, hash) of every word n-gram of the given orders, repeats included."""
    docs, hashes = [], []
    for order in orders:
        last = len(flat.ids) - order + 1
        if last <= 0:
            continue
        value = table[0, flat.ids[:last]].copy()
        for step in range(1, order):
            value += table[step, flat.ids[step : step + last]]
        inside = flat.doc[:last] == flat.doc[order - 1 :]
        docs.append(flat.doc[:last][inside])
        hashes.append((value[inside] << ORDER_BITS) | order)
    return _join(docs), _join(hashes)


def edge_grams(flat: Flat, table: Ints, *, closing: bool) -> tuple[Ints, Ints]:
    """(model, hash) of 1-to-3-grams in the first (or last) ``EDGE_TOKENS`` tokens, and of the very edge.

    The token at the edge, and it with its neighbour, count once more together with the edge itself.
    """
    place = flat.end if closing else flat.start
    near = place < EDGE_TOKENS
    cut = Flat(ids=flat.ids[near], doc=flat.doc[near], start=flat.start[near], end=flat.end[near])
    doc, hashes = word_grams(cut, table, (1, 2, 3))
    mark = table[3, -1 if closing else -2]
    at = np.flatnonzero(place == 0)
    beyond = at[flat.start[at] + flat.end[at] > 0]
    inner = flat.ids[beyond + (-1 if closing else 1)]
    alone = table[2, flat.ids[at]] ^ mark
    both = (table[2, flat.ids[beyond]] + table[1, inner]) ^ mark
    return _join([doc, flat.doc[at], flat.doc[beyond]]), _join([hashes, alone, both])


def line_grams(flat: Flat, table: Ints, newline: int) -> tuple[Ints, Ints]:
    """(model, hash) of 2-to-4-grams in the first five tokens of every line, the line start counted as one.

    Layout (list marks, headings, bold) and the habit of how a point begins live here; what the point
    says does not.
    """
    total = len(flat.ids)
    begins = np.flatnonzero((flat.start == 0) | (np.concatenate([[newline], flat.ids[:-1]]) == newline))
    reach = begins[:, None] + np.arange(_LINE_TOKENS)[None]
    inside = (reach < total) & (flat.end[begins][:, None] >= np.arange(_LINE_TOKENS)[None])
    tokens = np.where(inside, flat.ids[np.minimum(reach, total - 1)], -1)
    tokens = np.concatenate([np.full((len(begins), 1), table.shape[1] - 2), tokens], axis=1)
    docs, hashes = [], []
    for order in (2, 3, 4):
        for first in range(_LINE_TOKENS + 2 - order):
            window = tokens[:, first : first + order]
            good = window[:, -1] >= 0
            value = table[np.arange(order)[None], window[good]].sum(axis=1)
            docs.append(flat.doc[begins[good]])
            hashes.append(value ^ order)
    return _join(docs), _join(hashes)


def bag(doc: Ints, hashes: Ints, models: int) -> Bag:
    """Which model used which n-gram, repeats counted once.

    Hash and model are packed into one word, so that one sort of integers does it all; the hash gives its
    highest bits for that (57 are left for a hundred models).
    """
    bits = np.uint64(max(models - 1, 1).bit_length())
    key = np.sort((hashes.astype(np.uint64) << bits) | doc.astype(np.uint64))
    key = key[np.concatenate([[True], key[1:] != key[:-1]])] if len(key) else key
    grams = key >> bits
    fresh = np.concatenate([[True], grams[1:] != grams[:-1]]) if len(key) else np.zeros(0, np.bool_)
    gram = np.cumsum(fresh, dtype=np.int64) - 1
    return Bag(
        doc=(key & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int64),
        gram=gram,
        use=np.bincount(gram).astype(np.float64),
        names=grams[fresh].astype(np.int64),
        models=models,
    )


def cosine(bag: Bag, weight: Floats) -> Floats:
    """(models × models) cosine of binary rows with n-grams weighted; a row without weight is 0 to all."""
    square = np.bincount(bag.doc, weights=weight[bag.gram] ** 2, minlength=bag.models)
    product = np.zeros((bag.models, bag.models))
    kept = (bag.use >= 2) & (weight > 0)
    chosen = kept[bag.gram]
    doc, gram = bag.doc[chosen], bag.gram[chosen]  # sorted by n-gram
    column = (np.cumsum(kept) - 1)[gram]
    total = int(kept.sum())
    for first in range(0, total, _CHUNK):
        low, high = np.searchsorted(column, [first, first + _CHUNK])
        dense = np.zeros((bag.models, min(_CHUNK, total - first)), np.float32)
        dense[doc[low:high], column[low:high] - first] = weight[gram[low:high]]
        product += dense @ dense.T
    norm = np.sqrt(square)
    norm[norm == 0] = np.inf
    np.fill_diagonal(product, square)
    return np.asarray(product / norm[:, None] / norm[None], np.float64)


def _join(parts: Sequence[Ints]) -> Ints:
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
