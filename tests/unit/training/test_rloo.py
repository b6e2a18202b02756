"""RLOO: advantages by hand, advantages and loss beside TRL 1.12's own trainer, and whole trainings, killed ones among them."""

import copy
import logging
import re
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM

from benchmarks.harness import as_it_comes
from tests.unit.small import changed, die_after, fresh_reward, killed, logprobs, same, scratch, session
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.lm import generation, packing
from workflow_scripts.core.methods import Rloo
from workflow_scripts.core.training import rewards, rloo
from workflow_scripts.core.training.checkpoints import Checkpoints
from workflow_scripts.core.training.session import Session

SETTINGS = dict(
    episodes=96,
    rollout_batch_size=16,
    num_generations=4,
    mini_batch_size=8,
    rloo_epochs=2,
    learning_rate=3e-3,
    kl_coef=0.1,
    max_new_tokens=6,
    temperature=0.7,
    missing_eos_penalty=1.0,
    length_penalty=0.01,
    cliprange=0.2,
)


@pytest.fixture
def opened(small) -> Session:
    """A session with SETTINGS."""
    return session(Rloo, fim=small[1], **SETTINGS)


def test_the_baseline_of_a_completion_is_the_mean_of_the_others_of_its_prompt():
    returns = torch.tensor([1.0, 2.0, 6.0, 5.0, 5.0, 5.0])
    assert rloo.advantages(returns, 3).tolist() == pytest.approx([1 - 4, 2 - 3.5, 6 - 1.5, 0, 0, 0])
    assert rloo.advantages(returns, 2).tolist() == pytest.approx([-1, 1, 1, -1, 0, 0])


def test_several_samples_of_a_prompt_come_side_by_side_and_greedy_ones_are_those_of_one(small):
    fim, model = small[1:]
    prompts = [[fim.prefix, *range(40, 41 + i % 3), fim.suffix, fim.middle] for i in range(5)]
    options = dict(model=model, prompts=prompts, max_new_tokens=[5] * 5, fim=fim, batch_size=2, desc=None)
    once = generation.complete(**options)
    assert generation.complete(**options, samples=3) == [c for c in once for _ in range(3)]
    drawn = generation.complete(**options, samples=3, choose=generation.sampler(1.0, torch.Generator().manual_seed(0)))
    assert len(drawn) == 15 and len({tuple(c) for c in drawn}) > 5


# ---------------------------------------------------------------------------------------------------------------- beside TRL 1.12


@pytest.fixture
def episodes(small) -> tuple[list[list[int]], list[list[int]]]:
    """(prompts, completions): two prompts with four completions each, of all lengths, with and without an end."""
    fim = small[1]
    starts = [[fim.prefix, 40, fim.suffix, fim.middle], [fim.prefix, 41, 42, fim.suffix, 43, fim.middle]]
    completions = [[60 + i, *range(70, 70 + i % 4), *([fim.end] if i % 3 else [80])] for i in range(8)]
    return [start for start in starts for _ in range(4)], completions


@pytest.fixture
def trio(small):
    """(policy, reference, moved): the last is the policy after an update so large that some ratios are clipped."""
    tokenizer, fim, _ = small
    models = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        models.append(scratch(tokenizer, fim))
    moved = copy.deepcopy(models[0])
    with torch.no_grad():
        for parameter in moved.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return *models, moved


def test_advantages_and_loss_are_those_of_trl(small, trio, episodes, opened, tmp_path):
    from datasets import Dataset
    from trl import RLOOConfig, RLOOTrainer

    (tokenizer, fim, model), (policy, reference, moved), (prompts, completions) = small, trio, episodes
    model.save_pretrained(tmp_path / "judge")
    reward = fresh_reward(str(tmp_path / "judge"), fim)
    models, settings = dict(policy=policy, reference=reference, reward=reward), opened.settings
    rollout = rloo.judge(**models, prompts=prompts, completions=completions, session=opened)
    ours, metrics = rloo.loss(policy=moved, batch=rollout, session=opened)

    policy.save_pretrained(tmp_path / "policy")
    packed = packing.pack([(p, [c]) for p, c in zip(prompts, completions, strict=True)])
    ended = torch.tensor([fim.end in c for c in completions])
    scores = rewards.score(reward=reward, packed=packed, ended=ended, missing_eos_penalty=1.0, length_penalty=0.01).tolist()
    options = as_it_comes(
        str(tmp_path),
        per_device_train_batch_size=8,
        num_generations=4,
        beta=settings.kl_coef,
        temperature=settings.temperature,
        epsilon=settings.cliprange,
    )
    trainer = RLOOTrainer(
        model=AutoModelForCausalLM.from_pretrained(tmp_path / "policy"),
        reward_funcs=lambda **_: scores,
        args=RLOOConfig(**options),
        train_dataset=Dataset.from_list([dict(prompt="x")] * 8),
        processing_class=tokenizer,
    )
    copied = {name: weight.clone() for name, weight in reference.state_dict().items()}
    trainer.ref_model.load_state_dict(copied)
    trainer._generate = lambda _: (prompts, completions, ["x"] * 8)
    batch = trainer._generate_and_score_completions([dict(prompt="x")] * 8)
    assert rollout.advantages.tolist() == pytest.approx(batch["advantages"].tolist(), abs=1e-5)
    assert rollout.logprobs.tolist() == pytest.approx(batch["old_logps"].tolist(), abs=1e-4)
    trainer.model.load_state_dict({name: weight.clone() for name, weight in moved.state_dict().items()})
    theirs = trainer._compute_loss(trainer.model, batch)
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), abs=1e-5)
    assert float(metrics["policy/clipfrac_avg"]) > 0 and abs(float(ours.detach())) > 1e-3


def test_the_kl_penalty_is_of_whole_completions_and_penalties_are_taken_off(small, trio, episodes, opened):
    fim, (policy, reference, _), (prompts, completions) = small[1], trio, episodes
    nothing = lambda packed: torch.zeros(len(packed.sizes))  # noqa: E731
    models = dict(policy=policy, reference=reference, reward=nothing)
    rollout = rloo.judge(**models, prompts=prompts, completions=completions, session=changed(opened, temperature=1.0))
    returns = []
    for prompt, completion in zip(prompts, completions, strict=True):
        ratio = logprobs(policy, prompt, completion).sum() - logprobs(reference, prompt, completion).sum()
        returns.append(float(-0.1 * ratio.detach()) - (fim.end not in completion) - 0.01 * len(completion))
    assert rollout.advantages.tolist() == pytest.approx(rloo.advantages(torch.tensor(returns), 4).tolist(), abs=1e-4)
    assert rollout.metrics["objective/rlhf_reward"] == pytest.approx(sum(returns) / 8, abs=1e-4)


# ------------------------------------------------------------------------------------------------------------------------ training


def train(parent: str, session: Session) -> tuple[dict, dict]:
    """(weights, record) of RLOO on 24 prompts."""
    torch.set_num_threads(1)
    fim, (policy, reference) = session.fim, (session.load_policy(parent) for _ in range(2))
    prompts = [[fim.prefix, *range(40, 41 + i % 3), fim.suffix, fim.middle] for i in range(24)]
    record = rloo.train(policy=policy, reference=reference, reward=fresh_reward(parent, fim), prompts=prompts, session=session)
    return policy.state_dict(), record


def train_and_die(parent: str, session: Session, step: int) -> None:
    """Train in this process, and kill it after `step` rollouts, before what was learnt of the last is saved."""
    die_after(rloo, "learn", step)
    train(parent, session)


def test_killed_training_resumes_to_the_result_of_an_undisturbed_one(small_checkpoint, opened, tmp_path, caplog):
    weights, record = train(small_checkpoint, opened)
    saving = replace(opened, checkpoints=Checkpoints(str(tmp_path / "checkpoints"), 30))
    killed(train_and_die, small_checkpoint, saving, 5)
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-4"]
    with caplog.at_level(logging.INFO):
        again, resumed = train(small_checkpoint, saving)
    assert "resuming from step 4 of 6" in caplog.text
    assert resumed == record and same(weights, again)
    assert (record["steps"], record["episodes"], record["history"][-1]["epoch"]) == (6, 96, 1.0)
    assert record["history"][0]["objective/kl"] == 0 and record["history"][-1]["objective/kl"] != 0


def test_training_moves_towards_the_reward(small_checkpoint, opened):
    free = dict(kl_coef=0.0, missing_eos_penalty=0.0, length_penalty=0.0, temperature=1.0, max_new_tokens=4)
    longer = changed(opened, episodes=512, rollout_batch_size=32, mini_batch_size=16, learning_rate=1e-2, **free)
    scores = [row["objective/scores"] for row in train(small_checkpoint, longer)[1]["history"]]
    assert len(scores) == 16 and sum(scores[-3:]) / 3 > sum(scores[:3]) / 3 + 0.03


# -------------------------------------------------------------------------------------------------------------------- bad input


def test_too_few_prompts_are_named(small, opened):
    model, nothing = small[2], lambda packed: torch.zeros(len(packed.sizes))
    with pytest.raises(InputError, match="a rollout of 4 prompts is larger than the 1 that there are; lower rollout_batch_size"):
        rloo.train(policy=model, reference=model, reward=nothing, prompts=[[1, 2]], session=opened)


def test_a_metric_that_is_not_finite_is_one_sentence_that_names_the_policy_and_the_learning_rate(small_checkpoint, opened):
    sentence = (
        r"policies\.fast\.learning_rate: at 1e\+30 (training leaves .* not finite|[\w/]+ is (nan|inf|-inf) at step \d); lower it, or .*"
    )
    with pytest.raises(InputError) as error:
        train(small_checkpoint, replace(changed(opened, learning_rate=1e30), section="policies.fast"))
    assert re.fullmatch(sentence, str(error.value)), error.value
