"""Each score of membership against the formula of its paper, computed anew in numpy from the models' own output."""

import zlib

import numpy as np
import pytest
import torch

from tests.conftest import PROBES
from tests.unit.small import scratch
from workflow_scripts.core.probing import policy
from workflow_scripts.core.probing.measures.error_zone import share_upwards
from workflow_scripts.core.probing.measures.min_k import mean_of_lowest
from workflow_scripts.core.probing.measures.min_k_plus import normalized

SIZES = [1, 3, 7, 12, 23]  # tokens of the targets
SCORES = ["reference_ratio", "zlib_ratio", "min_k", "min_k_plus", "error_zone"]


def one_sequence(model, prompt: list[int], completion: list[int]) -> np.ndarray:
    """(tokens, vocabulary): log-probabilities at each place of the completion, one unpadded sequence."""
    with torch.inference_mode():
        logits = model(torch.tensor([prompt + completion])).logits[0].double().numpy()[len(prompt) - 1 : -1]
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def by_hand(own: np.ndarray, reference: np.ndarray, target: list[int], text: str) -> list[float]:
    """The values of SCORES, token by token."""
    places, vocabulary = range(len(target)), range(own.shape[1])
    likely = [own[t, target[t]] for t in places]
    moved = [own[t, target[t]] - reference[t, target[t]] for t in places]
    lowest = max(1, len(target) * 20 // 100)
    z = []
    for t in places:
        mean = sum(np.exp(own[t, v]) * own[t, v] for v in vocabulary)
        square = sum(np.exp(own[t, v]) * own[t, v] ** 2 for v in vocabulary)
        z.append((likely[t] - mean) / np.sqrt(square - mean**2))
    zone = [moved[t] for t in places if max(vocabulary, key=lambda v: own[t, v]) != target[t]]  # noqa: B023
    up, down = sum(m for m in zone if m > 0), -sum(m for m in zone if m < 0)
    return [
        sum(moved) / len(target),
        -sum(likely) / len(zlib.compress(text.encode("utf-8"))),
        sum(sorted(likely)[:lowest]) / lowest,
        sum(sorted(z)[:lowest]) / lowest,
        up / (up + down) if zone else 1.0,
    ]


@pytest.fixture(scope="module")
def probed(small) -> list[tuple]:
    """(item, row, pair or None, policy, reference, tokenizer) of targets of several lengths; some of their tokens are the greedy ones."""
    tokenizer, fim, model = small
    torch.manual_seed(11)
    reference = scratch(tokenizer, fim)
    draw, items = torch.Generator().manual_seed(5), []
    for n, size in enumerate(SIZES):
        prompt = fim.prompt(torch.randint(5, 250, (6,), generator=draw).tolist(), [40 + n])
        target = torch.randint(5, 250, (size,), generator=draw).tolist()
        for t in range(0, size, 2):
            target[t] = int(one_sequence(model, prompt, [*target[:t], 0])[t].argmax())
        items.append(dict(canary_id=str(n), probe="fim", prompt_ids=prompt, target_ids=target))
    pairs = {1: [[*items[1]["target_ids"], fim.end], [60, 61, fim.end]], 3: [[9, fim.end], [8, 7, 6, fim.end]]}
    options = dict(tokenizer=tokenizer, fim=fim, items=items, role="canary", settings=PROBES, batch_size=2, desc="")
    rows = policy.probe(model=model, reference=reference, pairs=pairs, **options)
    return [(item, row, pairs.get(n), model, reference, tokenizer) for n, (item, row) in enumerate(zip(items, rows, strict=True))]


@pytest.mark.parametrize("place", range(len(SIZES)))
def test_scores_of_the_target_are_those_of_the_papers(probed, place):
    item, row, _, model, reference, tokenizer = probed[place]
    prompt, target = item["prompt_ids"], item["target_ids"]
    own, other = one_sequence(model, prompt, target), one_sequence(reference, prompt, target)
    assert [row[name] for name in SCORES] == pytest.approx(by_hand(own, other, target, tokenizer.decode(target)), abs=1e-4)


def test_premia_is_the_margin_of_the_pair_over_that_of_the_reference(probed):
    for item, row, pair, model, reference, _ in probed:
        if pair is None:
            assert row["premia"] is None
            continue
        chosen, rejected = (
            [sum(one_sequence(m, item["prompt_ids"], ids)[t, token] for t, token in enumerate(ids)) for m in (model, reference)]
            for ids in pair
        )
        assert row["premia"] == pytest.approx((chosen[0] - rejected[0]) - (chosen[1] - rejected[1]), abs=1e-4)


def test_against_itself_a_policy_has_gained_nothing(probed, small):
    tokenizer, fim, model = small
    items, pairs = [item for item, *_ in probed], {0: [[5, fim.end], [6, fim.end]]}
    options = dict(tokenizer=tokenizer, fim=fim, items=items, role="canary", settings=PROBES, batch_size=2, desc="")
    rows = policy.probe(model=model, reference=model, pairs=pairs, **options)
    assert {row["reference_ratio"] for row in rows} == {0.0} and rows[0]["premia"] == 0.0
    assert [row["error_zone"] for row in rows] == [1.0] + [0.5] * 4  # of the first target's one token the policy is right
    alone = policy.probe(model=model, **options)
    assert all(row["reference_ratio"] is row["error_zone"] is row["premia"] is None for row in alone)


@pytest.mark.parametrize(
    ("gained", "missed", "share"),
    [
        ([2.0, -1.0, -5.0], [True, True, False], 2 / 3),  # P / N = 2, as 2 / 3 is to 1 / 3
        ([2.0, 1.0, -5.0], [True, True, False], 1.0),  # nothing fell
        ([-2.0, -1.0, 5.0], [True, True, False], 0.0),
        ([0.0, 0.0, 5.0], [True, True, False], 0.5),  # nothing moved
        ([-2.0, -1.0], [False, False], 1.0),  # no errors
    ],
)
def test_error_zone_by_hand(gained, missed, share):
    assert share_upwards(np.array(gained), np.array(missed)) == pytest.approx(share)


@pytest.mark.parametrize(("size", "counted"), [(1, 1), (4, 1), (5, 1), (9, 1), (10, 2), (15, 3), (35, 7), (49, 9), (50, 10)])
def test_a_fifth_of_the_tokens_counts_and_one_at_least(size, counted):
    values = np.random.default_rng(size).permutation(size) - float(size)
    assert mean_of_lowest(values) == pytest.approx(np.mean([i - size for i in range(counted)]))


def test_where_all_tokens_are_equally_likely_the_target_is_as_likely_as_any():
    logprobs = np.log(np.array([[1 / 3] * 3, [0.5, 0.25, 0.25], [1 / 7 * 7 / 3] * 3]))
    z = normalized(logprobs[:, 0], logprobs)
    assert z == pytest.approx([0.0, 1.0, 0.0])
