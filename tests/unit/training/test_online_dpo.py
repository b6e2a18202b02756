"""Online DPO: pairs by hand, weights beside TRL 1.12's own trainer, and whole trainings, killed ones among them."""

import logging
from dataclasses import replace

import pytest
import torch

from tests.unit.small import changed, die_after, fresh_reward, killed, logprobs, same, session
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.methods import OnlineDpo
from workflow_scripts.core.training import on_policy, online_dpo, rewards
from workflow_scripts.core.training.by_trl import online_dpo as by_trl
from workflow_scripts.core.training.checkpoints import Checkpoints
from workflow_scripts.core.training.session import Session

SETTINGS = dict(episodes=96, rollout_batch_size=16, num_generations=2, mini_batch_size=16, learning_rate=3e-3, beta=0.3)
SETTINGS |= dict(max_new_tokens=6, temperature=0.7, missing_eos_penalty=1.0)


@pytest.fixture
def opened(small, small_tokenizer) -> Session:
    """A session with SETTINGS and the toy's tokenizer."""
    return replace(session(OnlineDpo, fim=small[1], **SETTINGS), tokenizer=str(small_tokenizer))


def parts(parent: str, session: Session, reward=None) -> dict:
    """Policy, reward and 24 prompts."""
    torch.manual_seed(0)
    fim = session.fim
    prompts = [[fim.prefix, *range(40, 41 + i % 3), fim.suffix, 100 + i, fim.middle] for i in range(24)]
    return dict(policy=session.load_policy(parent), reward=reward or fresh_reward(parent, fim), prompts=prompts, session=session)


def train(parent: str, session: Session, reward=None) -> tuple[dict, dict]:
    """(weights, record)."""
    torch.set_num_threads(1)
    given = parts(parent, session, reward)
    record = online_dpo.train(reference=session.load_policy(parent), **given)
    return given["policy"].state_dict(), record


def test_the_best_completion_of_a_prompt_is_chosen_and_the_worst_rejected(small, small_checkpoint, opened):
    fim, policy, reference = small[1], small[2], opened.load_policy(small_checkpoint)
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    prompts = [[fim.prefix, 40 + i, fim.suffix, fim.middle] for i in range(3)]
    ends = [[60, 61, fim.end], [60, fim.end], [60, 61, 62, fim.end]]
    completions = [*ends, *ends[:2], ends[0], [70, fim.end], [71, fim.end], [72, fim.end]]
    length = rewards.Computed(lambda prompt, completion: float(len(completion)))
    three = changed(opened, num_generations=3)
    models = dict(policy=policy, reference=reference, reward=length)
    pairs, metrics = online_dpo.judge(**models, prompts=[p for p in prompts for _ in range(3)], completions=completions, session=three)
    assert [(p["prompt_ids"], p["chosen_ids"], p["rejected_ids"]) for p in pairs] == [
        (prompts[0], ends[2], ends[1]),
        (prompts[1], ends[0], ends[1]),
    ], "completions that score the same teach nothing"
    for pair in pairs:
        chosen, rejected = (logprobs(reference, pair["prompt_ids"], pair[key]).sum() for key in ("chosen_ids", "rejected_ids"))
        assert pair["reference_margin"] == pytest.approx(float((chosen - rejected).detach()), abs=1e-4)
    assert metrics["objective/pairs"] == 2 and metrics["objective/scores"] == pytest.approx(23 / 9)


def test_weights_are_those_of_trl_on_the_same_completions(small_checkpoint, opened, monkeypatch):
    """Six rollouts of eight prompts with two completions each, of all lengths, with and without an end."""
    fim, drawn = opened.fim, {}

    def complete(prompt: list[int], number: int) -> list[int]:
        place = sum(prompt) + 7 * number + 3 * len(drawn[tuple(prompt)])
        ids = [60 + place % 11, *range(70, 70 + place % 5)]
        return [*ids, fim.end] if place % 3 else [*ids, 90, 91, 92, 93, 94, 95][:6]

    def ours(*, prompts, samples, **_) -> list[list[int]]:
        for prompt in prompts:
            drawn.setdefault(tuple(prompt), []).append(0)
        return [complete(prompt, number) for prompt in prompts for number in range(samples)]

    def theirs(self, ids, mask) -> list[list[int]]:
        prompts = [row[kept.bool()].tolist() for row, kept in zip(ids, mask, strict=True)]
        half = len(prompts) // 2
        for prompt in prompts[:half]:
            drawn.setdefault(tuple(prompt), []).append(0)
        return [complete(prompt, number) for number in range(2) for prompt in prompts[:half]]

    monkeypatch.setattr(on_policy.generation, "complete", ours)
    monkeypatch.setattr(by_trl.OnIds, "_completed", theirs)
    weights, record = train(small_checkpoint, opened)
    drawn.clear()
    given = parts(small_checkpoint, opened)
    other_record = by_trl.train(reference_policy=opened.load_policy(small_checkpoint), **given)
    others, before = given["policy"].state_dict(), opened.load_policy(small_checkpoint).state_dict()
    moved, apart = (max(float((weights[k] - x[k]).abs().max()) for k in before) for x in (before, others))
    assert moved > 5e-3 and apart < 1e-4, (moved, apart)
    assert (other_record["steps"], other_record["episodes"]) == (record["steps"], record["episodes"]) == (6, 96)
    steps = [row for row in other_record["history"] if "objective/scores" in row]
    assert [row["objective/scores"] for row in steps] == pytest.approx([row["objective/scores"] for row in record["history"]], abs=1e-4)
    assert [row["loss"] for row in steps] == pytest.approx([row["loss/policy_avg"] for row in record["history"]], abs=1e-3)


def train_and_die(parent: str, session: Session, step: int) -> None:
    """Train in this process, and kill it after `step` rollouts, before what was learnt of the last is saved."""
    die_after(online_dpo, "learn", step)
    train(parent, session)


def test_killed_training_resumes_to_the_result_of_an_undisturbed_one(small_checkpoint, opened, tmp_path, caplog):
    several = changed(opened, mini_batch_size=4)
    weights, record = train(small_checkpoint, several)
    saving = replace(several, checkpoints=Checkpoints(str(tmp_path / "checkpoints"), 30))
    killed(train_and_die, small_checkpoint, saving, 5)
    with caplog.at_level(logging.INFO):
        again, resumed = train(small_checkpoint, saving)
    assert "resuming from step 4 of 6" in caplog.text
    assert resumed == record and same(weights, again)
    assert record["history"][0]["objective/kl"] == 0 and record["history"][-1]["objective/kl"] != 0


def test_training_moves_towards_the_reward(small_checkpoint, opened):
    low = rewards.Computed(lambda _, completion: sum(token < 160 for token in completion) / len(completion))
    free = dict(
        missing_eos_penalty=0.0,
        temperature=1.0,
        max_new_tokens=4,
        episodes=512,
        rollout_batch_size=32,
        learning_rate=1e-2,
        mini_batch_size=8,
    )
    scores = [row["objective/scores"] for row in train(small_checkpoint, changed(opened, **free), low)[1]["history"]]
    assert len(scores) == 16 and sum(scores[-3:]) / 3 > sum(scores[:3]) / 3 + 0.2


def test_pieces_of_a_mini_batch_add_up_to_its_step(small_checkpoint, opened):
    weights, record = train(small_checkpoint, opened)
    others, in_pieces = train(small_checkpoint, changed(opened, micro_batch_tokens=20))
    assert max(float((weights[k] - others[k]).abs().max()) for k in weights) < 1e-4
    assert in_pieces["history"][-1]["loss/policy_avg"] == pytest.approx(record["history"][-1]["loss/policy_avg"], abs=1e-4)


def test_a_reward_that_tells_nothing_apart_is_one_sentence(small_checkpoint, opened):
    with pytest.raises(InputError, match="the reward tells no two candidates of any prompt apart; raise `num_generations`"):
        train(small_checkpoint, changed(opened, missing_eos_penalty=0.0), rewards.Computed(lambda *_: 1.0))
