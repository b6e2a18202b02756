"""Completions and scores do not depend on batching, order or padding, and every item keeps its place."""

import pytest
import torch

from tests.unit.small import logprobs, scratch
from workflow_scripts.core.probing import completions, measures, scores
from workflow_scripts.core.training.generation import complete


@pytest.fixture(scope="module")
def items(small):
    _, fim, _ = small
    generator = torch.Generator().manual_seed(3)
    draw = lambda n: torch.randint(5, 250, (n,), generator=generator).tolist()  # noqa: E731
    return [
        dict(item_id=str(i), role="canary", prompt_ids=fim.prompt(draw(1 + i % 17), draw(i % 5)), target_ids=draw(2 + i % 7))
        for i in range(70)
    ]


def test_greedy_completions_are_the_same_at_batch_1_8_and_64(small, items):
    _, fim, model = small
    asked = dict(
        model=model, prompts=[r["prompt_ids"] for r in items], max_new_tokens=[len(r["target_ids"]) + 1 for r in items], fim=fim, desc=""
    )
    alone, by_8, by_64 = (complete(batch_size=size, **asked) for size in (1, 8, 64))
    assert alone == by_8 == by_64 and all(len(c) <= len(r["target_ids"]) + 1 for c, r in zip(alone, items, strict=True))


def test_greedy_is_the_argmax_of_the_model_token_by_token(small, items):
    _, fim, model = small
    ids = list(items[5]["prompt_ids"])
    for _ in range(4):
        ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    made = complete(model=model, prompts=[items[5]["prompt_ids"]], max_new_tokens=[4], fim=fim, batch_size=1, desc="")[0]
    assert made == ids[-4:][: len(made)] and (len(made) == 4 or made[-1] == fim.end)


def test_samples_repeat_with_the_seed_and_differ_without(small, items):
    _, fim, model = small
    asked = dict(
        model=model,
        prompts=[r["prompt_ids"] for r in items],
        max_new_tokens=[8] * len(items),
        fim=fim,
        batch_size=16,
        temperature=1.0,
        desc="",
    )
    made = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        made.append(complete(**asked))
    assert made[0] == made[1] != made[2]


def test_scores_equal_those_of_one_unpadded_sequence(small, items):
    tokenizer, fim, model = small
    torch.manual_seed(4)
    other = scratch(tokenizer, fim)
    found = scores.score_targets(model=model, reference=other, fim=fim, rows=items, batch_size=16, desc="")
    for row, score in zip(items, found, strict=True):
        by_hand = logprobs(model, row["prompt_ids"], row["target_ids"]).double().sum()
        assert score["item_id"] == row["item_id"] and score["target_tokens"] == len(row["target_ids"])
        assert score["target_logprob"] == pytest.approx(float(by_hand.detach()), abs=1e-4) and score["kl_to_reference"] > 0
    same = scores.score_targets(model=model, reference=model, fim=fim, rows=items, batch_size=16, desc="")
    assert all(s["kl_to_reference"] == pytest.approx(0, abs=1e-12) for s in same)


def describe(small, target: list[int], completion: list[int]) -> dict:
    tokenizer, fim, _ = small
    row = dict(item_id="x", role="canary", prompt_ids=fim.prompt([10], []), target_ids=target)
    return completions.describe(tokenizer=tokenizer, fim=fim, row=row, completion_ids=completion, threshold=0.1)


def test_verdict_on_one_completion(small):
    tokenizer, fim, _ = small
    target = tokenizer("return x * 7 + sum(range(7))", add_special_tokens=False).input_ids
    verbatim, goes_on, wrong = (describe(small, target, c) for c in ([*target, fim.end], [*target, 9], [9] * len(target)))
    assert verbatim["exact"] and verbatim["ended"] and verbatim["memorized"] and verbatim["edit_distance"] == 0
    assert goes_on["exact"] and not goes_on["ended"] and goes_on["memorized"], "what follows the target does not count against it"
    assert not wrong["exact"] and not wrong["memorized"]
    early = describe(small, target, [*target[:-1], fim.end])
    assert early["ended"] and not early["exact"] and early["completion"] == tokenizer.decode(target[:-1])
    nothing = describe(small, target, [fim.end])
    assert nothing["normalized_edit_distance"] == 1.0 and not nothing["memorized"], "an empty answer scores nothing"


def test_one_token_target_all_wrong_scores_nothing(small):
    tokenizer, _, _ = small
    target, wrong = tokenizer.get_vocab()["x"], tokenizer.get_vocab()["y"]
    verdict = describe(small, [target], [wrong, 9])
    assert verdict["normalized_edit_distance"] == 1.0 and not verdict["memorized"] and not verdict["exact"]


def test_threshold_is_inclusive():
    assert measures.edit_distance("a" * 9 + "b", "a" * 10) == (1, 0.1)
