"""The words of many texts at once, as 64-bit hashes: the same pieces that `textgrams` cuts, without a loop.

A word is hashed as a polynomial over its characters, Σ t(c_k)·bᵏ modulo 2⁶⁴ with t a fixed mixing of code
points (Karp and Rabin 1987, with a wrapping product), read off two prefix sums. Hashes depend on the word
alone, so texts that were cut apart, in other processes or years, can be compared.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
_SPACE, _WORD, _MARK, _NEWLINE, _APOSTROPHE = range(5)
_BASE = 0x9E3779B97F4A7C15
#: Characters that are hashed at a time: enough to be quick, small enough to stay in the processor's cache.
_CHUNK = 1 << 17
_COMMON = 1 << 14  # code points whose kinds are kept in a table


def mix(values: Words) -> Words:
    """A permutation of 64-bit integers that looks random (the finaliser of splitmix64, Steele et al. 2014)."""
    value = values + np.uint64(_BASE)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(value ^ (value >> np.uint64(31)), np.uint64)


NEWLINE = int(mix(np.array([10], np.uint64))[0])
"""The hash of a run of line breaks, however long."""


def words(texts: Sequence[str]) -> tuple[Words, Ints]:
    """Hashes of all pieces of the texts in order, and how many each text has.

    Texts are lowered first. Pieces: words (apostrophes inside included), single marks, runs of line breaks.
    """
    lowered = [text.lower() for text in texts]
    cuts, size = [0], 0
    for place, text in enumerate(lowered, start=1):
        size += len(text)
        if size >= _CHUNK or place == len(lowered):
            cuts.append(place)
            size = 0
    parts = [_chunk(lowered[first:last]) for first, last in pairwise(cuts)]
    if not parts:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    return np.concatenate([hashes for hashes, _ in parts]), np.concatenate([counts for _, counts in parts])


def _chunk(texts: Sequence[str]) -> tuple[Words, Ints]:
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
    lengths = np.array([len(text) for text in texts], np.int64)
    if not len(codes):
        return np.zeros(0, np.uint64), np.zeros(len(texts), np.int64)
    kinds = _kinds(codes)
    first = np.zeros(len(codes) + 1, np.bool_)
    first[np.cumsum(lengths) - lengths] = True
    first = first[:-1]
    wordy = _in_word(kinds, first)
    before = np.concatenate([[False], wordy[:-1]]) & ~first
    line = kinds == _NEWLINE
    line_before = np.concatenate([[False], line[:-1]]) & ~first
    mark = ((kinds == _MARK) | (kinds == _APOSTROPHE)) & ~wordy
    starts = np.flatnonzero((wordy & ~before) | mark | (line & ~line_before))
    # A word ends where its run does; everything else is one character long for the hash.
    ends = starts + 1
    of_word = wordy[starts]
    after = np.concatenate([wordy[1:] & ~first[1:], [False]])
    ends[of_word] = np.flatnonzero(wordy & ~after) + 1
    hashes = _polynomial(codes, starts, ends)
    hashes[line[starts]] = np.uint64(NEWLINE)
    doc = np.searchsorted(np.cumsum(lengths), starts, side="right")
    return hashes, np.bincount(doc, minlength=len(texts)).astype(np.int64)


def _in_word(kinds: npt.NDArray[np.uint8], first: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Letters and digits, and apostrophes with one on both sides within the same text."""
    letter = kinds == _WORD
    left = np.concatenate([[False], letter[:-1]]) & ~first
    right = np.concatenate([letter[1:] & ~first[1:], [False]])
    return np.asarray(letter | ((kinds == _APOSTROPHE) & left & right), np.bool_)


def _polynomial(codes: npt.NDArray[np.uint32], starts: Ints, ends: Ints) -> Words:
    up, down = _powers(1 << max(len(codes) - 1, 1).bit_length())
    sums = np.zeros(len(codes) + 1, np.uint64)
    np.cumsum(_letters()[codes] * up[: len(codes)], out=sums[1:])
    return mix((sums[ends] - sums[starts]) * down[starts])


def _kinds(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    """What each character is to a word."""
    table = _common_kinds()
    found = table[np.minimum(codes, len(table) - 1)]
    rare = np.flatnonzero(codes >= len(table))
    if len(rare):
        unique, place = np.unique(codes[rare], return_inverse=True)
        found[rare] = np.array([_kind(int(code)) for code in unique], np.uint8)[place]
    return np.asarray(found, np.uint8)


@cache
def _common_kinds() -> npt.NDArray[np.uint8]:
    return np.array([_kind(code) for code in range(_COMMON)], np.uint8)


def _kind(code: int) -> int:
    char = chr(code)
    if char in "\n'":
        return _NEWLINE if char == "\n" else _APOSTROPHE
    if char.isalnum():
        return _WORD
    return _SPACE if char.isspace() else _MARK


@cache
def _letters() -> Words:
    return mix(np.arange(sys.maxunicode + 1, dtype=np.uint64))


@cache
def _powers(size: int) -> tuple[Words, Words]:
    base = np.full(size, _BASE, np.uint64)
    inverse = np.full(size, pow(_BASE, -1, 2**64), np.uint64)
    base[0] = inverse[0] = 1
    return np.cumprod(base, dtype=np.uint64), np.cumprod(inverse, dtype=np.uint64)
