"""From a folder of models to a folder of recordings with cards, which is all that a benchmark needs.

Two rounds. In the first, every finished model answers the probes. In the second, it scores the answers of the models
that it will be compared with: those of its own pedigree, and the ones of the next pedigree that began from nothing.
Whatever is on disk is not done again, so the command can be stopped at any time, and run again when the zoo has grown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fingerprint import recording_file
from fingerprint.canonical import digest
from fingerprint.collection.collect import Budget, Collector
from fingerprint.collection.plan import Plan, Settings, make_plan
from fingerprint.collection.store import Store
from fingerprint.errors import UsageError
from fingerprint.evidence.base import NOT_EVIDENCE
from fingerprint.evidence.crossscores import scorable
from fingerprint.models.base import ScoreRequest
from fingerprint.models.local import open_path
from fingerprint.models.spec import ModelSpec
from fingerprint.probes import builtin, load
from fingerprint.recording import Recording
from fingerprint.zoo.card import Card, read_card
from fingerprint.zoo.pairs import next_pedigree

if TYPE_CHECKING:
    from fingerprint.models.torch_model import TorchModel

#: All built-in sets but the one that is never evidence.
PROBES = ",".join(name for name in builtin() if name != NOT_EVIDENCE)
#: Next-token lists of this length say all that the methods use of small vocabularies, in a quarter of the space.
TOPK = 64
#: Answers from these sets are scored: they are long for their prompts, and reading prompts is what scoring costs.
SCORED_SETS = frozenset({"arithmetic-format", "creative-openings", "rare-knowledge", "style"})
#: Copies with other numbers in them neither score nor are scored: what descends from them is seen in the weights.
_COPIES = frozenset({"quantize", "prune", "drop_layers"})
#: Models of a few megabytes are fastest in large batches.
_BATCH = 256
_STORE = ".answers"
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A folder of recordings (``NAME.jsonl.zst``) with their cards (``NAME.card.json``)."""

    folder: Path
    _texts: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def recording_path(self, name: str) -> Path:
        return self.folder / f"{name}.jsonl.zst"

    def read(self, name: str) -> Recording | None:
        path = self.recording_path(name)
        return recording_file.read(path) if path.is_file() else None

    def write(self, name: str, recording: Recording, card: Card) -> None:
        """The card first: a recording without one is not part of the archive."""
        (self.folder / f"{name}.card.json").write_text(card.model_dump_json(indent=2) + "\n", "utf-8")
        partial = self.folder / f".{name}.jsonl.zst"
        recording_file.write(recording, partial)
        partial.replace(self.recording_path(name))
        self._texts.pop(name, None)

    def scored_texts(self, name: str) -> list[tuple[str, str]]:
        """(prompt key, text) of the answers of a model that others score; read once, because many ask."""
        if name not in self._texts:
            author = self.read(name)
            self._texts[name] = [] if author is None else _scored_texts(author)
        return self._texts[name]


def record_zoo(
    zoo_dir: Path,
    out_dir: Path,
    *,
    probes: str = PROBES,
    pedigrees: Sequence[str] = (),
    seed: int = 0,
    say: Say = lambda _: None,
) -> int:
    """Records every finished model of a zoo, and lets the models score each other; returns how many files were written.

    `pedigrees` names those that are still to come, so that a model scores the neighbours it will have in the end.

    Raises:
        UsageError: the folder holds no finished model.

    """
    cards = {path.name: card for path in sorted(zoo_dir.iterdir()) if (card := read_card(path))}
    if not cards:
        raise UsageError(f"{zoo_dir} holds no finished model.", hint="Train one with `fingerprint zoo build`.")
    out_dir.mkdir(parents=True, exist_ok=True)
    archive = Archive(folder=out_dir)
    plan = make_plan(load(probes), Settings(topk=TOPK, seed=seed))
    written = sum(_answers(name, card, zoo_dir, archive, plan, say) for name, card in cards.items())
    following = next_pedigree({*pedigrees, *(card.pedigree for card in cards.values())})
    return written + sum(_scores(name, cards, following, zoo_dir, archive, say) for name in cards)


def _answers(name: str, card: Card, zoo_dir: Path, archive: Archive, plan: Plan, say: Say) -> bool:
    known = archive.read(name)
    if known is not None and known.model.weights == f"sha256:{card.weights_sha256}" and known.probe_sets == plan.sets:
        return False
    archive.write(name, _collector(zoo_dir, name).recording(plan), card)
    say(f"{name}: answers recorded")
    return True


def _scores(
    name: str, cards: Mapping[str, Card], following: Mapping[str, str], zoo_dir: Path, archive: Archive, say: Say
) -> bool:
    recording = None if cards[name].mechanism in _COPIES else archive.read(name)
    if recording is None:
        return False
    authors = authors_for(cards, name, following)
    own = {prompt.key: prompt for prompt in recording.prompts}
    known = {(recording.prompt_by_id[score.prompt].key, score.text) for score in recording.scores}
    # Two models can have given the same answer: each is scored once.
    wanted = dict.fromkeys(text for author in authors for text in archive.scored_texts(author))
    requests = [
        ScoreRequest(prompt=own[key], text=text)
        for key, text in wanted
        if key in own and (key, digest(text)[7:31]) not in known
    ]
    if not requests:
        return False
    found = _collector(zoo_dir, name).scores(requests)
    archive.write(name, replace(recording, scores=(*recording.scores, *found)), cards[name])
    say(f"{name}: scored answers of {len(authors)} models, {len(requests)} of them new")
    return True


def authors_for(cards: Mapping[str, Card], name: str, following: Mapping[str, str]) -> list[str]:
    """Whose answers a model scores: all of its pedigree but mere copies, and those of the next that began from nothing."""
    neighbour = following[cards[name].pedigree]
    return [
        other
        for other, card in cards.items()
        if card.mechanism not in _COPIES
        and (card.pedigree == cards[name].pedigree or (card.pedigree == neighbour and not card.parents))
    ]


def _scored_texts(author: Recording) -> list[tuple[str, str]]:
    prompts = author.prompt_by_id
    return [(prompts[s.prompt].key, s.text) for s in scorable(author) if prompts[s.prompt].set in SCORED_SETS]


def _collector(zoo_dir: Path, name: str) -> Collector:
    import torch

    # One thread: the same sums in the same order, however many cores there are.
    torch.set_num_threads(1)
    backend: TorchModel = open_path(ModelSpec(scheme="", locator=str(zoo_dir / name)))
    backend.max_batch = _BATCH
    return Collector(backend=backend, store=Store(zoo_dir / _STORE, backend.info.digest), budget=Budget())
