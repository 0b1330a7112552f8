"""Token ids as byte strings, which is the only form in which two tokenizers can be compared."""

from __future__ import annotations

import json
import re
from typing import Any

from fingerprint.recording import END

_BYTE = re.compile(r"^<0x([0-9A-Fa-f]{2})>$")


def _byte_level_alphabet() -> dict[str, int]:
    """The printable stand-ins that byte-level BPE uses for the 256 bytes (Radford et al. 2019)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {chr(code): code for code in plain}
    others = [code for code in range(256) if code not in plain]
    table.update({chr(256 + place): code for place, code in enumerate(others)})
    return table


def token_strings(tokenizer: Any, size: int) -> list[str]:
    """Each of ``size`` token ids as its bytes in latin-1 characters; special and unused ids are `END`.

    Byte-level and SentencePiece-like vocabularies (``▁`` for a space, ``<0x0A>`` for a byte) are understood.
    """
    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    byte_level = "ByteLevel" in json.dumps([rules.get("decoder"), rules.get("pre_tokenizer")])
    alphabet = _byte_level_alphabet() if byte_level else {}
    special = set(tokenizer.all_special_ids)
    special.update(index for index, token in tokenizer.added_tokens_decoder.items() if token.special)
    found = [END] * size
    for token, index in tokenizer.get_vocab().items():
        if index < size and index not in special:
            found[index] = _bytes_of(token, alphabet).decode("latin-1")
    return found


def _bytes_of(token: str, alphabet: dict[str, int]) -> bytes:
    if alphabet and all(char in alphabet for char in token):
        return bytes(alphabet[char] for char in token)
    byte = _BYTE.match(token)
    if byte:
        return bytes([int(byte.group(1), 16)])
    return token.replace("▁", " ").encode("utf-8", "surrogatepass")


def rows_by_bytes(vocabulary: dict[str, int]) -> dict[str, int]:
    """Token ids by byte string, as `token_strings` spells them, from the strings of a tokenizer file alone.

    Special tokens cannot be told here and keep their letters; two tokens of the same bytes are left out.
    """
    alphabet = _byte_level_alphabet() if any(token.startswith("Ġ") for token in vocabulary) else {}
    found: dict[str, int] = {}
    twice: set[str] = set()
    for token, row in vocabulary.items():
        spelled = _bytes_of(token, alphabet).decode("latin-1")
        if spelled in found:
            twice.add(spelled)
        found[spelled] = row
    return {token: row for token, row in found.items() if token not in twice}
