"""Texts become token streams.

Everything here works around one rule: the last 2 % of the chosen range of a file are *held out*, for measuring only;
no tokenizer, no training batch and no opening of a sample ever comes from there. A corpus is cut into documents of
about 2,000 characters at the ends of lines, each preceded by `<|endoftext|>`, so that this one token means "start".
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fingerprint.zoo.recipe import RecipeError
from fingerprint.zoo.tables import Corpus

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from tokenizers import Tokenizer as FastTokenizer

START = "<|endoftext|>"
HELD_OUT = 0.02
DOCUMENT_CHARS = 2000
# Enough for three digits of bits per byte; more would only cost time.
MAX_HELD_OUT_CHARS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The two parts of a corpus."""

    train: str
    held_out: str


def read_corpus(corpus: Corpus, data_dir: Path) -> Split:
    """The chosen range of the file, split at the end of a line."""
    path = data_dir / corpus.file
    if not path.is_file():
        raise RecipeError(f"the data folder has no file '{corpus.file}'")
    text = read_text(path)
    text = text[int(corpus.start * len(text)) : int(corpus.end * len(text))]
    cut = text.rfind("\n", 0, int(len(text) * (1 - HELD_OUT))) + 1
    if cut == 0 or cut == len(text):
        raise RecipeError(f"corpus file '{corpus.file}' is too short, or is all one line: nothing can be held out")
    return Split(train=text[:cut], held_out=text[cut : cut + MAX_HELD_OUT_CHARS])


def read_text(path: Path) -> str:
    """The whole text of a .txt or .txt.zst file."""
    if path.suffix != ".zst":
        return path.read_text("utf-8")
    import zstandard

    with path.open("rb") as file:
        reader = zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(file)
        return io.TextIOWrapper(reader, encoding="utf-8").read()


def documents(text: str) -> list[str]:
    """Pieces of about `DOCUMENT_CHARS` characters that end where a line ends; joined, they are the text."""
    found, start = [], 0
    while start < len(text):
        end = text.find("\n", start + DOCUMENT_CHARS)
        end = len(text) if end < 0 else end + 1
        found.append(text[start:end])
        start = end
    return found


def train_tokenizer(texts: list[str], vocab: int) -> FastTokenizer:
    """A byte-level BPE tokenizer, which can encode any text whatever it was trained on."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=[START],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((piece for text in texts for piece in documents(text)), trainer)
    return tokenizer


def save_tokenizer(tokenizer: FastTokenizer, folder: Path, context: int) -> None:
    """The two files from which `AutoTokenizer` loads a `PreTrainedTokenizerFast`."""
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": START,
        "eos_token": START,
        "pad_token": START,
        "clean_up_tokenization_spaces": False,
        "model_max_length": context,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def load_tokenizer(folder: Path) -> FastTokenizer:
    """The tokenizer of a finished model."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def start_id(tokenizer: FastTokenizer) -> int:
    """The id of `<|endoftext|>`."""
    found = tokenizer.token_to_id(START)
    if found is None:
        raise RecipeError(f"the tokenizer has no {START} token")
    return int(found)


def stream(text: str, tokenizer: FastTokenizer) -> npt.NDArray[np.int32]:
    """All token ids of a text, each document preceded by the start token."""
    import numpy as np

    start = start_id(tokenizer)
    parts = [[start, *encoding.ids] for encoding in tokenizer.encode_batch(documents(text))]
    return np.fromiter((i for part in parts for i in part), dtype=np.int32)
