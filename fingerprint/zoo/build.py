"""From a recipe to a folder of models.

`build_zoo` walks the graph of the recipe: whatever has all its parents finished is ready, and the ready model that
stands first in the recipe starts next, in one of the worker processes. Each model is written to a hidden folder and
renamed when it is complete, so that `OUT/<id>` exists means "finished", and a finished model whose recipe digest still
holds is never trained again. A failure stops the descendants of that model and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fingerprint.zoo.card import Card, read_card, write_card
from fingerprint.zoo.corpus import load_tokenizer, read_corpus, save_tokenizer, start_id, train_tokenizer
from fingerprint.zoo.recipe import Recipe
from fingerprint.zoo.tables import STUDENTS, TRAINED, Model

if TYPE_CHECKING:
    from fingerprint.collection.execution import Engine
    from fingerprint.zoo.mechanisms import Workbench

Say = Callable[[str], None]
TOKENIZERS = ".tokenizers"


class BuildError(RuntimeError):
    """Some models of a recipe could not be built; the others are finished and stay."""


def _silent(_: str) -> None:
    pass


def build_zoo(
    recipe: Recipe,
    data_dir: Path,
    out_dir: Path,
    workers: int = 2,
    progress: Say = _silent,
    engine: Engine | None = None,
) -> list[Card]:
    """Builds what is missing of a recipe in `out_dir`; returns all cards in the order of the recipe.

    With one worker everything runs in this process. Each worker computes on one thread, whatever their number, so the
    number of workers never changes a weight. An ``engine`` takes the place of the workers; ``data_dir`` and ``out_dir``
    must then be the same place for all of them.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    cards = {m.id: card for m in recipe.models if (card := _finished(recipe, m, out_dir)) is not None}
    progress(f"{recipe.name}: {len(recipe.models)} models, {len(cards)} of them finished before")
    if len(cards) < len(recipe.models):
        _prepare_tokenizers(recipe, data_dir, out_dir, progress)
        run = _Run(recipe=recipe, data_dir=data_dir, out_dir=out_dir, say=progress, cards=cards)
        alone = run.here if workers == 1 else lambda: run.in_processes(workers)
        failures = alone() if engine is None else run.on(engine)
        if failures:
            raise BuildError("; ".join(failures))
    return [cards[m.id] for m in recipe.models]


def _finished(recipe: Recipe, model: Model, out_dir: Path) -> Card | None:
    card = read_card(out_dir / model.id)
    return card if card is not None and card.recipe_digest == recipe.digest_of(model.id) else None


def _prepare_tokenizers(recipe: Recipe, data_dir: Path, out_dir: Path, say: Say) -> None:
    """Trained once, before the workers start, because they are shared by models that know nothing of each other."""
    for name in dict.fromkeys(recipe.tokenizer_of(m.id) for m in recipe.models):
        folder = _tokenizer_dir(recipe, name, out_dir)
        if (folder / "tokenizer.json").is_file():
            continue
        spec = recipe.tokenizers[name]
        share = spec.sample_chars // len(spec.corpora)
        texts = [_spread(read_corpus(recipe.corpora[c], data_dir).train, share) for c in spec.corpora]
        folder.mkdir(parents=True, exist_ok=True)
        save_tokenizer(train_tokenizer(texts, spec.vocab), folder, 0)
        say(f"tokenizer {name}: {spec.vocab} tokens from {', '.join(spec.corpora)}")


def _spread(text: str, chars: int, pieces: int = 20) -> str:
    """`chars` characters from all over a text."""
    if chars >= len(text):
        return text
    size, stride = chars // pieces, len(text) // pieces
    return "".join(text[i * stride : i * stride + size] for i in range(pieces))


def _tokenizer_dir(recipe: Recipe, name: str, out_dir: Path) -> Path:
    spec = recipe.tokenizers[name]
    content = [spec.model_dump(mode="json"), [recipe.corpora[c].model_dump(mode="json") for c in spec.corpora]]
    return out_dir / TOKENIZERS / hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    recipe: Recipe
    data_dir: Path
    out_dir: Path
    say: Say
    cards: dict[str, Card]

    def here(self) -> list[str]:
        failures: list[str] = []
        for model in self.recipe.in_order():
            if model.id not in self.cards and all(p in self.cards for p in model.parents):
                started = time.monotonic()
                try:
                    card = build_model(self.recipe, model.id, self.data_dir, self.out_dir, self.say)
                except Exception as error:  # any fault of one model must not lose the others
                    failures.append(self._failed(model, error))
                else:
                    self._done(card, time.monotonic() - started)
        return failures

    def in_processes(self, workers: int) -> list[str]:
        failures: list[str] = []
        waiting = [m for m in self.recipe.models if m.id not in self.cards]
        running: dict[Future[Card], tuple[Model, float]] = {}
        # spawn: a forked copy of a process that has used torch can hang in its thread pool.
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            while True:
                for model in [m for m in waiting if all(p in self.cards for p in m.parents)]:
                    if len(running) < workers:
                        waiting.remove(model)
                        task = pool.submit(build_model, self.recipe, model.id, self.data_dir, self.out_dir)
                        running[task] = (model, time.monotonic())
                        self.say(f"{model.id}: {model.mechanism} started")
                if not running:
                    return failures
                for task in wait(running, return_when=FIRST_COMPLETED).done:
                    model, started = running.pop(task)
                    error = task.exception()
                    if error is None:
                        self._done(task.result(), time.monotonic() - started)
                    else:
                        failures.append(self._failed(model, error))

    def on(self, engine: Engine) -> list[str]:
        """Wave by wave: all models whose parents are finished, each a shard."""
        failures: list[str] = []
        tried: set[str] = set()
        while True:
            ready = [
                m
                for m in self.recipe.models
                if m.id not in self.cards and m.id not in tried and all(p in self.cards for p in m.parents)
            ]
            if not ready:
                return failures
            tried |= {model.id for model in ready}
            work = partial(_try_model, recipe=self.recipe, data_dir=self.data_dir, out_dir=self.out_dir)
            for model, (card, error) in zip(ready, engine.map(work, [m.id for m in ready]), strict=True):
                if card is None:
                    failures.append(self._failed(model, RuntimeError(error)))
                else:
                    self._done(card, 0.0)

    def _done(self, card: Card, seconds: float) -> None:
        self.cards[card.id] = card
        parents = ", ".join(f"{p} {b:.3f}" for p, b in card.parents_held_out_bits_per_byte.items())
        self.say(
            f"{card.id}: {card.mechanism} finished in {seconds:.0f} s, {card.held_out_bits_per_byte:.3f} bits per byte"
            + (f" (parents: {parents})" if parents else "")
            + f"; {len(self.cards)} of {len(self.recipe.models)}"
        )

    def _failed(self, model: Model, error: BaseException) -> str:
        sentence = f"model '{model.id}' could not be built ({type(error).__name__}: {error})"
        self.say(sentence)
        return sentence


def _try_model(model_id: str, *, recipe: Recipe, data_dir: Path, out_dir: Path) -> tuple[Card | None, str]:
    """A model built by a worker far away: its card, or the fault in words, since a fault there must not end the others."""
    try:
        return build_model(recipe, model_id, data_dir, out_dir), ""
    except Exception as error:  # any fault of one model must not lose the others
        return None, f"{type(error).__name__}: {error}"


def build_model(recipe: Recipe, model_id: str, data_dir: Path, out_dir: Path, say: Say = _silent) -> Card:
    """Builds one model whose parents are finished, and writes its folder."""
    from fingerprint.zoo.mechanisms import Workbench, grow
    from fingerprint.zoo.network import save_network

    model = recipe.get(model_id)
    name = recipe.tokenizer_of(model_id)
    bench = Workbench(
        recipe=recipe,
        data_dir=data_dir,
        zoo_dir=out_dir,
        tokenizer=load_tokenizer(_tokenizer_dir(recipe, name, out_dir)),
        progress=lambda step, loss: say(f"{model_id}: step {step}, loss {loss:.3f}"),
    )
    partial = out_dir / f".{model_id}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with _one_thread():
        save_network(grow(model, bench), partial)
        save_tokenizer(bench.tokenizer, partial, bench.context(model_id))
        card = _card(model, bench, partial)
    write_card(card, partial)
    shutil.rmtree(out_dir / model_id, ignore_errors=True)
    partial.rename(out_dir / model_id)
    return card


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in another order give other weights, so the number of threads is fixed."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _card(model: Model, bench: Workbench, folder: Path) -> Card:
    from fingerprint.zoo.mechanisms import steps_of
    from fingerprint.zoo.network import WEIGHTS, load_network, parameters_of

    recipe, context = bench.recipe, bench.context(model.id)
    network = load_network(folder)
    shape = recipe.architectures[recipe.architecture_of(model.id)]
    corpora = _corpora_read(recipe, model.id)
    steps = steps_of(model, context)
    return Card(
        id=model.id,
        pedigree=model.pedigree,
        mechanism=model.mechanism,
        parents=model.parents,
        architecture=recipe.architecture_of(model.id),
        architecture_class=shape.kind,
        parameters=parameters_of(network),
        tokenizer=recipe.tokenizer_of(model.id),
        vocab=bench.tokenizer.get_vocab_size(),
        context=context,
        corpora=corpora,
        data_licences=tuple(dict.fromkeys(recipe.corpora[c].licence for c in corpora)),
        training_tokens=steps * context * model.batch if isinstance(model, TRAINED) else 0,
        steps=steps,
        seed=model.seed if isinstance(model, TRAINED) else None,
        settings=_settings(model),
        held_out_corpus=recipe.corpus_of(model.id),
        held_out_bits_per_byte=_measure(bench, model.id, folder, model.id),
        parents_held_out_bits_per_byte={p: _parent_measure(bench, p, model.id) for p in model.parents},
        init_of=model.init_of if isinstance(model, STUDENTS) else None,
        weights_sha256=hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest(),
        recipe=recipe.name,
        recipe_digest=recipe.digest_of(model.id),
    )


def _parent_measure(bench: Workbench, parent: str, on_text_of: str) -> float:
    known = read_card(bench.zoo_dir / parent)
    if known is not None and known.held_out_corpus == bench.recipe.corpus_of(on_text_of):
        return known.held_out_bits_per_byte
    return _measure(bench, parent, bench.zoo_dir / parent, on_text_of)


def _measure(bench: Workbench, model_id: str, folder: Path, on_text_of: str) -> float:
    """Bits per byte of a model on the held-out text of another (or of itself), through its own tokenizer."""
    import torch

    from fingerprint.zoo.corpus import stream
    from fingerprint.zoo.network import bits_per_byte, load_network

    text = bench.split(bench.recipe.corpus_of(on_text_of)).held_out
    tokenizer = load_tokenizer(folder)
    tokens = torch.from_numpy(stream(text, tokenizer)).long()
    value = bits_per_byte(load_network(folder), tokens, start_id(tokenizer), len(text.encode()), bench.context(model_id))
    return round(value, 4)


def _settings(model: Model) -> dict[str, float]:
    """Every number of the model's table that is not a field of the card by itself."""
    own = {"tokens", "seed"}
    return {
        name: float(value)
        for name, value in model.model_dump().items()
        if name not in own and isinstance(value, int | float)
    }


def _corpora_read(recipe: Recipe, model_id: str) -> tuple[str, ...]:
    model = recipe.get(model_id)
    own = (model.corpus,) if isinstance(model, TRAINED) else ()
    inherited = (corpus for parent in model.parents for corpus in _corpora_read(recipe, parent))
    return tuple(dict.fromkeys((*own, *inherited)))
