"""Candidates, and the two methods that learn from them: sampled once, ranked by a reward, losses by hand, what training does."""

import copy
from dataclasses import replace

import pytest
import torch

from tests.unit.small import changed, first_loss, logprobs, same, scratch, session
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.methods import Dpo, IterativeDpo, Rrhf
from workflow_scripts.core.training import candidates, dpo, iterative_dpo, rrhf
from workflow_scripts.core.training.checkpoints import Checkpoints
from workflow_scripts.core.training.session import Session

SETTINGS = dict(num_generations=4, max_new_tokens=5, missing_eos_penalty=2.0)


def of_tokens(packed) -> torch.Tensor:
    """A reward that knows the tokens: the mean of their ids."""
    return torch.stack([part.float().mean() for part in packed.tokens.split(packed.sizes)])


@pytest.fixture(scope="module")
def opened(small) -> Session:
    """A session of RRHF."""
    return session(Rrhf, fim=small[1], sft_coef=1.0, **SETTINGS)


@pytest.fixture(scope="module")
def prompts(small) -> list[list[int]]:
    """Nine prompts, three of them twice."""
    fim = small[1]
    nine = [[fim.prefix, *range(40, 41 + i % 3), fim.suffix, 50 + i, fim.middle] for i in range(9)]
    return [*nine[::-1], *nine[:3]]


@pytest.fixture(scope="module")
def sampled(small, prompts, opened) -> list[dict]:
    """The candidates of a fresh model."""
    return candidates.sample(model=small[2], reward=of_tokens, prompts=prompts, session=opened)


# ------------------------------------------------------------------------------------------------------------------------ sampling


def test_each_distinct_prompt_is_completed_num_generations_times(prompts, sampled):
    distinct = [row["prompt_ids"] for row in sampled]
    assert len(distinct) == 9 and sorted(map(tuple, distinct)) == sorted(set(map(tuple, prompts)))
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


def test_candidates_follow_from_the_seed(small, prompts, opened, sampled):
    torch.manual_seed(99)
    options = dict(model=small[2], reward=of_tokens, prompts=prompts)
    assert candidates.sample(**options, session=opened) == sampled
    assert candidates.sample(**options, session=replace(opened, seed=1)) != sampled


def test_a_job_that_was_killed_goes_on_with_the_candidates_that_it_had(small, prompts, opened, sampled, tmp_path):
    """On a card sampling again may give others."""
    saving = replace(opened, checkpoints=Checkpoints(str(tmp_path / "job"), 50))
    options = dict(model=small[2], reward=of_tokens, prompts=prompts)
    assert candidates.sample(**options, session=saving) == sampled
    assert candidates.sample(**options, session=replace(saving, seed=1)) == sampled
    (tmp_path / "job/candidates.json").write_text("[{")
    assert candidates.sample(**options, session=replace(saving, seed=1)) != sampled


def test_prompts_are_sampled_and_scored_a_few_at_a_time(small, prompts, opened, monkeypatch):
    sizes, real = [], candidates.packing.pack
    monkeypatch.setattr(candidates, "BATCH", 8)
    monkeypatch.setattr(candidates.packing, "pack", lambda batch, **options: (sizes.append(len(batch)), real(batch, **options))[1])
    rows = candidates.sample(model=small[2], reward=of_tokens, prompts=prompts, session=opened)
    assert len(rows) == 9 and sizes[-5:] == [2, 2, 2, 2, 1], "eight completions are those of two prompts"


def test_a_pair_is_the_best_against_the_worst_and_ties_are_left_out():
    rows = [
        dict(prompt_ids=[1], completions=[[5], [6], [7]], rewards=[0.0, 2.0, -1.0]),
        dict(prompt_ids=[2], completions=[[5], [6], [7]], rewards=[1.0, 1.0, 1.0]),
        dict(prompt_ids=[3], completions=[[5], [5], [5]], rewards=[0.0, 1e-7, 0.0]),
    ]
    assert candidates.pairs(rows) == [dict(prompt_ids=[1], chosen_ids=[6], rejected_ids=[7])]
    with pytest.raises(InputError, match="the reward tells no two candidates of any prompt apart; raise `num_generations`"):
        candidates.pairs(rows[1:])


# ------------------------------------------------------------------------------------------------------------------------ losses


def test_ranking_sums_over_all_pairs_that_are_in_the_wrong_order():
    means, given = torch.tensor([[-1.0, -2.0, -4.0], [-3.0, -2.0, -1.0]]), torch.tensor([[0.0, 1.0, 2.0], [0.0, 0.0, 1.0]])
    # first prompt, worst to best -1, -2, -4: (0, 1) 1, (0, 2) 3, (1, 2) 2; second: the first two tie, and the best is the likeliest
    assert rrhf.ranking(means, given).tolist() == [6.0, 0.0]


@pytest.mark.parametrize("sft_coef", [0.0, 0.5])
def test_rrhf_loss_is_the_formula(sft_coef, small, opened, sampled):
    model, rows, expected = small[2], sampled[:4], []
    for row in rows:
        with torch.no_grad():
            each = [logprobs(model, row["prompt_ids"], c) for c in row["completions"]]
        means = [float(x.mean()) for x in each]
        order = [(i, j) for i in range(4) for j in range(4) if row["rewards"][i] < row["rewards"][j]]
        best = max(range(4), key=row["rewards"].__getitem__)
        expected.append(sum(max(0.0, means[i] - means[j]) for i, j in order) - sft_coef * float(each[best].sum()))
    record = rrhf.train(model=copy.deepcopy(model), rows=rows, session=changed(opened, sft_coef=sft_coef))
    assert first_loss(record) == pytest.approx(sum(expected) / 4, rel=1e-4) and sum(expected) > 0


def test_an_iteration_is_dpo_on_the_pairs_with_the_parent_as_reference(small, sampled):
    shared = dict(epochs=2, learning_rate=1e-3, beta=0.5)
    iteration, plain = copy.deepcopy(small[2]), copy.deepcopy(small[2])
    record = iterative_dpo.train(model=iteration, rows=sampled, session=session(IterativeDpo, **shared, **SETTINGS))
    pairs = candidates.pairs(sampled)
    expected = dpo.train(model=plain, pairs=pairs, length_penalty=0.0, session=session(Dpo, **shared))
    assert record == {**expected, "pairs": len(pairs)} and len(pairs) == 9
    assert same(iteration.state_dict(), plain.state_dict())
    assert not torch.equal(iteration.state_dict()["lm_head.weight"], small[2].state_dict()["lm_head.weight"])


# ------------------------------------------------------------------------------------------------------------------------ training


def moved(small, prompts, learn, *, opened: Session, iterations: int) -> tuple[float, float]:
    """Mean score of samples before and after so many times sampling and learning from that."""
    torch.manual_seed(4)
    model, scores = scratch(*small[:2]), []
    for seed in range(iterations + 1):
        sampling = replace(changed(opened, num_generations=16), seed=seed)
        rows = candidates.sample(model=model, reward=of_tokens, prompts=prompts, session=sampling)
        scores.append(candidates.record(rows)["mean_score"])
        if seed < iterations:
            learn(model=model, rows=rows, session=opened)
    return scores[0], scores[-1]


def test_rrhf_moves_new_samples_towards_the_reward(small, prompts, opened):
    longer = changed(opened, epochs=60, batch_size=3, learning_rate=3e-3)
    before, after = moved(small, prompts, rrhf.train, opened=longer, iterations=1)
    assert after > before + 10, "token ids go up to 320"


def test_iterations_of_dpo_move_new_samples_towards_the_reward(small, prompts):
    opened = session(IterativeDpo, fim=small[1], epochs=8, batch_size=3, learning_rate=3e-3, beta=0.1, **SETTINGS)
    before, after = moved(small, prompts, iterative_dpo.train, opened=opened, iterations=8)
    assert after > before + 10
