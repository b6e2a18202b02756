"""Samples at full budget: their KL is that of the log-probabilities, and the draws follow from the seed."""

import pytest
import torch

from tests.unit.small import logprobs, scratch
from workflow_scripts.core.probing import on_policy


@pytest.fixture(scope="module")
def examples(small) -> list[dict]:
    fim = small[1]
    return [dict(source_id=f"s{i}", prompt_ids=fim.prompt([30 + i, 40], [50]), target_ids=[20]) for i in range(9)]


def sampled(small, examples, **changes) -> list[dict]:
    tokenizer, fim, model = small
    torch.manual_seed(5)
    options = dict(model=model, reference=scratch(tokenizer, fim), pool="evaluation", tokenizer=tokenizer, fim=fim, max_new_tokens=12)
    return on_policy.sample(examples=examples, **{**options, **dict(seed=1, batch_size=4, desc=""), **changes})


def test_kl_is_the_difference_of_log_probabilities(small, examples):
    tokenizer, fim, model = small
    rows = sampled(small, examples)
    torch.manual_seed(5)
    reference = scratch(tokenizer, fim)
    for row, example in zip(rows, examples, strict=True):
        ids = row["completion_ids"]
        with torch.no_grad():
            own, other = (logprobs(m, example["prompt_ids"], ids).sum().item() for m in (model, reference))
        assert row["kl"] == pytest.approx(own - other, abs=1e-3)
        assert row["example_id"] == example["source_id"] and row["pool"] == "evaluation"
        assert len(ids) <= 12 and row["ended"] == (ids[-1] == fim.end) and (row["ended"] or len(ids) == 12)


def test_a_policy_against_itself_has_no_kl_and_seeds_decide(small, examples):
    model = small[2]
    once, again, other = (sampled(small, examples, reference=model, seed=seed) for seed in (1, 1, 2))
    assert once == again != other
    assert all(row["kl"] == 0 for row in once)
