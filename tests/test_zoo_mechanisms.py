"""Every mechanism of the laboratory, on networks of a few thousand weights."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn.utils import parametrize

from fingerprint.zoo.adapters import adapted, fused
from fingerprint.zoo.build import build_zoo
from fingerprint.zoo.card import Card
from fingerprint.zoo.network import logits_of, new_network, sample
from fingerprint.zoo.pairs import all_pairs, controls_for, next_pedigree, steps, truth
from fingerprint.zoo.recipe import RecipeError, load_recipe, parse_recipe
from fingerprint.zoo.surgery import merged, tasks_added, without_layers
from fingerprint.zoo.tables import Architecture
from fingerprint.zoo.train import distillation_loss, next_token_loss, preference_loss

RECIPE = """
name = "tiny"
[corpora]
words = { file = "words.txt", licence = "ours" }
half = { file = "words.txt", end = 0.5, licence = "ours" }
other = { file = "words.txt", start = 0.7, licence = "ours" }
[tokenizers]
a = { vocab = 280, corpora = ["words"] }
b = { vocab = 270, corpora = ["other"] }
[architectures]
llama = { class = "llama", hidden = 16, layers = 2, heads = 2, ffn = 32, context = 32 }
lfm2 = { class = "lfm2", hidden = 16, layers = 2, heads = 2, ffn = 32, context = 32 }
[defaults]
pretrain = { tokens = 640 }
distill_logits = { tokens = 640 }
distill_text = { tokens = 640, sampled_tokens = 320 }
finetune = { tokens = 320, corpus = "other" }
continue = { tokens = 320 }
prefer = { tokens = 320 }
[pedigrees]
p = { corpus = "words", architecture = "llama", tokenizer = "a" }
q = { corpus = "other", architecture = "lfm2", tokenizer = "b" }
"""
MODELS = [
    ("p", "teacher", 'mechanism = "pretrain"'),
    ("p", "twin", 'mechanism = "pretrain"\nseed = 1'),
    ("p", "half", 'mechanism = "pretrain"\ncorpus = "half"'),
    ("p", "twin-other", 'mechanism = "pretrain"\narchitecture = "lfm2"\ntokenizer = "b"'),
    ("p", "student", 'mechanism = "distill_logits"\nparent = "p-teacher"\ntop_k = 4'),
    ("p", "student-init", 'mechanism = "distill_logits"\nparent = "p-teacher"\ninit_of = "p-teacher"\ntemperature = 2.0'),
    ("p", "two-teachers", 'mechanism = "distill_logits"\nparent = "p-teacher"\nsecond = "p-twin"'),
    ("p", "student-text", 'mechanism = "distill_text"\nparent = "p-teacher"\nopenings = "other"'),
    ("p", "grandchild", 'mechanism = "distill_text"\nparent = "p-student-text"\narchitecture = "lfm2"\ntokenizer = "b"'),
    ("p", "twin-student", 'mechanism = "distill_logits"\nparent = "p-twin"'),
    ("p", "tuned", 'mechanism = "finetune"\nparent = "p-teacher"'),
    ("p", "twin-tuned", 'mechanism = "finetune"\nparent = "p-twin"'),
    ("p", "lora", 'mechanism = "finetune"\nparent = "p-teacher"\nlora_rank = 2'),
    ("p", "continued", 'mechanism = "continue"\nparent = "p-teacher"'),
    ("p", "preferred", 'mechanism = "prefer"\nparent = "p-teacher"'),
    ("p", "student-tuned", 'mechanism = "finetune"\nparent = "p-student-text"'),
    ("p", "int4", 'mechanism = "quantize"\nparent = "p-teacher"\nbits = 4'),
    ("p", "pruned", 'mechanism = "prune"\nparent = "p-teacher"\nshare = 0.5'),
    ("p", "shorter", 'mechanism = "drop_layers"\nparent = "p-teacher"\nlayers = [0]'),
    ("p", "merged", 'mechanism = "merge"\nof = ["p-teacher", "p-tuned"]'),
    ("p", "tasks", 'mechanism = "add_tasks"\nbase = "p-teacher"\nof = ["p-tuned", "p-lora"]'),
    ("q", "teacher", 'mechanism = "pretrain"'),
    ("q", "tuned", 'mechanism = "finetune"\nparent = "q-teacher"\ncorpus = "words"'),
    ("p", "tuned-alike", 'mechanism = "finetune"\nparent = "p-teacher"\ncorpus = "words"'),
]
TEXT = RECIPE + "".join(f'[[model]]\nid = "{p}-{name}"\npedigree = "{p}"\n{rest}\n' for p, name, rest in MODELS)
SHAPES = [
    Architecture.model_validate({"class": kind, "hidden": 16, "layers": 3, "heads": 2, "ffn": 32, "context": 32})
    for kind in ("llama", "gpt2", "lfm2")
]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """All mechanisms, built once: the folder and the cards."""
    root = tmp_path_factory.mktemp("zoo")
    lines = [f"Log entry {n}: wind {n % 9}, tide {n % 5}, {n * 7 % 31} crates of lamp oil.\n" for n in range(1500)]
    (root / "words.txt").write_text("".join(lines))
    cards = build_zoo(parse_recipe(TEXT), root, root / "models", 1)
    return root / "models", {card.id: card for card in cards}


def test_every_mechanism_builds_and_is_on_its_card(zoo):
    _, cards = zoo
    assert len(cards) == len(MODELS)
    assert cards["p-two-teachers"].parents == ("p-teacher", "p-twin")
    assert cards["p-student"].settings["top_k"] == 4
    assert {name for name, card in cards.items() if card.init_of} == {"p-student-init"}
    assert cards["p-shorter"].parameters < cards["p-teacher"].parameters
    assert cards["p-grandchild"].architecture_class == "lfm2"
    assert all(card.held_out_bits_per_byte > 0 for card in cards.values())


def test_truth_of_every_mechanism(zoo):
    _, cards = zoo
    derived = {"tuned", "tuned-alike", "lora", "continued", "preferred", "int4", "pruned", "shorter", "merged", "tasks"}
    distilled = {"student", "student-init", "two-teachers", "student-text", "grandchild", "student-tuned"}
    assert {n for p, n, _ in MODELS if p == "p" and truth(cards, f"p-{n}", "p-teacher") == "derived"} - {
        "teacher"
    } == derived
    assert {n for p, n, _ in MODELS if p == "p" and truth(cards, f"p-{n}", "p-teacher") == "distilled"} == distilled
    assert truth(cards, "p-two-teachers", "p-twin") == "distilled"
    assert truth(cards, "p-student", "p-twin") == "unrelated"
    assert steps(cards, "p-student-tuned", "p-teacher") == ("finetune", "distill_text")


def test_strata_name_the_confounder(zoo):
    _, cards = zoo
    strata = {(pair.suspect, pair.reference): pair.stratum for pair in all_pairs(cards)}
    assert strata["p-twin", "p-teacher"] == "same data"
    assert strata["p-twin-other", "p-teacher"] == "same data, other architecture"
    assert strata["p-half", "p-teacher"] == "half the data"
    assert strata["p-twin-student", "p-teacher"] == "student of a same-data twin"
    assert strata["p-twin-tuned", "p-tuned"] == "same data and same fine-tuning set"
    assert strata["p-tuned-alike", "q-tuned"] == "same fine-tuning set"
    assert strata["p-twin-other", "q-teacher"] == "same tokenizer"
    assert strata["p-twin", "q-teacher"] == "other data"
    assert strata["p-teacher", "p-student"] == "descendant"
    assert strata["p-tuned", "p-int4"] == "siblings of one base"
    assert strata["p-student", "p-student-text"] == "common teacher"
    assert strata["p-student", "p-tuned"] == strata["p-int4", "p-student-text"] == "kin of the teacher"
    assert strata["p-tasks", "p-teacher"] == "add_tasks"


def test_controls_share_no_ancestry_and_pedigrees_form_a_ring(zoo):
    _, cards = zoo
    assert controls_for(cards, "p-student", "p-teacher") == ["p-twin", "p-half", "p-twin-other", "q-teacher"]
    assert "p-twin" not in controls_for(cards, "p-two-teachers", "p-teacher")
    assert next_pedigree(["b", "a", "c", "a"]) == {"a": "b", "b": "c", "c": "a"}


def test_models_are_recorded_and_score_their_neighbours(zoo, tmp_path):
    from fingerprint.zoo.record import Archive, record_zoo

    models, _ = zoo
    few = tmp_path / "models"
    few.mkdir()
    for name in ("p-teacher", "p-student", "p-int4", "q-teacher"):
        (few / name).symlink_to(models / name)
    assert record_zoo(few, tmp_path / "out", probes="style") == 4 + 3
    found = Archive(folder=tmp_path / "out").read("p-student")
    assert (
        found.model.weights
        == f"sha256:{Card.model_validate_json((models / 'p-student/card.json').read_text()).weights_sha256}"
    )
    # Its own, its teacher's and the neighbour's answers to 24 probes; the copy's are not scored.
    assert 60 <= len(found.scores) <= 72
    assert record_zoo(few, tmp_path / "out", probes="style") == 0


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.kind)
def test_cached_steps_of_every_architecture_agree_with_the_whole_text(shape):
    network = new_network(shape, 40, 0, 1).eval()
    tokens = sample(network, torch.zeros((2, 1), dtype=torch.long), 12, 1e-4, torch.Generator().manual_seed(0))
    with torch.inference_mode():
        whole = logits_of(network, tokens)[:, :-1].argmax(-1)
    assert torch.equal(whole, tokens[:, 1:])


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.kind)
def test_dropped_layers_are_gone_and_the_rest_is_kept(shape):
    network = new_network(shape, 40, 0, 1)
    short = without_layers(network, (0,))
    ids = torch.arange(10)[None]
    assert logits_of(short, ids).shape == (1, 10, 40)
    kept = {tuple(p.shape): p for p in short.parameters()}
    assert len(list(short.parameters())) < len(list(network.parameters()))
    assert all(any(torch.equal(p, q) for q in network.parameters() if q.shape == p.shape) for p in kept.values())
    with pytest.raises(ValueError, match="cannot be dropped"):
        without_layers(network, (3,))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.kind)
def test_adapters_start_silent_change_by_low_rank_and_fuse(shape):
    network = new_network(shape, 40, 0, 1)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    ids = torch.arange(10)[None]
    plain = logits_of(network, ids).detach()
    adapted(network, 2, 0)
    assert torch.allclose(logits_of(network, ids), plain, atol=1e-5)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(".b"):
                parameter.fill_(0.1)
    turned = logits_of(network, ids).detach()
    fused(network)
    assert not any(parametrize.is_parametrized(module) for module in network.modules())
    assert torch.allclose(logits_of(network, ids), turned, atol=1e-4)
    changed = {n: p - before[n] for n, p in network.named_parameters() if not torch.equal(p, before[n])}
    assert changed
    assert all(torch.linalg.matrix_rank(delta, rtol=1e-3) <= 2 for delta in changed.values())


def test_task_arithmetic_and_merging_are_the_sums_they_claim():
    base, one, two = (new_network(SHAPES[0], 40, 0, seed) for seed in (1, 2, 3))
    added = dict(tasks_added(base, [one, two], 0.5).named_parameters())
    half = dict(merged(base, one, 0.25).named_parameters())
    for (name, start), first, second in zip(base.named_parameters(), one.parameters(), two.parameters(), strict=True):
        assert torch.allclose(added[name], start + 0.5 * (first - start) + 0.5 * (second - start), atol=1e-6)
        assert torch.allclose(half[name], 0.75 * start + 0.25 * first, atol=1e-6)


def test_losses_are_zero_where_nothing_is_to_learn_and_fall_in_the_right_direction():
    teacher, other = (new_network(SHAPES[0], 40, 0, seed) for seed in (1, 2))
    ids = torch.arange(20).view(2, 10)
    batch = (ids, ids)
    same, wrong = logits_of(teacher, ids).detach(), logits_of(other, ids).detach()
    loss = distillation_loss([teacher], 2.0)
    assert float(loss(same, batch)) == pytest.approx(0, abs=1e-4)
    assert float(loss(wrong, batch)) > 0.001
    few = distillation_loss([teacher], 1.0, 5)
    assert float(few(same, batch)) == pytest.approx(float(next_token_loss(same, batch)) / 2, abs=1e-4)
    # What the list does not show does not count: two tokens of the rest change places.
    rest = same.topk(40).indices[..., -2:]
    swapped = same.scatter(-1, rest, same.gather(-1, rest.flip(-1)))
    assert float(few(swapped, batch) - next_token_loss(swapped, batch) / 2) == pytest.approx(0, abs=1e-4)
    both = distillation_loss([teacher, other], 1.0)
    assert float(both(same, batch)) > 0.001
    mean = torch.log((torch.softmax(same, -1) + torch.softmax(wrong, -1)) / 2)
    assert float(both(mean, batch)) == pytest.approx(0, abs=1e-4)
    prefer = preference_loss(teacher, 0.5)
    assert float(prefer(same, batch)) == pytest.approx(0.6931, abs=1e-3)
    # Row 0 is the better one: raising its tokens must lower the loss.
    raised = copy.copy(same)
    raised[0].scatter_add_(-1, ids[0][:, None], torch.ones(10, 1))
    assert float(prefer(raised, batch)) < 0.69


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (('openings = "other"', 'openings = "verbs"'), "verbs"),
        (('init_of = "p-teacher"', 'init_of = "p-twin-other"'), "same random weights"),
        (('of = ["p-tuned", "p-lora"]', 'of = ["p-twin-tuned"]'), "no common base"),
        (('second = "p-twin"', 'second = "p-twin-other"'), "distill_text across tokenizers"),
    ],
)
def test_faults_of_lineage_are_named(change, word):
    with pytest.raises(RecipeError, match=word):
        parse_recipe(TEXT.replace(*change))


def test_the_standard_recipe_keeps_its_promise():
    recipe = load_recipe("standard")
    kinds = [model.mechanism for model in recipe.models]
    pedigrees = {model.pedigree for model in recipe.models}
    assert len(recipe.models) >= 60
    assert len(pedigrees) >= 6
    assert kinds.count("distill_text") >= 12
    assert kinds.count("distill_logits") >= 12
    files = {recipe.corpora[model.corpus].file for model in recipe.models if model.mechanism == "pretrain"}
    assert len(files) >= 3
    assert {shape.kind for shape in recipe.architectures.values()} == {"llama", "gpt2", "lfm2"}
