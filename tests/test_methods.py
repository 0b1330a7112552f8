"""The methods beside the calibrated ones: known base, geometry, temperature, ranks, common answers; level and power."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from fingerprint import api, recording_file, shipped
from fingerprint.calibration.model import known
from fingerprint.errors import UsageError
from fingerprint.evidence.base import Evidence, Skipped
from fingerprint.evidence.case import Case
from fingerprint.evidence.known_base import known_base
from fingerprint.evidence.methods import examine
from fingerprint.evidence.text import common_answers, text_evidence
from fingerprint.recording import ModelInfo, Prompt, Recording, Sample
from fingerprint.report.schema import from_json
from fingerprint.report.verify import verify, verify_from
from fingerprint.stats import cka, difference
from fingerprint.stats.divergence import jensen_shannon
from fingerprint.stats.permutation import beats_all
from fingerprint.stats.ranks import overlap
from fingerprint.stats.temperature import profiled, tempered

RUNS = 1500


def holds(rejected: int, alpha: float, runs: int = RUNS) -> bool:
    """Whether so many rejections are no more than α and three standard errors allow."""
    return rejected / runs <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / runs)


def levels(pvalues: list[float]) -> None:
    assert len(pvalues) >= RUNS
    for alpha in (0.05, 0.01):
        rejected = sum(p <= alpha for p in pvalues)
        assert holds(rejected, alpha, len(pvalues)), (alpha, rejected)
    # A test that never rejects would keep its level too.
    assert sum(p <= 0.5 for p in pvalues) > 0.2 * len(pvalues)


def softmax(logits):
    table = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return table / table.sum(axis=-1, keepdims=True)


def exchangeable(rng, models=3, contexts=24, symbols=10):
    """Suspect, reference and controls that share a language and a taste for nobody."""
    return softmax(2 * rng.normal(size=(contexts, symbols)) + rng.normal(size=(models, contexts, symbols)))


# Known base


def shifts_without_a_teacher(rng, teachers=4, prompts=30):
    """The suspect became an assistant: it moved towards all teachers, by amounts that depend on the prompt."""
    return rng.standard_t(3, prompts) + 0.5 + rng.standard_t(3, (teachers, prompts))


def test_difference_in_differences_keeps_its_level():
    rng = np.random.default_rng(1)
    levels([difference.label_pvalue(shifts_without_a_teacher(rng), seed=run, rounds=199) for run in range(RUNS)])


def test_the_rank_keeps_its_level():
    rng = np.random.default_rng(2)
    found = [difference.rank_pvalue(shifts_without_a_teacher(rng, 100, 10)) for _ in range(RUNS)]
    levels(found)
    assert min(found) == pytest.approx(0.01)


def test_difference_in_differences_finds_the_teacher_and_forgets_what_all_share():
    shifts = shifts_without_a_teacher(np.random.default_rng(3), prompts=200)
    before = difference.moved(shifts)
    assert difference.moved(shifts + 7.0) == pytest.approx(before)
    shifts[0] += 0.8
    assert difference.moved(shifts) == pytest.approx(before + 0.8)
    assert difference.label_pvalue(shifts, seed=0) < 0.01
    assert difference.each_moved(shifts)[0] == pytest.approx(difference.moved(shifts))


def recorded(name: str, texts: list[str]) -> Recording:
    prompts = tuple(Prompt(id=f"p{i}", text=f"Question {i}?", set="style") for i in range(len(texts)))
    samples = tuple(Sample(prompt=f"p{i}", draw=0, text=text) for i, text in enumerate(texts))
    return Recording(
        model=ModelInfo(name=name, kind="rows", digest=f"sha256:{name:0>64}"), prompts=prompts, samples=samples
    )


def speakers(count: int, prompts: int, seed: int) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    return [[" ".join(f"t{i}w{w}" for w in rng.integers(0, 30, 12)) for i in range(prompts)] for _ in range(count)]


def mixed(first: list[str], second: list[str], share: float, rng) -> list[str]:
    pairs = zip(first, second, strict=True)
    words = [[b if rng.random() < share else a for a, b in zip(x.split(), y.split(), strict=True)] for x, y in pairs]
    return [" ".join(row) for row in words]


def test_a_suspect_that_moved_towards_the_reference_is_seen_against_its_base():
    base, teacher, *others = speakers(26, 60, 4)
    suspect = mixed(base, teacher, 0.4, np.random.default_rng(0))
    panel = tuple(recorded(f"m{i}", row) for i, row in enumerate(others))
    case = Case(
        suspect=recorded("suspect", suspect),
        reference=recorded("teacher", teacher),
        base=recorded("base", base),
        panel=panel,
    )
    found, skipped = known_base(case)
    assert isinstance(found, Evidence)
    assert isinstance(skipped, Skipped)
    assert "log-probabilities" in skipped.reason
    assert found.effect > 3 * max(abs(value) for value in found.controls.values())
    assert found.pvalue == pytest.approx(1 / 25)
    assert found.interval[0] > 0
    assert "base" in found.note
    # A fellow of the teacher that the suspect never met is none, though the suspect has moved away from its base.
    other = known_base(replace(case, reference=panel[0], panel=(case.reference, *panel[1:])))[0]
    assert other.effect < 0
    assert other.pvalue > 0.5


@pytest.mark.parametrize(
    ("base", "words"), [(None, "--base"), ("suspect", "the suspect itself"), ("teacher", "the reference itself")]
)
def test_a_base_that_is_none_is_skipped_with_the_reason(base, words):
    rows = {name: recorded(name, row) for name, row in zip(("suspect", "teacher", "x"), speakers(3, 30, 5), strict=True)}
    case = Case(
        suspect=rows["suspect"], reference=rows["teacher"], controls=(rows["x"],), base=rows.get(base) if base else None
    )
    assert all(words in item.reason for item in known_base(case))


def test_a_base_with_one_other_model_is_too_little():
    rows = [recorded(name, row) for name, row in zip("srbc", speakers(4, 30, 5), strict=True)]
    case = Case(suspect=rows[0], reference=rows[1], base=rows[2], controls=(rows[3],))
    assert "2 needed" in known_base(case)[0].reason


def test_distributions_show_what_a_model_moved_towards():
    """As if the student had been the stranger before it met its teacher."""
    models = {recording.model.name: recording for recording in shipped.recordings()}
    recordings = [models[name] for name in ("student", "teacher", "twin", "twin-gpt2")]
    case = api.make_case(recordings, shipped.recordings(), base=models["unrelated"])
    assert "unrelated" not in {recording.model.name for recording in case.others}
    found = {item.method: item for item in known_base(case)}["base_distributions"]
    assert found.effect > max(found.controls.values())
    assert found.interval[0] > 0
    with pytest.raises(UsageError, match="as a control"):
        api.make_case(recordings, shipped.recordings(), base=models["twin"])


def test_base_goes_through_the_command_and_into_the_report(program, tmp_path):
    base, teacher, *others = speakers(8, 30, 6)
    suspect = mixed(base, teacher, 0.5, np.random.default_rng(1))
    rows = {"s": suspect, "r": teacher, "b": base} | {f"c{i}": row for i, row in enumerate(others)}
    for name, texts in rows.items():
        recording_file.write(recorded(name, texts), tmp_path / f"{name}.jsonl")
    controls = [part for name in rows if name.startswith("c") for part in ("--control", f"rec:{name}.jsonl")]
    options = ["--base", "rec:b.jsonl", *controls, "--panel", "panel", "-o", "r.json", "--recordings", "kept"]
    (tmp_path / "panel").mkdir()
    recording_file.write(recorded("b", base), tmp_path / "panel" / "b.jsonl")
    done = program("compare", "rec:s.jsonl", "rec:r.jsonl", *options)
    assert done.returncode == 0, done.stderr
    assert "base of the suspect: b" in done.stdout
    result = json.loads((tmp_path / "r.json").read_text())["result"]
    assert result["base"]["name"] == "b"
    assert not result["panel"], "the base is no stranger"
    part = next(part for part in result["evidence"] if part["method"] == "base_text")
    assert part["effect"] > max(part["controls"].values())
    report = from_json((tmp_path / "r.json").read_text())
    assert verify(report, known()).same
    again = verify_from(report, api.read_folder(tmp_path / "kept"), known())
    assert again.same, again.difference


# Geometry


def test_alignment_of_gram_matrices_keeps_its_level():
    rng = np.random.default_rng(5)
    found = []
    for run in range(RUNS):
        grams = [cka.u_centred(rows @ rows.T) for rows in rng.standard_t(4, (2, 22, 6))]
        found.append(cka.permutation_pvalue(*grams, seed=run, rounds=99))
    levels(found)


def test_alignment_is_unbiased_and_blind_to_rotation():
    rng = np.random.default_rng(6)
    values = []
    for _ in range(400):
        # Many features and few probes: the biased estimator is far above zero here.
        grams = [cka.u_centred(rows @ rows.T) for rows in rng.normal(size=(2, 20, 200))]
        values.append(cka.alignment(*grams))
    assert abs(np.mean(values)) < 3 * np.std(values) / 20
    rows = rng.normal(size=(40, 7))
    turn = np.linalg.qr(rng.normal(size=(7, 7)))[0]
    grams = [cka.u_centred(x @ x.T) for x in (rows, 3 * rows @ turn)]
    assert cka.alignment(*grams) == pytest.approx(1)
    assert cka.permutation_pvalue(*grams, seed=0) == pytest.approx(1 / 200)
    assert cka.alignment(grams[0], np.zeros((40, 40))) == 0


def test_hsic_agrees_with_its_textbook_form():
    rng = np.random.default_rng(7)
    first, second = (rows @ rows.T for rows in rng.normal(size=(2, 12, 4)))
    n, one = 12, np.ones(12)
    k, j = first - np.diag(np.diag(first)), second - np.diag(np.diag(second))
    song = np.trace(k @ j) + (one @ k @ one) * (one @ j @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ k @ j @ one)
    assert (cka.u_centred(first) * cka.u_centred(second)).sum() == pytest.approx(song)


# Temperature


def test_the_tempered_divergence_keeps_its_level():
    rng = np.random.default_rng(8)
    found = []
    for run in range(RUNS):
        suspect, *others = exchangeable(rng, contexts=12, symbols=6)
        rows = np.array([-profiled(suspect, other)[1] for other in others])
        found.append(beats_all(rows[0], rows[1:], seed=run, rounds=99))
    levels(found)


def test_a_model_at_another_temperature_is_no_other_model():
    table = exchangeable(np.random.default_rng(9), models=1, contexts=200)[0]
    hot = tempered(table, 2.0)
    assert jensen_shannon(hot, table).mean() > 0.02
    best, bits = profiled(hot, table)
    assert best == pytest.approx(0.5, rel=0.1)
    assert bits.mean() < 0.001
    assert tempered(table, 1.0) == pytest.approx(table)
    assert profiled(table, table) == (1.0, pytest.approx(0, abs=1e-9))


def test_a_tail_stays_a_tail():
    rows = np.array([[0.5, 0.3, 0.0]])
    assert 1 - tempered(rows, 1.0).sum() == pytest.approx(0.2)
    assert tempered(rows, 2.0)[0, 2] == 0
    assert np.isfinite(tempered(np.zeros((2, 3)), 0.4)).all()


# Ranks


def test_rank_overlap_keeps_its_level():
    rng = np.random.default_rng(10)
    found = []
    for run in range(RUNS):
        lists = np.argsort(-exchangeable(rng), axis=2)[:, :, :6].astype(np.int32)
        rows = np.array([overlap(lists[0], other) for other in lists[1:]])
        found.append(beats_all(rows[0], rows[1:], seed=run, rounds=99))
    levels(found)


def by_the_book(first: list[int], second: list[int], p: float) -> float:
    """Equation 32 of Webber, Moffat and Zobel (2010), term by term."""
    depth = min(len(first), len(second))
    shared = [len(set(first[:d]) & set(second[:d])) for d in range(1, depth + 1)]
    return shared[-1] / depth * p**depth + (1 - p) / p * sum(x / d * p**d for d, x in enumerate(shared, start=1))


def test_rank_overlap_agrees_with_the_paper():
    rng = np.random.default_rng(11)
    for _ in range(50):
        lengths = rng.integers(1, 9, 2)
        lists = [list(rng.permutation(12)[:size]) for size in lengths]
        padded = np.full((2, 1, 10), -1, dtype=np.int32)
        for row, items in zip(padded, lists, strict=True):
            row[0, : len(items)] = items
        assert overlap(*padded)[0] == pytest.approx(by_the_book(*lists, p=0.9))
    same, other = np.arange(5, dtype=np.int32)[None], np.arange(5, 10, dtype=np.int32)[None]
    assert overlap(same, same)[0] == pytest.approx(1)
    assert overlap(same, other)[0] == 0
    assert overlap(same, np.full((1, 5), -1, np.int32))[0] == 0


# All of them on real recordings


def test_students_are_nearer_to_their_teacher_than_the_twin_is_in_every_view():
    models = {recording.model.name: recording for recording in shipped.recordings()}
    recordings = [models[name] for name in ("student", "teacher", "twin", "twin-gpt2")]
    found = {item.method: item for item in examine(api.make_case(recordings, shipped.recordings()))[0]}
    for method, sign in (("rank_overlap", 1), ("probe_geometry", 1), ("tempered_divergence", -1)):
        part = found[method]
        best = max(sign * value for value in part.controls.values())
        assert sign * part.effect > best, method
        assert part.interval[0] <= part.effect <= part.interval[1]
        assert 0 < part.pvalue <= 0.01, method


def test_ranks_go_by_bytes_and_not_by_numbers_of_tokens():
    models = {recording.model.name: recording for recording in shipped.recordings()}
    case = api.make_case([models["teacher"], models["teacher"]], shipped.recordings())
    ranks = case.aligned.ranks
    assert ranks.shape[2] == 20
    assert np.array_equal(ranks[0], ranks[1])
    assert case.aligned.choose([1, 2, 0]).ranks.shape[0] == 3


# Common answers


def test_what_most_models_say_is_common_and_what_two_say_is_not():
    tables = [{"q": "seven"}, {"q": "seven"}, {"q": "seven"}, {"q": "four"}, {"q": "two"}]
    assert common_answers(tables) == {"q": "seven"}
    assert common_answers([*tables[:2], {"q": "four"}, {"q": "two"}]) == {}
    assert common_answers(tables[:3]) == {}


def test_prompts_to_which_all_say_the_same_weigh_nothing_and_the_note_says_so():
    rows = speakers(8, 30, 12)
    poem = [f"shall i compare thee {i} to a summers day thou art more lovely" for i in range(20)]
    plain = [recorded(f"m{i}", row) for i, row in enumerate(rows)]
    reciting = [recorded(f"m{i}", row + (poem if i != 7 else speakers(1, 20, 13)[0])) for i, row in enumerate(rows)]
    before, after = (
        {item.method: item for item in text_evidence(Case(suspect=r[0], reference=r[1], panel=tuple(r[2:])))}
        for r in (plain, reciting)
    )
    for method in ("control_contrast", "rarity_match", "rare_ngrams"):
        assert after[method].n == before[method].n == 30
        assert after[method].effect == pytest.approx(before[method].effect, abs=1e-5)
        assert "20 prompts" in after[method].note
        assert "20 prompts" not in before[method].note


def test_a_pair_that_alone_says_something_is_not_filtered():
    rows = speakers(6, 40, 14)
    rows[1] = rows[0]
    everybody = [recorded(f"m{i}", row) for i, row in enumerate(rows)]
    for others in (everybody[2:4], everybody[2:]):
        found = {
            item.method: item
            for item in text_evidence(Case(suspect=everybody[0], reference=everybody[1], panel=tuple(others)))
            if isinstance(item, Evidence)
        }
        assert found["control_contrast"].effect == 1
        assert found["rare_ngrams"].n == 40
