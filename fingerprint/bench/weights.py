"""Error rates of the weights route on checkpoints whose history we made: copies, everything that people do to weights,
continued training, and models of one configuration, tokenizer and data that began from random numbers of their own.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from fingerprint import lineage, shipped
from fingerprint.bench import weights_transforms as change
from fingerprint.bench.weights_gguf import write_gguf
from fingerprint.calibration.metrics import auc, tpr_at
from fingerprint.evidence.base import Evidence
from fingerprint.evidence.case import Case
from fingerprint.evidence.tensors.hints import merge
from fingerprint.evidence.weights import weight_descent
from fingerprint.models.weight_files import open_weights
from fingerprint.stats.intervals import clopper_pearson
from fingerprint.verdict import DESCENT_R, DESCENT_Z

Say = Callable[[str], None]
SOURCES = ("teacher", "twin", "unrelated", "twin-gpt2", "unrelated-gpt2")
#: Began from random numbers of their own; the students learned from the teacher, which is no descent of weights.
INDEPENDENT = ("teacher", "twin", "student", "student-text", "unrelated", "twin-gpt2", "unrelated-gpt2")
#: Copies in another format, to be called the same.
COPIES: dict[str, change.Change] = {"int8 blocks": change.rounded(8), "int4 blocks": change.rounded(4)}
FORMATS = ("Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0", "BF16", "F16")
CHANGES: dict[str, change.Change] = {
    "noise 5 %": change.noise(0.05),
    "noise 100 %": change.noise(1.0),
    "low-rank adapter merged": change.low_rank(4, 0.05),
    "pruned 30 %": change.magnitude_pruned(0.3),
    "pruned 60 %": change.magnitude_pruned(0.6),
    "pruned 80 %": change.magnitude_pruned(0.8),
    "neurons removed 25 %": change.neurons_removed(0.25),
    "neurons removed 50 %": change.neurons_removed(0.5),
    "layer dropped": change.layer_dropped,
    "neurons permuted and scaled": change.neurons_shuffled,
    "heads permuted": change.heads_shuffled,
    "all at once": change.chained(
        change.neurons_shuffled,
        change.heads_shuffled,
        change.layer_dropped,
        change.neurons_removed(0.2),
        change.noise(0.2),
        change.rounded(4),
    ),
}
#: These leave no test with an exact null, or a weak one; they are judged by effect sizes and reported apart.
OTHER_BASIS: dict[str, change.Change] = {
    "residual turned": change.residual_turned,
    "residual turned, neurons and heads permuted": change.chained(
        change.residual_turned, change.neurons_shuffled, change.heads_shuffled
    ),
    "width cut 25 %": change.width_cut(0.25),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A pair of models with its truth: ``group`` is what was done, ``truth`` same, derived or unrelated."""

    suspect: str
    reference: str
    group: str
    truth: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A pair and what the weights said."""

    item: Item
    relation: lineage.Relation

    @property
    def score(self) -> float:
        return -self.relation.log10_p

    def effect(self, method: str) -> float | None:
        return next((found.effect for found in self.relation.evidence if found.method == method), None)


def made_models(work: Path, say: Say) -> list[Item]:
    """Write everything that needs no training; a pair with its source and two pairs with strangers for each."""
    items: list[Item] = []
    for source in SOURCES:
        model = change.read_small(shipped.root() / "models" / source)
        strangers = [name for name in SOURCES if name != source and ("gpt2" in name) == ("gpt2" in source)]
        changes = CHANGES | COPIES | (OTHER_BASIS if model.kind == "llama" else {})
        for number, (group, how) in enumerate(changes.items()):
            folder = work / source / group.replace(" ", "-").replace("%", "percent").replace(",", "")
            path = change.write_small(how(model, np.random.default_rng([7, number])), folder)
            items += _against(str(path), source, strangers, group, "same" if group in COPIES else "derived")
        for special, group, truth in _special(model, work / source):
            items += _against(special, source, strangers, group, truth)
        say(f"{source}: written")
    items.append(Item(suspect="zoo:finetune", reference="zoo:teacher", group="fine-tuned", truth="derived"))
    items += [
        Item(suspect="zoo:finetune", reference=f"zoo:{name}", group="fine-tuned", truth="unrelated")
        for name in INDEPENDENT
        if name != "teacher"
    ]
    return items


def _special(model: change.Small, work: Path) -> Iterator[tuple[str, str, str]]:
    rng = np.random.default_rng(11)
    for group, shuffled in (("vocabulary extended", False), ("vocabulary rebuilt", True)):
        how = change.vocabulary_changed(added=64, shuffled=shuffled)
        path = change.write_with_vocabulary(how(model, rng), work / group.replace(" ", "-"))
        yield str(path), group, "derived"
    yield str(change.write_small(model, work / "sharded", dtype="<f4", shards=3)), "float32 in shards", "same"
    for kind in FORMATS if model.kind == "llama" else ():
        yield str(write_gguf(model, work / f"{kind}.gguf", kind)), f"GGUF {kind}", "same"


def _against(path: str, source: str, strangers: Sequence[str], group: str, truth: str) -> Iterator[Item]:
    yield Item(suspect=path, reference=f"zoo:{source}", group=group, truth=truth)
    for name in strangers:
        yield Item(suspect=path, reference=f"zoo:{name}", group="changed models against others", truth="unrelated")


def independent_pairs() -> list[Item]:
    """All pairs of the shipped models that began on their own."""
    return [
        Item(suspect=f"zoo:{a}", reference=f"zoo:{b}", group="shipped models", truth="unrelated")
        for a, b in combinations(INDEPENDENT, 2)
    ]


def trained_items(data: Path, work: Path, twins: int, say: Say) -> list[Item]:
    """Tiny twins of one configuration and data, and continuations of two of them."""
    from fingerprint.bench.weights_training import RESTARTED, train_all

    models = train_all(data, work, twins, say)
    roots = [model for model in models if not model.parent and model.name != RESTARTED]
    again = next(model for model in models if model.name == RESTARTED)
    items = [
        Item(suspect=str(a.folder), reference=str(b.folder), group="tiny twins", truth="unrelated")
        for a, b in combinations(roots, 2)
    ]
    for child in (model for model in models if model.parent):
        corpus = {"first": "same text", "other": "another text"}[child.name.split("-")[2]]
        group = f"continued ×{child.times:g}, {corpus}"
        for root in roots[:4]:
            truth = "derived" if root.name == child.parent else "unrelated"
            items.append(Item(suspect=str(child.folder), reference=str(root.folder), group=group, truth=truth))
    again_and_first = {"suspect": str(again.folder), "reference": str(roots[0].folder)}
    return [*items, Item(**again_and_first, group="same random start, trained apart", truth="same start")]


def zoo_items(folder: Path) -> list[Item]:
    """Pairs of a folder of trained models with cards: all of one pedigree, and of the pretrained across pedigrees."""
    cards = {path.parent.name: json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*/card.json"))}
    cards = {name: card for name, card in cards.items() if (folder / name / "model.safetensors").is_file()}
    roots = {name: _root(name, cards) for name in cards}
    items = []
    for first, second in combinations(cards, 2):
        if None in (roots[first], roots[second]):
            continue
        if first in _ancestors(second, cards):
            first, second = second, first  # noqa: PLW2901  # the later one is the suspect
        related = roots[first] == roots[second]
        twins = cards[first]["pedigree"] == cards[second]["pedigree"]
        if not twins and (cards[first]["parents"] or cards[second]["parents"]):
            continue
        kin = "descendant" if second in _ancestors(first, cards) else "siblings"
        group = f"laboratory zoo, {kin if related else 'same data' if twins else 'other data'}"
        if related and cards[first]["mechanism"] == "finetune" and cards[first]["parents"] == [second]:
            group = "fine-tuned, laboratory zoo"
        names = [str(folder / name) for name in (first, second)]
        items.append(Item(suspect=names[0], reference=names[1], group=group, truth="derived" if related else "unrelated"))
    return items


def _ancestors(name: str, cards: dict[str, Any]) -> set[str]:
    parents = cards[name]["parents"] if name in cards else []
    return {*parents, *(older for parent in parents for older in _ancestors(parent, cards))}


def _root(name: str, cards: dict[str, Any]) -> str | None:
    """Where a model's weights began; None where a parent is missing or the start is not told by the mechanism."""
    card = cards.get(name)
    if card is None:
        return None
    if card["mechanism"] in ("pretrain", "distill_logits", "distill_text"):
        # A student may begin from its teacher's own random numbers; that is neither descent nor independence.
        return None if card.get("init_of") else name
    found = {_root(parent, cards) for parent in card["parents"][:1]}
    return found.pop() if len(found) == 1 else None


def measure(items: Sequence[Item], say: Say) -> list[Measured]:
    """Compare every pair."""
    found = []
    for count, item in enumerate(items, start=1):
        found.append(Measured(item=item, relation=lineage.weights_relation(item.suspect, item.reference)))
        if count % 50 == 0:
            say(f"{count} of {len(items)} pairs")
    return found


def error_rates(found: Sequence[Measured]) -> dict[str, Any]:
    """AUC and TPR at 1 % FPR of every change against all unrelated pairs, and what the unrelated were called."""
    unrelated = np.array([m.score for m in found if m.item.truth == "unrelated"])
    groups = dict.fromkeys(m.item.group for m in found)
    judged = [m for m in found if m.item.truth in ("same", "derived") and m.item.group not in OTHER_BASIS]
    return {
        "all changes": _positive(judged, unrelated),
        "changes": {
            group: _positive(chosen, unrelated)
            for group in groups
            if (chosen := [m for m in found if m.item.group == group and m.item.truth != "unrelated"])
        },
        "unrelated": {"all": _negative([m for m in found if m.item.truth == "unrelated"])}
        | {
            group: _negative(chosen)
            for group in groups
            if (chosen := [m for m in found if m.item.group == group and m.item.truth == "unrelated"])
        },
        "direction": _directions(found),
    }


def _positive(found: Sequence[Measured], unrelated: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, Any]:
    scores = np.array([m.score for m in found])
    hits, of = tpr_at(scores, unrelated)
    called = sum(m.relation.kind in ("copy", "descent") for m in found)
    low, high = clopper_pearson(called, len(found))
    return {
        "pairs": len(found),
        "auc": round(auc(scores, unrelated), 4),
        "tpr_at_1_percent_fpr": round(hits / of, 4),
        "found": called,
        "found_interval": [round(low, 3), round(high, 3)],
        "called": dict(Counter(m.relation.kind for m in found)),
        "verdicts": dict(Counter(m.relation.verdict for m in found)),
        "weakest_log10_p": round(-float(scores.min()), 1),
    }


def _negative(found: Sequence[Measured]) -> dict[str, Any]:
    accused = sum(m.relation.kind in ("copy", "descent") for m in found)
    powers = np.array([10**m.relation.log10_p for m in found])
    turned = [part for m in found for part in m.relation.evidence if part.method == "tensor_aligned"]
    return {
        "pairs": len(found),
        "models": len({side for m in found for side in (m.item.suspect, m.item.reference)}),
        "accused": accused,
        "accused_at_most": round(clopper_pearson(accused, len(found))[1], 4),
        "called": dict(Counter(m.relation.kind for m in found)),
        "verdicts": dict(Counter(m.relation.verdict for m in found)),
        "strongest_log10_p": round(min(m.relation.log10_p for m in found), 2),
        # The smallest of three p-values, so three times the level is what is allowed.
        "p_below_0.01": round(float(np.mean(powers < 0.01)), 4),
        "largest_turned_cosine": round(max(part.effect for part in turned), 3) if turned else None,
        "largest_turned_cka": round(max(part.statistic for part in turned), 3) if turned else None,
    }


def _directions(found: Sequence[Measured]) -> dict[str, Any]:
    """Exploratory: how often the later model was named, where anything was named."""
    table: dict[str, Any] = {}
    for m in found:
        lean = m.effect("tensor_direction")
        if m.item.truth == "derived" and lean is not None and "siblings" not in m.item.group:
            row = table.setdefault(m.item.group, {"right": 0, "wrong": 0, "none": 0})
            row["right" if lean > 0 else "wrong" if lean < 0 else "none"] += 1
    total = {name: sum(row[name] for row in table.values()) for name in ("right", "wrong", "none")}
    return {"all": total, "kurtosis clock on trained children": _clock(found), **table}


def _clock(found: Sequence[Measured]) -> dict[str, int]:
    """How often the later of two models has the heavier tails, where it was trained and nothing else."""
    gaps = [
        next(part.statistic for part in m.relation.evidence if part.method == "tensor_direction")
        for m in found
        if m.item.truth == "derived" and m.item.group.startswith(("fine-tuned", "continued"))
    ]
    return {"right": sum(gap > 0 for gap in gaps), "wrong": sum(gap <= 0 for gap in gaps)}


def merges(work: Path, extra: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Shares of two parents, estimated against the truth after a little more noise, a third candidate beside them."""
    teacher = change.read_small(shipped.root() / "models" / "teacher")
    tuned = [change.write_small(change.noise(0.2)(teacher, np.random.default_rng(n)), work / f"n{n}") for n in (1, 2)]
    families = [(str(tuned[0]), str(tuned[1])), (str(shipped.root() / "models" / "finetune"), str(tuned[0])), *extra]
    errors, decoys = [], []
    for number, (first, second) in enumerate(families):
        parents = [change.read_small(Path(path)) for path in (first, second)]
        for weight in (0.2, 0.5, 0.8):
            blend = change.noise(0.02)(change.averaged(parents[0], parents[1], weight), np.random.default_rng(8))
            child = change.write_small(blend, work / f"merge-{number}-{weight}")
            decoy = str(change.write_small(change.noise(0.2)(parents[0], np.random.default_rng(9)), work / f"d{number}"))
            candidates = [open_weights(path) for path in (first, second, decoy)]
            found = merge(open_weights(str(child)), candidates)
            assert not isinstance(found, str), found
            errors.append(abs(found.shares[0] - (1 - weight)))
            decoys.append(found.shares[2])
    return {
        "merges": len(errors),
        "largest_error_of_a_share": round(max(errors), 4),
        "largest_share_of_a_stranger": round(max(decoys), 4),
    }


def sketches(folder: Path) -> dict[str, Any]:
    """The sketches in the recordings of a zoo: every pair of models that began on their own."""
    from fingerprint.bench.zoo import lineages, read_zoo

    zoo = read_zoo(folder)
    values, scores = [], []
    began = [name for name, card in zoo.cards.items() if card.mechanism in ("pretrain", "distill_logits", "distill_text")]
    own = [name for name in began if not zoo.cards[name].init_of]
    for first, second in combinations(own, 2):
        found = weight_descent(Case(suspect=zoo.recordings[first], reference=zoo.recordings[second]))
        if isinstance(found, Evidence):
            values.append(abs(found.effect))
            scores.append(found.features["weight_z"])
    return {
        "models": len(own),
        "pretrained": len(lineages(zoo.cards)),
        "pairs": len(values),
        "largest_correlation": round(max(values), 4),
        "accused": sum(r >= DESCENT_R and z >= DESCENT_Z for r, z in zip(values, scores, strict=True)),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What there is to measure with beside the shipped models."""

    data: Path | None = None
    zoo: Path | None = None
    recordings: Path | None = None
    twins: int = 10


def run(work: Path, inputs: Inputs, say: Say) -> dict[str, Any]:
    """Make, train, compare, count. What is not given is skipped, and the table says so."""
    items = made_models(work, say) + independent_pairs()
    skipped = []
    extra: list[tuple[str, str]] = []
    if inputs.data is None:
        skipped.append("continued training and tiny twins: no training texts (--data)")
    else:
        items += trained_items(inputs.data, work / "trained", inputs.twins, say)
        extra = [(str(work / "trained" / "tiny-0-first-x1"), str(work / "trained" / "tiny-0-other-x1"))]
    if inputs.zoo is None:
        skipped.append("laboratory zoo: no folder of trained models (--zoo)")
    else:
        items += zoo_items(inputs.zoo)
    found = measure(items, say)
    table = error_rates(found) | {"merge": merges(work / "merges", extra)}
    if inputs.recordings is None:
        skipped.append("sketches: no folder of recordings (--recordings)")
    else:
        table["sketches"] = sketches(inputs.recordings)
    return table | {"skipped": skipped}
