"""The numbers of the study, against hand-made cases in which each mistake known from public tools gives another number."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workflow_scripts.core.probing.measures import edit_distance, first_line, kl_divergence, parses, target_logprob, target_slice


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
    assert parses(text) is answer


# position t predicts token t + 1: of a prompt of 2 and a target of 2 tokens, positions 1 and 2 count
PROBABILITIES = torch.tensor([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2], [0.6, 0.25, 0.15], [0.05, 0.9, 0.05]], dtype=torch.float64)
LOGITS = PROBABILITIES.log() + torch.tensor([[3.0], [-1.0], [0.5], [7.0]])  # not normalised, as a model gives them


def test_target_logprob_by_hand():
    assert target_logprob(LOGITS, prompt_tokens=2, target=[0, 1]) == pytest.approx(math.log(0.5) + math.log(0.25))
    assert target_logprob(LOGITS, prompt_tokens=2, target=[2]) == pytest.approx(math.log(0.2))
    assert target_logprob(LOGITS, prompt_tokens=1, target=[0, 1, 2]) == pytest.approx(math.log(0.1) + math.log(0.3) + math.log(0.15))


@pytest.mark.parametrize("shift", [-1, 1])
def test_target_logprob_is_not_off_by_one(shift):
    shifted = float(PROBABILITIES[1 + shift, 0].log() + PROBABILITIES[2 + shift, 1].log())
    assert abs(target_logprob(LOGITS, prompt_tokens=2, target=[0, 1]) - shifted) > 0.5


def test_target_logprob_ignores_what_is_beyond():
    spoilt = LOGITS.clone()
    spoilt[[0, 3]] = 100 * torch.arange(3.0, dtype=torch.float64)
    assert target_logprob(spoilt, prompt_tokens=2, target=[0, 1]) == target_logprob(LOGITS, prompt_tokens=2, target=[0, 1])


def test_target_logprob_sums_in_float64():
    """4,000 tokens of which each adds about ln 50: a sum in float32 is off in the third decimal."""
    logits = torch.randn(4001, 50, generator=torch.Generator().manual_seed(0))
    target = [i % 50 for i in range(4000)]
    terms = [logits[i].double().log_softmax(0)[t].item() for i, t in enumerate(target)]
    in_float32 = float(logits[:4000].log_softmax(-1).gather(-1, torch.tensor(target)[:, None]).cumsum(0)[-1])
    exact = math.fsum(terms)
    assert abs(target_logprob(logits, prompt_tokens=1, target=target) - exact) < 1e-8 < abs(in_float32 - exact)


def test_target_logprob_of_a_certain_token_is_zero_and_never_positive():
    logits = torch.full((3, 4), -1e4)
    logits[:, 2] = 1e4
    assert target_logprob(logits, prompt_tokens=1, target=[2, 2]) == 0.0


@pytest.mark.parametrize(("prompt_tokens", "target"), [(0, [1]), (1, [])])
def test_likelihood_needs_a_prompt_and_a_target(prompt_tokens, target):
    with pytest.raises(ValueError, match="at least one prompt token and one target token"):
        target_logprob(LOGITS, prompt_tokens=prompt_tokens, target=target)


def test_too_few_logits_are_an_error():
    with pytest.raises(RuntimeError):
        target_logprob(LOGITS[:2], prompt_tokens=2, target=[0, 1])


@pytest.mark.parametrize(("prompt_tokens", "target_tokens", "where"), [(1, 1, [0]), (3, 2, [2, 3]), (5, 1, [4])])
def test_target_slice(prompt_tokens, target_tokens, where):
    assert list(range(10))[target_slice(prompt_tokens=prompt_tokens, target_tokens=target_tokens)] == where


def test_kl_by_hand():
    """Mean of the two target positions; the others, which differ wildly, do not count."""
    p = torch.tensor([[0.9, 0.1], [0.5, 0.5], [0.3, 0.7], [0.9, 0.1]]).log()
    q = torch.tensor([[0.1, 0.9], [0.25, 0.75], [0.3, 0.7], [0.1, 0.9]]).log()
    forward = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    backward = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    where = dict(prompt_tokens=2, target_tokens=2)
    assert kl_divergence(p, q, **where) == pytest.approx(forward / 2, rel=1e-6)
    assert kl_divergence(q, p, **where) == pytest.approx(backward / 2, rel=1e-6)
    assert kl_divergence(p, p + 3, **where) == pytest.approx(0, abs=1e-9)


@given(seed=st.integers(0, 10**6), scale=st.sampled_from([1e-3, 1.0, 30.0]))
def test_kl_is_not_negative_and_zero_for_the_same(seed, scale):
    p, q = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(seed)) * scale
    assert kl_divergence(p, q, prompt_tokens=2, target_tokens=3) > 0
    assert kl_divergence(p, p, prompt_tokens=2, target_tokens=3) == 0
