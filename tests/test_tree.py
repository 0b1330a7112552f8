"""Family trees: neighbour joining is right where it must be, groups are those that were planted, pictures are safe."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from xml.etree import ElementTree as ET

import dendropy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from fingerprint import recording_file, shipped
from fingerprint.calibration.ties import TOPK
from fingerprint.calibration.ties import shipped as shipped_calibration
from fingerprint.canonical import digest
from fingerprint.cli.app import app
from fingerprint.recording import ModelInfo, Prompt, Recording, Sample, TensorSketch
from fingerprint.tree import page, picture
from fingerprint.tree.grow import grow
from fingerprint.tree.joining import neighbour_joining, split
from fingerprint.tree.kinship import compare_weights, copied_from, groups
from fingerprint.tree.model import Descent, FamilyTree, Node, Tie, newick
from fingerprint.tree.panel import Settings, find_groups
from fingerprint.tree.ties import FEATURE, panel_deviations

QUICK = Settings(replicates=10)


def random_tree(rng, size):
    """Splits and path lengths of a random binary tree with edges of 0.1 and more."""
    nodes = {taxon: frozenset({taxon}) for taxon in range(size)}
    distance = np.zeros((size, size))
    splits = set()
    while len(nodes) > 1:
        one, two = rng.choice(sorted(nodes), 2, replace=False)
        for side in (nodes[one], nodes[two]):
            for taxon in side:
                for other in set(range(size)) - side:
                    distance[taxon, other] += (edge := 0.1 + (hash((min(side), len(side))) % 7) / 10)
                    distance[other, taxon] += edge
            splits.add(split(side, size))
        nodes[one] |= nodes.pop(two)
    return {each for each in splits if 1 < len(each) < size - 1}, distance


def tiny_joining(distance):
    """Splits of neighbour joining, written as Saitou and Nei have it: the other implementation."""
    size = len(distance)
    sides = {taxon: frozenset({taxon}) for taxon in range(size)}
    table = {(i, j): float(distance[i, j]) for i in range(size) for j in range(size) if i != j}
    found, label = set(), size
    while len(sides) > 3:
        count = len(sides)
        total = {i: sum(table[i, k] for k in sides if k != i) for i in sides}
        one, two = min(
            ((i, j) for i in sides for j in sides if i < j),
            key=lambda p: (count - 2) * table[p] - total[p[0]] - total[p[1]],
        )
        for k in sides:
            if k not in {one, two}:
                table[label, k] = table[k, label] = (table[one, k] + table[two, k] - table[one, two]) / 2
        sides[label] = sides.pop(one) | sides.pop(two)
        found.add(split(sides[label], size))
        label += 1
    return {each for each in found if 1 < len(each) < size - 1}


def splits_of(branch, size):
    return {split(part.taxa, size) for part in branch.walk() if 1 < len(part.taxa) < size - 1}


@settings(max_examples=25, deadline=None)
@given(st.integers(4, 14), st.integers(0, 10_000))
def test_joining_recovers_the_tree_of_an_additive_matrix(size, seed):
    splits, distance = random_tree(np.random.default_rng(seed), size)
    found = neighbour_joining(distance)
    assert splits_of(found, size) == splits
    assert found.taxa == frozenset(range(size))


@settings(max_examples=15, deadline=None)
@given(st.integers(4, 10), st.integers(0, 10_000))
def test_joining_agrees_with_another_implementation_on_noise(size, seed):
    distance = np.random.default_rng(seed).uniform(1, 2, (size, size))
    distance = (distance + distance.T) / 2
    np.fill_diagonal(distance, 0)
    assert splits_of(neighbour_joining(distance), size) == tiny_joining(distance)


def test_joining_gives_path_lengths_back_and_does_not_depend_on_order():
    _, distance = random_tree(np.random.default_rng(5), 9)
    order = np.random.default_rng(1).permutation(9)
    again = neighbour_joining(distance[np.ix_(order, order)])
    moved = {split(frozenset(int(order[t]) for t in each), 9) for each in splits_of(again, 9)}
    assert moved == splits_of(neighbour_joining(distance), 9)

    def depth(branch, taxon):
        return 0.0 if not branch.parts else next(p.length + depth(p, taxon) for p in branch.parts if taxon in p.taxa)

    branch = neighbour_joining(distance)
    both = next(p for p in branch.walk() if {0, 1} <= p.taxa and not any({0, 1} <= q.taxa for q in p.parts))
    assert depth(both, 0) + depth(both, 1) == pytest.approx(distance[0, 1], abs=1e-6)
    assert neighbour_joining(np.array([[0, 2.0], [2.0, 0]])).parts[0].length == 1.0
    star = neighbour_joining(1.0 - np.eye(6))
    assert neighbour_joining(1.0 - np.eye(6)) == star


# Weights


def sketch(values, name="w"):
    scale = float(np.abs(values).max())
    packed = base64.b64encode((values / scale).astype("<f2").tobytes()).decode()
    return TensorSketch(name=name, shape=(64, 64), scale=scale, values=packed)


def with_weights(name, tensors):
    sketches = tuple(sketch(values, f"w{place}") for place, values in enumerate(tensors))
    return Recording(model=ModelInfo(name=name, kind="toy", digest=digest(name)), sketch=sketches)


def rounded(values, top):
    blocks = values.reshape(-1, 32)
    step = np.abs(blocks).max(axis=1, keepdims=True) / top
    return (np.round(blocks / step) * step).ravel()


@pytest.fixture(scope="module")
def kin():
    rng = np.random.default_rng(0)
    base = [rng.normal(0, 1, 256) for _ in range(6)]
    small = [np.where(np.abs(values) < 0.4, 0, values) for values in base]
    made = {
        "base": base,
        "int8": [rounded(values, 127) for values in base],
        "int4": [rounded(values, 7) for values in base],
        "pruned": small,
        "tuned": [values + rng.normal(0, 0.1, 256) for values in base],
        "stranger": [rng.normal(0, 1, 256) for _ in range(6)],
    }
    made["tuned-int4"] = [rounded(values, 7) for values in made["tuned"]]
    made["gentle"] = [values + rng.normal(0, 0.01, 256) * np.abs(values).max() / 7 for values in made["int4"]]
    return {name: with_weights(name, tensors) for name, tensors in made.items()}


def test_only_copies_show_a_direction(kin):
    shown = {(a, b) for a in kin for b in kin if a != b and copied_from(kin[a], kin[b])}
    assert {("int8", "base"), ("int4", "base"), ("int4", "int8"), ("pruned", "base"), ("tuned-int4", "tuned")} <= shown
    # A gentle fine-tune of a rounded model rounds back to it, but it is no original.
    assert ("int4", "gentle") not in shown
    assert {b for a, b in shown if a == "gentle"} <= {"base", "int8", "int4"}
    assert not {pair for pair in shown if "stranger" in pair or pair[0] in {"base", "tuned"} or pair[1] == "gentle"}


def test_distances_by_weights_add_up_along_descent(kin):
    names = ["tuned", "base", "tuned-int4", "stranger"]
    weights = compare_weights([kin[name] for name in names])
    far = weights.distances(np.arange(4))[0]
    assert far[1, 2] == pytest.approx(far[0, 1] + far[0, 2], rel=0.35)
    assert groups(weights.kin()) == [[0, 1, 2], [3]]


def test_no_kin_under_the_null():
    rng = np.random.default_rng(1)
    crowd = [with_weights(f"m{i}", [rng.normal(0, 1, 256) for _ in range(4)]) for i in range(60)]
    assert not compare_weights(crowd).kin().any()


# Behaviour


def planted_gram(rng, contexts, parents):
    """Residuals of models: shared data for all, own noise, and a part of the teacher's own noise for students."""
    shared = rng.normal(0, 1, contexts)
    own = rng.normal(0, 1, (len(parents), contexts))
    rows = []
    for model, parent in enumerate(parents):
        rows.append(shared + (own[model] if parent is None else 0.3 * own[model] + (rows[parent] - shared)))
    rows = np.array(rows)
    return rows @ rows.T


def test_deviations_find_students_and_not_same_data_twins():
    parents = [None, 0, None, 2, None, None, None, None]
    hits, false = 0, 0
    for seed in range(20):
        table = panel_deviations(planted_gram(np.random.default_rng(seed), 400, parents), [[m] for m in range(8)])
        strongest = {tuple(sorted(divmod(int(place), 8))) for place in np.argsort(-table.ravel())[:4]}
        hits += strongest == {(0, 1), (2, 3)}
        false += int((table[4:, 4:] > 0.6).sum())
    assert hits >= 19
    assert false == 0


def test_ties_do_not_grow_or_fade_with_the_size_of_the_panel():
    found = {}
    for models in (6, 60):
        parents = [None, 0, *[None] * (models - 2)]
        alone = [[m] for m in range(models)]
        tables = [panel_deviations(planted_gram(np.random.default_rng(s), 400, parents), alone) for s in range(20)]
        found[models] = np.mean([table[0, 1] for table in tables]), np.max([table[2:, 2:] for table in tables])
    assert found[6][0] == pytest.approx(found[60][0], rel=0.25)
    assert max(found[6][1], found[60][1]) < min(found[6][0], found[60][0])


def test_kin_by_weights_count_as_one_and_are_not_told_apart_by_behaviour():
    gram = planted_gram(np.random.default_rng(0), 400, [None, 0, None, None, None, None, None])
    order = [0, 0, 0, 0, 1, 2, 3, 4, 5, 6]
    copies = gram[np.ix_(order, order)]
    table = panel_deviations(copies, [[0, 1, 2, 3], *([m] for m in range(4, 10))])
    single = panel_deviations(gram, [[m] for m in range(7)])
    assert np.allclose(table[3:, 3:], single)
    assert not table[:4, :4].any()
    assert np.allclose(table, table.T)


def test_groups_need_a_strong_pair_and_a_favourable_mean():
    log_lr = np.full((6, 6), -1.0)
    for pair, value in {(0, 1): 1.5, (1, 2): 1.2, (0, 2): 0.4, (3, 4): 0.9, (0, 5): 1.2}.items():
        log_lr[pair] = log_lr[pair[::-1]] = value
    alone = [[m] for m in range(6)]
    assert set(find_groups(log_lr, log_lr, alone)) == {frozenset({0, 1}), frozenset({0, 1, 2})}
    # As one lineage by weights, 0 and 5 are near to 1 as a whole, and 0.9 is still not enough.
    found = find_groups(log_lr, log_lr, [[0, 5], [1], [2], [3], [4]])
    assert frozenset({0, 1, 2, 5}) in found
    assert not any(3 in group for group in found)


def test_no_groups_under_the_null():
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(50):
        noise = rng.normal(-1, 0.5, (20, 20))
        noise = np.triu(noise, 1) + np.triu(noise, 1).T
        found += len(find_groups(np.clip(noise, -1.2, 1.6), noise, [[m] for m in range(20)]))
    assert found <= 2


# The whole


@pytest.fixture(scope="module")
def calibration():
    return shipped_calibration()


@pytest.fixture(scope="module")
def small_zoo():
    """The shipped models, with a third of the prompts: quick, and of known lineage."""
    cut = []
    for recording in shipped.recordings():
        kept = {prompt.id for place, prompt in enumerate(recording.prompts) if place % 4 == 0}
        rows = {
            name: tuple(row for row in getattr(recording, name) if row.prompt in kept)
            for name in ("samples", "distributions")
        }
        cut.append(replace(recording, prompts=tuple(p for p in recording.prompts if p.id in kept), **rows))
    return cut


@pytest.fixture(scope="module")
def shipped_tree(small_zoo, calibration):
    return grow(small_zoo, calibration, QUICK)


def test_the_shipped_pedigree_comes_back(shipped_tree):
    families = {frozenset(node.names) for node in shipped_tree.families}
    related = {"teacher", "student", "student-text", "finetune"}
    found = {frozenset(name.removeprefix("zoo:") for name in family) for family in families}
    assert any({"teacher", "finetune"} <= family for family in found)
    assert all(family <= related for family in found)
    kinds = {leaf.model.removeprefix("zoo:"): leaf.kind for node in shipped_tree.families for leaf in node.leaves()}
    assert kinds["teacher"] == kinds["finetune"] == "weights"


def test_strangers_of_the_shipped_panel_stand_alone(calibration):
    # All prompts: what a reader of the README sees. The two strangers and the teacher's twins descend from nobody here.
    tree = grow(shipped.recordings(), calibration, QUICK)
    strangers = {name.removeprefix("zoo:") for name in tree.strangers}
    assert {"twin", "twin-gpt2", "unrelated", "unrelated-gpt2"} <= strangers
    assert not tree.ties


def test_what_ties_were_calibrated_on_is_said_and_nothing_is_claimed_outside(small_zoo, calibration):
    tier = calibration.tiers[TOPK]
    assert tier.features == (FEATURE,)
    least, most = tier.lineages
    whole = grow(small_zoo, calibration, QUICK)
    assert any(f"panels of {least} to {most} lineages" in note for note in whole.notes)
    few = [
        r for r in small_zoo if r.model.name.removeprefix("zoo:") in {"teacher", "finetune", "student", "twin", "unrelated"}
    ]
    small = grow(few, calibration, QUICK)
    assert [len(node.names) for node in small.families] == [2]
    assert any(f"calibrated on panels of {least} and more" in note for note in small.notes)
    large = [replace(r, model=replace(r.model, parameters=7_000_000_000)) for r in small_zoo]
    assert any("of other sizes" in note for note in grow(large, calibration, QUICK).notes)


def test_order_does_not_matter_and_the_same_seed_gives_the_same_bytes(small_zoo, calibration, shipped_tree):
    again = grow(small_zoo[::-1], calibration, QUICK)
    assert json.dumps(again.as_json()) == json.dumps(shipped_tree.as_json())
    assert page.render_page(again) == page.render_page(shipped_tree)


def test_newick_is_read_by_others(shipped_tree):
    tree = dendropy.Tree.get(data=newick(shipped_tree.root), schema="newick", preserve_underscores=True)
    assert sorted(leaf.taxon.label for leaf in tree.leaf_node_iter()) == sorted(shipped_tree.models)


def chatty(name, seed, like=None):
    rng = np.random.default_rng(seed)
    words = np.array([f"w{k}" for k in range(400)])
    prompts = tuple(Prompt(id=f"p{k}", text=f"Question {k}") for k in range(40))
    texts = {}
    for place, prompt in enumerate(prompts):
        own = " ".join(rng.choice(words, 40))
        texts[prompt.id] = like[prompt.id] if like and place % 3 else own
    samples = tuple(Sample(prompt=key, draw=0, text=text) for key, text in texts.items())
    info = ModelInfo(name=name, kind="toy", digest=digest(name))
    return Recording(model=info, prompts=prompts, samples=samples), texts


def test_text_alone_ties_copies_and_nobody_else(calibration):
    found = [chatty(f"model-{place}", place) for place in range(22)]
    copy, _ = chatty("copy-of-3", 99, like=found[3][1])
    tree = grow([recording for recording, _ in found] + [copy], calibration, QUICK)
    assert [set(node.names) for node in tree.families] == [{"copy-of-3", "model-3"}]
    assert tree.families[0].children[0].kind == "behaviour"
    assert not tree.descents
    # Below the size from which `matrix` claims likelihood ratios, text ties nobody.
    few = grow([recording for recording, _ in found[:6]] + [copy], calibration, QUICK)
    assert not few.families
    assert any("too few models" in note for note in few.notes)


def test_models_with_three_prompts_in_common_are_strangers(calibration):
    (one, _), (two, _) = chatty("a", 1), chatty("b", 2)
    two = replace(two, prompts=two.prompts[:3], samples=two.samples[:3])
    tree = grow([one, two], calibration, QUICK)
    assert tree.strangers == ("a", "b")


def test_one_recording_twice_is_two_leaves_with_names_of_their_own(small_zoo, calibration):
    tree = grow([small_zoo[0], small_zoo[0], small_zoo[-1]], calibration, QUICK)
    assert len(set(tree.models)) == 3
    assert sorted(name[-3:] for name in tree.models if name.startswith(small_zoo[0].model.name)) == [" #1", " #2"]


def test_the_terminal_says_what_the_ties_rest_on(shipped_tree):
    shown = "\n".join(page.lines(shipped_tree))
    assert all(note in shown for note in shipped_tree.notes)
    assert "1 have" not in shown


EVIL = "<script>alert(1)</script>'\u202e&"


def test_pages_hold_no_script_and_foreign_names_are_harmless():
    leaves = tuple(Node(model=f"{EVIL}{k}", length=0.1, kind="weights") for k in range(3))
    root = Node(children=(Node(children=leaves, support=0.9, log10_lr=1.0), Node(model=EVIL)))
    tree = FamilyTree(
        models=(*root.children[0].names, EVIL),
        root=root,
        descents=(Descent(child=f"{EVIL}0", parents=(f"{EVIL}1",), why="rounded"),),
        ties=(Tie(a=f"{EVIL}0", b=EVIL, log10_lr=1.0),),
    )
    for text in (page.render_page(tree), picture.standalone(tree), "\n".join(page.lines(tree))):
        assert "\u202e" not in text
    html = page.render_page(tree)
    assert "<script" not in html
    assert "http" not in html.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    ET.parse(io.StringIO(picture.standalone(tree)))
    parsed = dendropy.Tree.get(data=newick(root), schema="newick", preserve_underscores=True)
    assert len(parsed.leaf_nodes()) == 4


def test_a_family_of_many_is_drawn_row_by_row():
    leaves = tuple(Node(model=f"m{k:03d}", length=k / 100, kind="behaviour") for k in range(200))
    node = Node(children=leaves, support=1.0)
    tree = FamilyTree(models=node.names, root=Node(children=(node,)))
    drawn = str(picture.family(node, {}))
    rows = [float(part.split('"')[0]) for part in drawn.split(' y="')[1:]]
    assert len(rows) == 200
    assert min(np.diff(rows)) >= 20
    assert str(picture.wheel(tree)).count("<circle") == 200


def test_small_families_of_a_crowded_wheel_stay_near_its_rim():
    pairs = [
        Node(children=tuple(Node(model=f"{k:03d}{side}", kind="weights") for side in "ab"), support=1.0) for k in range(60)
    ]
    tree = FamilyTree(models=tuple(n for pair in pairs for n in pair.names), root=Node(children=tuple(pairs)))
    starts = [part.split("A")[0].split() for part in str(picture.wheel(tree)).split(' d="M')[1:]]
    assert len(starts) == 120
    # Lines of neighbours that all began at the hub would lie on one another.
    assert min(float(x) ** 2 + float(y) ** 2 for x, y in starts) > 200**2


def labels(svg):
    """(class, x, shown words, hidden title) of every text in a picture."""
    space = "{http://www.w3.org/2000/svg}"
    root = ET.fromstring(str(svg).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))
    for text in root.iter(f"{space}text"):
        title = text.find(f"{space}title")
        inner = "".join(part.text or "" for part in text.iter(f"{space}tspan"))
        yield text.get("class"), float(text.get("x")), (text.text or "") + inner, None if title is None else title.text


def test_names_are_told_apart_and_stay_inside_the_picture():
    names = [f"an-organisation-of-some-length/a-model-with-a-long-name-and-a-number-{k:02d}" for k in range(50)]
    leaves = tuple(Node(model=name, length=0.3, kind="weights") for name in names)
    node = Node(children=leaves, support=1.0)
    descents = {names[0]: Descent(child=names[0], parents=(names[1], names[2]), why="rounded")}
    rows = [row for row in labels(picture.family(node, descents)) if row[0] == "label"]
    assert len({words for _, _, words, _ in rows}) == 50
    assert all(words.split(" ")[0].endswith(f"{k:02d}") or "made from" in words for k, (_, _, words, _) in enumerate(rows))
    assert all(x + 7.6 * len(words) < picture.WIDTH for _, x, words, _ in rows if "made from" not in words)
    assert rows[0][3] == f"{names[0]}, made from {names[1]} or {names[2]}"
    tree = FamilyTree(models=node.names, root=Node(children=(node,)))
    around = [row for row in labels(picture.wheel(tree)) if row[0] == "small"]
    assert len({words for _, _, words, _ in around}) == 50
    assert {title for _, _, _, title in around} == set(names)
    short = Descent(child="copy", parents=("original",), why="rounded")
    pair = Node(children=tuple(Node(model=name, kind="weights") for name in ("copy", "original")), support=1.0)
    assert "copymade from original" in [words for _, _, words, _ in labels(picture.family(pair, {"copy": short}))]


def test_the_command(tmp_path, small_zoo):
    for recording in small_zoo:
        recording_file.write(recording, tmp_path / f"{recording.model.name.replace(':', '-')}.jsonl.zst")
    out = [f"-o{tmp_path / name}" for name in ("tree.json", "tree.nwk", "tree.html", "tree.svg")]
    done = CliRunner().invoke(app, ["tree", str(tmp_path), "--replicates", "5", *out])
    assert done.exit_code == 0, done.exception
    value = json.loads((tmp_path / "tree.json").read_text())
    assert (tmp_path / "tree.nwk").read_text().strip() == value["newick"]
    assert "teacher" in done.stdout
    bad = CliRunner().invoke(app, ["tree", str(tmp_path), "-o", "tree.pdf"])
    assert "no known ending" in str(bad.exception)
    (tmp_path / "one").mkdir()
    recording_file.write(small_zoo[0], tmp_path / "one" / "a.jsonl.zst")
    lonely = CliRunner().invoke(app, ["tree", str(tmp_path / "one")])
    assert "one recording only" in str(lonely.exception)
