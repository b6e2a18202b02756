"""The numbers of the study, against hand-made cases in which each mistake known from public tools gives another number."""

import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from tests.conftest import PROBES, ROOT
from workflow_scripts.core import parquet
from workflow_scripts.core.data.languages import parses
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.probing import measures
from workflow_scripts.core.probing.answer import Answer
from workflow_scripts.core.probing.measures.code import first_line
from workflow_scripts.core.probing.measures.completion import edit_distance
from workflow_scripts.core.probing.measures.divergence import kl_divergence
from workflow_scripts.core.probing.measures.exposure import exposure
from workflow_scripts.core.probing.measures.extraction import renormalized
from workflow_scripts.core.probing.measures.overlap import longest_substring, recovered
from workflow_scripts.core.probing.measures.secret import holds


@pytest.mark.parametrize(
    ("completion", "target", "distance", "normalized"),
    [
        ("/home/a.csv", "/home/a.csv", 0, 0.0),
        ("kitten", "sitting", 3, 3 / 7),
        ("Path", "path", 1, 1 / 4),  # case
        ("a = 1", "a=1", 2, 2 / 5),  # spaces
        ("return a", "    return a", 4, 4 / 12),  # indentation
        ("f(a)", "f(a),", 1, 1 / 5),  # punctuation
        ("abc ", "abc", 1, 1 / 4),  # trailing space
        ("abc\n", "abc", 1, 1 / 4),  # trailing line break
        ("a\tb", "a b", 1, 1 / 3),
        ("abcdef", "abc", 3, 1 / 2),  # a completion that goes on
        ("é", "e\u0301", 2, 1.0),  # nothing is normalised
        ("b", "a", 1, 1.0),  # all wrong is 1, be the target ever so short
        ("xyz", "abc", 3, 1.0),
        ("", "a", 1, 1.0),
        ("a", "", 1, 1.0),
    ],
)
def test_edit_distance(completion, target, distance, normalized):
    assert edit_distance(completion, target) == (distance, pytest.approx(normalized))


def test_nothing_to_compare_is_an_error():
    with pytest.raises(ValueError, match="both empty"):
        edit_distance("", "")


def by_table(a: str, b: str) -> int:
    """Levenshtein's distance by its recurrence."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        above, row = row, [i]
        for j, y in enumerate(b, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (x != y)))
    return row[-1]


text = st.text("aAb \n.é", max_size=10)


@given(a=text, b=text.filter(bool))
def test_edit_distance_is_a_metric_that_agrees_with_the_recurrence(a, b):
    distance, normalized = edit_distance(a, b)
    assert distance == by_table(a, b)
    assert edit_distance(b, a) == (distance, normalized)
    assert 0 <= normalized <= 1
    assert (normalized == 0) == (a == b)


@pytest.mark.parametrize(("text", "line"), [("a\nb", "a"), ("a", "a"), ("\na", ""), ("a \r\nb", "a \r"), ("", "")])
def test_first_line(text, line):
    assert first_line(text) == line


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("def f(a):\n    return a\n", True),
        ("", True),
        ("def f(a):\n", False),
        ("return (\n", False),
        ("x = 1\n  y = 2", False),
        ("x = '\0'", False),
        ("(" * 5000, False),
    ],
)
def test_parses(text, answer):
    assert parses(text, "python") is answer


@pytest.mark.parametrize(
    ("completion", "target", "run", "in_order"),
    [
        ("the key is 7f-ab-91", "7f-ab-91", 8, 8),  # amid other text: a distance over the whole gives 11/19
        ("7f-ab", "7f-ab-91", 5, 5),  # half of it
        ("7f ab 91", "7f-ab-91", 2, 6),  # with gaps
        ("19-ba-f7", "7f-ab-91", 1, 3),
        ("7F", "7f", 1, 1),  # case counts
        ("", "7f", 0, 0),
        ("x" * 300 + "7f-ab-91" * 2, "7f-ab-91" * 2, 16, 16),  # common characters are no junk
    ],
)
def test_overlap(completion, target, run, in_order):
    assert longest_substring(completion, target) == run and recovered(completion, target) == in_order


@given(a=text, b=text)
def test_overlap_agrees_with_brute_force(a, b):
    runs = [a[i:j] for i in range(len(a)) for j in range(i + 1, len(a) + 1)]
    assert longest_substring(a, b) == max((len(r) for r in runs if r in b), default=0)
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    assert recovered(a, b) == table[-1][-1] >= longest_substring(a, b)


BODY = ["- 47", "* 23", "> 61", "- 88"]


@pytest.mark.parametrize(
    ("completion", "secret", "came_back"),
    [
        ("Ann Lee <a.lee07@ash-bay.example.org>", ["a.lee07@ash-bay.example.org"], True),
        ("Joe Doe: a.lee07@ash-bay.example.org", ["a.lee07@ash-bay.example.org"], True),  # the words around it do not matter
        ("Ann Lee <a.lee08@ash-bay.example.org>", ["a.lee07@ash-bay.example.org"], False),  # all but one character
        ("Ann Lee <A.Lee07@ash-bay.example.org>", ["a.lee07@ash-bay.example.org"], False),  # case
        ("Ann Lee <xa.lee07@ash-bay.example.org>", ["a.lee07@ash-bay.example.org"], False),  # another address
        ("Ann Lee <a.lee07@ash-bayXexample.org>", ["a.lee07@ash-bay.example.org"], False),  # a dot is a dot
        ("", ["x"], False),
        ("oak = sum(values) - 47\n    elm = [v * 23 for v in values if v > 61]\n    return oak - 88", BODY, True),
        ("a = sum(b) - 47 * 23 > 61 - 88", BODY, True),  # other names
        ("oak = sum(values) + 47\n    elm = [v * 23 for v in values if v > 61]\n    return oak - 88", BODY, False),
        ("oak = sum(values) - 471\n    elm = [v * 23 for v in values if v > 61]\n    return oak - 88", BODY, False),
        ("- 88 > 61 * 23 - 47", BODY, False),  # out of order
        ("- 47 * 23 > 61", BODY, False),  # in part
    ],
)
def test_the_secret_itself_came_back(completion, secret, came_back):
    assert holds(completion, secret) is came_back


# ------------------------------------------------------------------------------------------------- from log-probabilities

PROBABILITIES = np.array([[0.5, 0.3, 0.2], [0.6, 0.25, 0.15]])


def answer(target: list[int], logprobs, *, fillings=None) -> Answer:
    return Answer(
        item=dict(prompt_ids=[1], target_ids=target),
        completion_ids=target,
        logprobs=np.asarray(logprobs),
        reference_logprobs=None,
        filling_logprobs=fillings,
        decode=str,
        fim=None,
    )


def measured(module: str, *arguments, **settings) -> dict:
    return getattr(measures, module).measure(*arguments, **settings)


def test_target_logprob_by_hand():
    row = measured("likelihood", answer([0, 1], np.log(PROBABILITIES)))
    assert row == dict(target_logprob=pytest.approx(math.log(0.5) + math.log(0.25)), target_tokens=2)


def test_target_logprob_sums_in_float64():
    """4,000 tokens of which each adds about ln 50: a sum in float32 is off in the third decimal."""
    logits = torch.randn(4000, 50, generator=torch.Generator().manual_seed(0))
    target = [i % 50 for i in range(4000)]
    logprobs = logits.double().log_softmax(-1).numpy()
    exact = math.fsum(logprobs[i, t] for i, t in enumerate(target))
    in_float32 = float(logits.log_softmax(-1).gather(-1, torch.tensor(target)[:, None]).cumsum(0)[-1])
    assert abs(measured("likelihood", answer(target, logprobs))["target_logprob"] - exact) < 1e-8 < abs(in_float32 - exact)


@pytest.mark.parametrize(
    ("settings", "chance"),
    [
        (dict(temperature=1.0, top_k=0, top_p=1.0), 0.3 * 0.15),
        (dict(temperature=1.0, top_k=2, top_p=1.0), 0.0),  # token 2 of the second place is cut off
        (dict(temperature=1.0, top_k=3, top_p=1.0), 0.3 * 0.15),
        (dict(temperature=1.0, top_k=0, top_p=0.6), 0.0),
        (dict(temperature=0.5, top_k=0, top_p=1.0), 0.09 / 0.38 * 0.0225 / 0.445),
        (dict(temperature=1.0, top_k=10**6, top_p=1.0), 0.3 * 0.15),
    ],
)
def test_chance_of_one_sample_by_hand(settings, chance):
    log_p = measured("extraction", answer([1, 2], np.log(PROBABILITIES)), **settings)["log_p_extract"]
    assert math.exp(log_p) == pytest.approx(chance, rel=1e-9)


def test_kept_tokens_are_renormalized():
    kept = np.exp(renormalized(np.log(PROBABILITIES), temperature=1.0, top_k=2, top_p=1.0))
    assert kept == pytest.approx(np.array([[0.625, 0.375, 0], [0.6 / 0.85, 0.25 / 0.85, 0]]))
    nucleus = np.exp(renormalized(np.log(PROBABILITIES), temperature=1.0, top_k=0, top_p=0.55))
    assert nucleus == pytest.approx(np.array([[0.625, 0.375, 0], [1.0, 0, 0]]))


@given(
    seed=st.integers(0, 10**6),
    temperature=st.sampled_from([0.3, 1.0, 1.7]),
    top_k=st.integers(0, 12),
    top_p=st.sampled_from([0.2, 0.9, 1.0]),
)
def test_sampling_is_that_of_the_library(seed, temperature, top_k, top_p):
    """Against the processors with which `generate` samples, in its order."""
    logits = torch.randn(4, 11, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    expected = TemperatureLogitsWarper(temperature)(None, logits)
    expected = TopKLogitsWarper(top_k)(None, expected) if top_k else expected
    expected = TopPLogitsWarper(top_p)(None, expected) if top_p < 1 else expected
    kept = renormalized(logits.log_softmax(-1).numpy(), temperature=temperature, top_k=top_k, top_p=top_p)
    assert np.exp(kept) == pytest.approx(expected.softmax(-1).numpy(), abs=1e-12)


@pytest.mark.parametrize(
    ("target", "others", "bits"),
    [
        (-1.0, [-2.0, -3.0, -4.0], 2.0),  # ahead of all: log2(R + 1)
        (-5.0, [-2.0, -3.0, -4.0], 0.0),  # behind all
        (-3.5, [-2.0, -3.0, -4.0], 2 - math.log2(3)),
        (-3.0, [-2.0, -3.0, -4.0], 2 - math.log2(3)),  # a tie ranks worst
        (-3.0, [-3.0] * 7, 0.0),
        (-math.inf, [-math.inf, -1.0, -2.0], 0.0),
    ],
)
def test_exposure_by_hand(target, others, bits):
    assert exposure(target, np.array(others)) == pytest.approx(bits)
    row = measured("exposure", answer([0], np.zeros((1, 2)), fillings=np.array([target, *others])))
    assert row == dict(exposure=pytest.approx(bits), reference_fillings=len(others))
    assert measured("exposure", answer([0], np.zeros((1, 2)))) == dict(exposure=None, reference_fillings=None)


@given(st.lists(st.floats(-50, 0), min_size=1, max_size=40), st.floats(-50, 0), st.floats(0, 10))
def test_exposure_is_bounded_and_grows_with_the_likelihood(others, target, more):
    bits = exposure(target, np.array(others))
    assert 0 <= bits <= math.log2(len(others) + 1)
    assert exposure(target + more, np.array(others)) >= bits


def test_exposure_of_what_was_not_learnt_has_every_rank_alike():
    """Target and fillings from one distribution: ranks 1 to R + 1 are equally likely, so the mean is known."""
    draws = np.random.default_rng(0).normal(size=(20_000, 8))
    bits = np.array([exposure(row[0], row[1:]) for row in draws])
    values, counts = np.unique(bits, return_counts=True)
    assert len(values) == 8 and counts == pytest.approx(2500, rel=0.08)
    assert bits.mean() == pytest.approx(np.mean(3 - np.log2(np.arange(1, 9))), abs=0.03)


def test_kl_by_hand():
    p, q = np.log([[0.5, 0.5], [0.3, 0.7]]), np.log([[0.25, 0.75], [0.3, 0.7]])
    forward = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    backward = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    assert kl_divergence(p, q) == pytest.approx(forward / 2)
    assert kl_divergence(q, p) == pytest.approx(backward / 2)


@given(seed=st.integers(0, 10**6), scale=st.sampled_from([1e-3, 1.0, 30.0]))
def test_kl_is_not_negative_and_zero_for_the_same(seed, scale):
    p, q = (torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(seed)) * scale).double().log_softmax(-1).numpy()
    assert kl_divergence(p, q) > 0 and kl_divergence(p, p) == 0


# ---------------------------------------------------------------------------------------------------------------- registry


def test_the_rule_declares_every_setting_that_a_measure_takes():
    taken = {name for module in measures._MODULES for name in measures.settings_of(module)}
    (declared,) = re.findall(r"^OF_PROBES = \((.*)\)$", (ROOT / "rules/extract.smk").read_text(encoding="utf-8"), re.MULTILINE)
    assert {"language", "temperature", "top_k", "top_p"} <= taken <= {"language", *re.findall(r'"(\w+)"', declared)} <= PROBES.keys()


def test_a_setting_that_the_rule_does_not_declare_is_named(monkeypatch):
    monkeypatch.setattr(measures, "_MODULES", [measures.extraction])
    with pytest.raises(InputError, match=r"^measure extraction takes the setting top_p, .*; list it in rules/extract.smk, "):
        measures.measure(answer([0], np.zeros((1, 2))), role="canary", settings=dict(temperature=1.0, top_k=0))


def test_every_measure_gives_its_columns_and_no_others(small, tmp_path):
    tokenizer, fim, _ = small
    logprobs = torch.randn(2, len(tokenizer), generator=torch.Generator().manual_seed(0)).double().log_softmax(-1).numpy()
    for role in ("canary", "evaluation"):
        both = Answer(
            item=dict(prompt_ids=fim.prompt([10], [11]), target_ids=[12, 13]),
            completion_ids=[12, fim.end],
            logprobs=logprobs,
            reference_logprobs=logprobs,
            filling_logprobs=None,
            decode=tokenizer.decode,
            fim=fim,
        )
        row = measures.measure(both, role=role, settings=PROBES)
        assert list(row) == list(measures.columns(role))
        schema = parquet.declare("row", **measures.columns(role))
        parquet.write([row], schema, tmp_path / role)
        assert parquet.read_rows(tmp_path / role, schema) == [row]
    assert not {"exposure", "completion"} & measures.columns("evaluation").keys()


def test_a_measure_is_one_file(tmp_path):
    """One more file in the folder is one more column, with its settings passed on; a column that two fill is refused."""
    source = Path(measures.__file__).parents[2]
    shutil.copytree(source, tmp_path / "core")
    folder = tmp_path / "core/probing/measures"
    (folder / "letters.py").write_text(
        "import pyarrow as pa\n\nCOLUMNS = {'letters': pa.int32()}\nROLES = ('canary',)\n\n\n"
        "def measure(answer, *, top_k):\n    return dict(letters=top_k)\n"
    )
    program = (
        "from core.probing import schemas, measures; "
        "print(schemas.EXTRACTION.field('letters').type, 'letters' in schemas.EVALUATION.names); "
        "measures._MODULES[:] = [m for m in measures._MODULES if m.__name__.endswith('letters')]; "
        "print(measures.measure(None, role='canary', settings=dict(top_k=7, top_p=1.0)), measures.measure(None, role='x', settings={}))"
    )
    run = lambda: subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)  # noqa: E731
    assert run().stdout.splitlines() == ["int32 False", "{'letters': 7} {}"]
    (folder / "again.py").write_text((folder / "letters.py").read_text())
    assert "measure letters fills letters, as another one does" in run().stderr
