"""Candidates, and the two kinds that learn from them: sampled once, ranked by a reward, losses by hand, what training does."""

import copy
from dataclasses import replace

import pytest
import torch

from tests.unit.small import logprobs, scratch
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.training import candidates, dpo, iterative_dpo, rrhf
from workflow_scripts.core.training.trainer import Stage

ONCE = Stage(seed=0, device="cpu", desc="test", epochs=1, batch_size=4, learning_rate=1e-9, weight_decay=0.0, warmup_ratio=0.0)
HOW = candidates.Sampling(
    seed=0, device="cpu", desc="test", samples=4, max_new_tokens=5, temperature=1.0, missing_eos_penalty=2.0, batch_size=8
)


def of_tokens(packed) -> torch.Tensor:
    """A reward that knows the tokens: the mean of their ids."""
    return torch.stack([part.float().mean() for part in packed.tokens.split(packed.sizes)])


@pytest.fixture(scope="module")
def asked(small) -> list[list[int]]:
    """Nine prompts, three of them twice."""
    fim = small[1]
    made = [[fim.prefix, *range(40, 41 + i % 3), fim.suffix, 50 + i, fim.middle] for i in range(9)]
    return [*made[::-1], *made[:3]]


@pytest.fixture(scope="module")
def sampled(small, asked) -> list[dict]:
    return candidates.sample(model=small[2], reward=of_tokens, fim=small[1], asked=asked, how=HOW)


# ------------------------------------------------------------------------------------------------------------------------ sampling


def test_each_distinct_prompt_is_completed_as_often_as_asked(small, asked, sampled):
    prompts = [row["prompt_ids"] for row in sampled]
    assert len(prompts) == 9 and sorted(map(tuple, prompts)) == sorted(set(map(tuple, asked)))
    assert all(len(row["completions"]) == len(row["rewards"]) == 4 for row in sampled)
    assert len({tuple(c) for row in sampled for c in row["completions"]}) > 20
    assert all(0 < len(c) <= 5 for row in sampled for c in row["completions"])


def test_scores_are_the_reward_of_each_completion_less_the_penalty_where_it_does_not_end(small, sampled):
    end, open_ones = small[1].end, 0
    for row in sampled:
        for completion, given in zip(row["completions"], row["rewards"], strict=True):
            assert given == pytest.approx(sum(completion) / len(completion) - 2.0 * (end not in completion), abs=1e-3)
            open_ones += end not in completion
    assert open_ones
    record = candidates.record(sampled)
    assert record["number"] == 36 and record["mean_best_score"] > record["mean_score"]


def test_candidates_follow_from_the_seed_alone(small, asked, sampled):
    torch.manual_seed(99)
    again = candidates.sample(model=small[2], reward=of_tokens, fim=small[1], asked=asked, how=HOW)
    assert again == sampled
    other = candidates.Sampling(**{**vars(HOW), "seed": 1})
    assert candidates.sample(model=small[2], reward=of_tokens, fim=small[1], asked=asked, how=other) != sampled


def test_a_pair_is_the_best_against_the_worst_and_ties_are_left_out():
    rows = [
        dict(prompt_ids=[1], completions=[[5], [6], [7]], rewards=[0.0, 2.0, -1.0]),
        dict(prompt_ids=[2], completions=[[5], [6], [7]], rewards=[1.0, 1.0, 1.0]),
        dict(prompt_ids=[3], completions=[[5], [5], [5]], rewards=[0.0, 1e-7, 0.0]),
    ]
    assert candidates.pairs(rows) == [dict(prompt_ids=[1], chosen_ids=[6], rejected_ids=[7])]
    with pytest.raises(InputError, match="the reward tells no two candidates of any prompt apart; raise `samples`"):
        candidates.pairs(rows[1:])


# ------------------------------------------------------------------------------------------------------------------------ losses


def test_ranking_sums_over_all_pairs_that_are_in_the_wrong_order():
    means, given = torch.tensor([[-1.0, -2.0, -4.0], [-3.0, -2.0, -1.0]]), torch.tensor([[0.0, 1.0, 2.0], [0.0, 0.0, 1.0]])
    # first prompt, worst to best -1, -2, -4: (0, 1) 1, (0, 2) 3, (1, 2) 2; second: the first two tie, and the best is the likeliest
    assert rrhf.ranking(means, given).tolist() == [6.0, 0.0]


@pytest.mark.parametrize("sft_coef", [0.0, 0.5])
def test_rrhf_loss_is_the_formula(sft_coef, small, sampled):
    model, rows, expected = small[2], sampled[:4], []
    for row in rows:
        with torch.no_grad():
            found = [logprobs(model, row["prompt_ids"], c) for c in row["completions"]]
        means = [float(f.mean()) for f in found]
        order = [(i, j) for i in range(4) for j in range(4) if row["rewards"][i] < row["rewards"][j]]
        best = max(range(4), key=row["rewards"].__getitem__)
        expected.append(sum(max(0.0, means[i] - means[j]) for i, j in order) - sft_coef * float(found[best].sum()))
    record = rrhf.train(model=copy.deepcopy(model), rows=rows, sft_coef=sft_coef, stage=ONCE)
    assert record["history"][0]["train_loss"] == pytest.approx(sum(expected) / 4, rel=1e-4) and sum(expected) > 0


def test_an_iteration_is_dpo_on_the_pairs_with_the_parent_as_reference(small, sampled):
    stage = Stage(seed=0, device="cpu", desc="test", epochs=2, batch_size=4, learning_rate=1e-3, weight_decay=0.0, warmup_ratio=0.0)
    iteration, plain = copy.deepcopy(small[2]), copy.deepcopy(small[2])
    record = iterative_dpo.train(model=iteration, rows=sampled, beta=0.5, stage=stage)
    pairs = candidates.pairs(sampled)
    expected = dpo.train(model=plain, reference=small[2], pairs=pairs, beta=0.5, length_penalty=0.0, stage=stage)
    assert record == {**expected, "pairs": len(pairs)} and len(pairs) == 9
    assert all(torch.equal(iteration.state_dict()[k], x) for k, x in plain.state_dict().items())
    assert not torch.equal(iteration.state_dict()["lm_head.weight"], small[2].state_dict()["lm_head.weight"])


# ------------------------------------------------------------------------------------------------------------------------ training


def moved(small, asked, learn, *, iterations: int) -> tuple[float, float]:
    """Mean score of samples before and after so many times sampling and learning from that."""
    torch.manual_seed(4)
    model, found = scratch(*small[:2]), []
    for seed in range(iterations + 1):
        how = replace(HOW, seed=seed, samples=16, batch_size=64)
        rows = candidates.sample(model=model, reward=of_tokens, fim=small[1], asked=asked, how=how)
        found.append(candidates.record(rows)["mean_score"])
        if seed < iterations:
            learn(model, rows)
    return found[0], found[-1]


def test_rrhf_moves_new_samples_towards_the_reward(small, asked):
    how = replace(ONCE, epochs=60, batch_size=3, learning_rate=3e-3)
    before, after = moved(small, asked, lambda model, rows: rrhf.train(model=model, rows=rows, sft_coef=1.0, stage=how), iterations=1)
    assert after > before + 10, "token ids go up to 320"


def test_iterations_of_dpo_move_new_samples_towards_the_reward(small, asked):
    how = replace(ONCE, epochs=8, batch_size=3, learning_rate=3e-3)
    before, after = moved(small, asked, lambda model, rows: iterative_dpo.train(model=model, rows=rows, beta=0.1, stage=how), iterations=8)
    assert after > before + 10
