"""PPO: its arithmetic by hand, three rollouts beside TRL 1.12's own trainer, and whole trainings, killed ones among them."""

import copy
import json
import logging
import math
import multiprocessing
import os
import signal
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import get_cosine_schedule_with_warmup

from benchmarks.ppo import trainer
from tests.unit.small import logprobs, scratch
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.training import models, on_policy, ppo, ppo_math, ppo_rollouts, rewards
from workflow_scripts.core.training.checkpoints import STATE_FILE, Checkpoints

SETTINGS = ppo.Settings(
    seed=0,
    device="cpu",
    desc="test",
    episodes=128,
    rollout_batch_size=16,
    mini_batch_size=8,
    ppo_epochs=2,
    learning_rate=3e-3,
    kl_coef=0.1,
    max_new_tokens=6,
    temperature=0.7,
    missing_eos_penalty=1.0,
    cliprange=0.2,
    gamma=0.95,
    lam=0.9,
    vf_coef=0.1,
    whiten_rewards=False,
    length_penalty=0.0,
)
PROCESSES = multiprocessing.get_context("forkserver")  # children start with the libraries imported, and with none of our threads
PROCESSES.set_forkserver_preload([__name__])


# ------------------------------------------------------------------------------------------------------------------------ by hand


def test_a_shorter_completion_has_a_state_more_than_tokens():
    tokens, states = ppo_math.places([1, 3, 2])
    assert tokens.int().tolist() == [[1, 0, 0], [1, 1, 1], [1, 1, 0]]
    assert states.int().tolist() == [[1, 1, 0], [1, 1, 1], [1, 1, 1]]
    assert ppo_math.spread(torch.arange(1.0, 7.0), tokens).tolist() == [[1, 0, 0], [2, 3, 4], [5, 6, 0]]


def test_the_score_is_paid_at_the_last_state_and_the_log_ratio_at_each_token():
    tokens, states = ppo_math.places([1, 3])
    logratios = ppo_math.spread(torch.tensor([0.5, 1.0, -2.0, 0.0]), tokens)
    rewards = ppo_math.token_rewards(scores=torch.tensor([3.0, -1.0]), logratios=logratios, states=states, kl_coef=0.1)
    assert rewards.numpy() == pytest.approx(np.array([[-0.05, 3.0, 0.0], [-0.1, 0.2, -1.0]]))


def test_whitening_is_over_the_places_alone():
    values, where = torch.tensor([[1.0, 99.0], [3.0, 5.0]]), torch.tensor([[True, False], [True, True]])
    assert ppo_math.whiten(values, where).numpy() == pytest.approx(np.array([[-1, 0], [0, 1]]))  # mean 3, standard deviation 2
    assert ppo_math.whiten(values, where, keep_mean=True).numpy() == pytest.approx(np.array([[2, 0], [3, 4]]))
    assert ppo_math.whiten(values, torch.tensor([[True, False], [False, False]])).tolist() == [[0, 0], [0, 0]], "one place, no variance"


def test_advantages_are_discounted_sums_of_surprises():
    rewards, values = torch.tensor([[1.0, 0.0, 2.0]]), torch.tensor([[0.5, 1.0, 0.5]])
    # surprises with gamma 0.5: 1 + 0.5 - 0.5 = 1, 0 + 0.25 - 1 = -0.75, 2 + 0 - 0.5 = 1.5; each weighed by 0.5 * 0.4 per step
    found = ppo_math.generalized_advantages(rewards=rewards, values=values, gamma=0.5, lam=0.4)
    assert found.numpy() == pytest.approx(np.array([[1 - 0.15 + 0.06, -0.75 + 0.3, 1.5]]))


def test_policy_loss_keeps_the_worse_of_ratio_and_clipped_ratio():
    new, advantages = torch.log(torch.tensor([1.5, 1.5, 0.5, 1.1])), torch.tensor([1.0, -1.0, 1.0, 2.0])
    loss, said = ppo_math.policy_loss(new=new, old=torch.zeros(4), advantages=advantages, cliprange=0.2)
    assert float(loss) == pytest.approx((-1.2 + 1.5 - 0.5 - 2.2) / 4)
    assert float(said["policy/clipfrac_avg"]) == 0.25 and float(said["val/ratio"]) == pytest.approx(4.6 / 4)
    assert float(said["policy/approxkl_avg"]) == pytest.approx(sum(math.log(r) ** 2 for r in (1.5, 1.5, 0.5, 1.1)) / 8)


def test_value_loss_gains_nothing_from_a_leap_towards_the_return():
    new, old, returns = torch.tensor([1.0, 0.1, 3.0]), torch.tensor([0.0, 0.0, 0.0]), torch.tensor([1.0, 1.0, 1.0])
    loss, said = ppo_math.value_loss(new=new, old=old, returns=returns, cliprange=0.2)
    assert float(loss) == pytest.approx(0.5 * (0.64 + 0.81 + 4) / 3) and float(said["val/clipfrac_avg"]) == pytest.approx(1 / 3)


def test_the_learning_rate_is_half_a_cosine_over_the_rollouts():
    assert SETTINGS.rollouts == 8 and replace(SETTINGS, episodes=129).rollouts == 9
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=SETTINGS.learning_rate)
    schedule = get_cosine_schedule_with_warmup(optimizer, 0, SETTINGS.rollouts)
    for done in range(SETTINGS.rollouts):
        assert SETTINGS.rate(done) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


# ------------------------------------------------------------------------------------------------------------------------ prompts


def test_prompts_hold_every_rl_prompt_row_and_each_preference_canary_as_often_as_asked():
    rl = [dict(source="snippet", source_id="s", prompt_ids=[1]), *[dict(source="canary", source_id="c", prompt_ids=[2])] * 4]
    preference = [dict(source="snippet", source_id="t", prompt_ids=[3]), *[dict(source="canary", source_id="d", prompt_ids=[4])] * 16]
    made = on_policy.prompts(rl_prompt=rl, preference=preference, preference_repeats=3)
    assert sorted(made) == [[1], *[[2]] * 4, *[[4]] * 3]


def test_a_pass_asks_each_prompt_once_in_an_order_that_is_that_of_the_other_arm():
    asked, other = [[i] for i in range(10)], [[100 + i] for i in range(10)]
    passes = [[on_policy.draw(asked=asked, size=3, seed=1, rollout=3 * n + i) for i in range(3)] for n in range(2)]
    for drawn in passes:
        met = [ids[0] for rollout in drawn for ids in rollout]
        assert len(met) == len(set(met)) == 9, "one prompt does not fill a rollout, and is left out"
    assert passes[0] != passes[1] != [[on_policy.draw(asked=asked, size=3, seed=2, rollout=3 + i) for i in range(3)]][0]
    assert on_policy.draw(asked=other, size=3, seed=1, rollout=4) == [[100 + ids[0]] for ids in passes[1][1]]


# ------------------------------------------------------------------------------------------------------------------------ readings


@pytest.fixture(scope="module")
def four(small, tmp_path_factory) -> ppo_rollouts.Models:
    """Four different small models in double precision, so that what is compared is the method and not its rounding."""
    tokenizer, fim, _ = small
    made = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        made.append(scratch(tokenizer, fim))
        path = tmp_path_factory.mktemp("parent")
        made[-1].save_pretrained(path)
        made.append(models.load_reward_model(path, fim=fim))
    policy, reward, reference, value = (m.double().eval() for m in made)
    return ppo_rollouts.Models(policy=policy, value=value, reference=reference, reward=rewards.Trained([reward]))


@pytest.fixture(scope="module")
def episodes(small) -> list[tuple[list[int], list[int]]]:
    """16 (prompt, completion), sorted: of all lengths, with and without an end, two of one prompt."""
    fim, made = small[1], []
    for i in range(16):
        prompt = [fim.prefix, *range(20 + 5 * i, 20 + 5 * i + i % 4), fim.suffix, 40 + i, fim.middle]
        completion = [60 + i, 61 + 2 * i, 70, 71 + i, 80, 90 + i] if i % 5 == 0 else [*range(100 + i, 100 + i + i % 6), fim.end]
        made.append((prompt, completion))
    made[7] = (made[6][0], made[7][1])
    return sorted(made, key=lambda e: (len(e[0]), e[0]))


def test_what_models_say_of_packed_episodes_is_what_they_say_of_each_alone(four, episodes):
    prompts, completions = zip(*episodes, strict=True)
    packed = ppo_rollouts.pack(prompts, completions, device="cpu")
    assert packed.ids.shape[1] < sum(len(p) + len(c) for p, c in episodes), "the prompt of two completions is read once"
    tokens, states = ppo_math.places([len(c) for c in completions])
    said = ppo_rollouts.logprobs(four.policy, packed, 1.0)
    alone = torch.cat([logprobs(four.policy, p, c) for p, c in episodes])
    assert said.detach().numpy() == pytest.approx(alone.detach().numpy(), abs=1e-5)
    value, judged, score = ppo_rollouts.values(four.value, packed, tokens, states), [], []
    for prompt, completion in episodes:
        hidden = four.value.model(torch.tensor([prompt + completion])).last_hidden_state[0]
        judged.append(four.value.score(hidden)[len(prompt) - 1 :, 0][:6])
        score.append(four.reward.models[0](torch.tensor([prompt + completion])).logits[0, 0])
    assert value.detach().numpy() == pytest.approx(torch.cat(judged).detach().numpy(), abs=1e-5)
    assert four.reward(packed).detach().numpy() == pytest.approx(torch.stack(score).detach().numpy(), abs=1e-5)


# ---------------------------------------------------------------------------------------------------------------- beside TRL 1.12

SEEN = ("logprobs", "values", "advantages", "returns")  # of a rollout, by their names in both


@pytest.fixture(scope="module")
def played(small, episodes) -> list[list[tuple[list[int], list[int]]]]:
    """Three rollouts of the same prompts: in the second other tokens, in the third every completion ends."""
    end = small[1].end
    second = [(p, [t if t == end else t + 7 for t in c]) for p, c in episodes]
    return [episodes, second, [(p, [*c[:-1], end]) for p, c in second]]


def run_ours(*, four, played, fim, settings, monkeypatch) -> tuple[list[dict], dict, list[ppo.Rollout], list[np.ndarray]]:
    """Our train() with these completions: (its log, the policy's weights, what it makes of the rollouts, the orders of minibatches)."""
    judged, orders, judge, learn, left = [], [], ppo.judge, ppo.learn, list(played)

    def complete(*, prompts, **_):
        episodes = left.pop(0)
        assert prompts == [p for p, _ in episodes]
        return [c for _, c in episodes]

    class Noted:
        def __init__(self, random):
            self.random = random

        def permutation(self, size):
            orders.append(self.random.permutation(size))
            return orders[-1]

    monkeypatch.setattr(on_policy.generation, "complete", complete)
    monkeypatch.setattr(ppo, "judge", lambda **more: (judged.append(judge(**more)), judged[-1])[1])
    monkeypatch.setattr(ppo, "learn", lambda *, random, **more: learn(random=Noted(random), **more))
    policy = copy.deepcopy(four.policy)
    value = rewards.value_model(reward=four.reward, parent="", fim=fim, device="cpu")
    parts = dict(model=policy, reference=four.reference, reward=four.reward, value_model=value)
    record = ppo.train(**parts, fim=fim, asked=[p for p, _ in played[0]], settings=settings)
    return record["history"], policy.state_dict(), judged, orders


def run_trl(*, four, played, tokenizer, settings, orders, monkeypatch) -> tuple[list[dict], dict, list[dict]]:
    """TRL's train() with the same completions and minibatches: (its log, the policy's weights, its tensors of each rollout)."""
    from trl.experimental.ppo import ppo_trainer

    met, left, places, permutation = [], list(played), [], np.random.permutation

    def complete(model, queries, _, pad, __):
        """What batch_generation would give: prompts with completions, and the logits they were sampled from."""
        episodes, rows = left.pop(0), []
        places.clear()
        for query in queries.tolist():
            prompt = [token for token in query if token != pad]
            places.append(next(i for i, (p, _) in enumerate(episodes) if p == prompt and i not in places))
            rows.append(episodes[places[-1]][1])
        width = max(map(len, rows))
        both = torch.cat([queries, torch.tensor([c + [pad] * (width - len(c)) for c in rows])], dim=1)
        logits = ppo_trainer.forward(model, both, pad).logits[:, queries.shape[1] - 1 : -1]
        return both, logits / (settings.temperature + 1e-7)

    def order(size):
        """The minibatches that ours had; and a look at the tensors of the train() that asks for the first ones of a rollout."""
        frame = sys._getframe(1)
        if frame.f_code.co_name != "train":
            return permutation(size)
        where = np.argsort(places)  # of our episodes among its rows
        if len(orders) % settings.ppo_epochs == 0:
            met.append({k: frame.f_locals[k][where] for k in SEEN})
        return where[orders.pop(0)]

    monkeypatch.setattr(ppo_trainer, "batch_generation", complete)
    monkeypatch.setattr(np.random, "permutation", order)
    judge = four.reward.models[0]
    parts = dict(model=four.policy, reference=four.reference, reward_model=judge, value_model=judge)
    parts = {name: copy.deepcopy(m) for name, m in parts.items()}
    for model in parts.values():
        model.set_attn_implementation("sdpa")
    made = trainer(**parts, tokenizer=tokenizer, asked=[p for p, _ in played[0]], seed=0, chosen=vars(settings))
    made.train()
    return made.state.log_history, parts["model"].state_dict(), met


@pytest.mark.parametrize("whiten_rewards", [False, True])
def test_three_rollouts_are_those_of_trl_down_to_the_weights_after_them(whiten_rewards, small, four, played, monkeypatch):
    tokenizer, fim, _ = small
    settings = replace(SETTINGS, episodes=48, whiten_rewards=whiten_rewards)
    both = dict(four=four, played=played, settings=settings, monkeypatch=monkeypatch)
    log, weights, judged, orders = run_ours(fim=fim, **both)
    their_log, their_weights, met = run_trl(tokenizer=tokenizer, orders=orders, **both)
    assert len(log) == len(their_log) == len(judged) == len(met) == 3 and not orders
    for rollout, theirs in zip(judged, met, strict=True):
        theirs["logprobs"] = theirs["logprobs"].masked_fill(~rollout.tokens, 0)  # it has 1 there
        for name in SEEN:
            assert torch.allclose(getattr(rollout, name).double(), theirs[name], atol=1e-5, rtol=0), name
    for row, theirs in zip(log, their_log, strict=True):
        compared = {k for k in row if k.startswith(("objective/", "loss/")) or "clipfrac" in k} | {"lr", "episode", "epoch", "step"}
        assert len(compared) == 13 and {k: row[k] for k in compared} == pytest.approx({k: theirs[k] for k in compared}, abs=1e-5)
    assert [row["val/num_eos_tokens"] for row in log] == [row["val/num_eos_tokens"] for row in their_log] == [12, 12, 16]
    assert all(log[0][f"{part}/clipfrac_avg"] > 0 for part in ("policy", "val")), "clipping must have been at work for this to tell"
    before = four.policy.state_dict()
    moved, apart = (max(float((weights[k] - other[k]).abs().max()) for k in before) for other in (before, their_weights))
    assert moved > 0.01 and apart < 1e-5, (moved, apart)


# ------------------------------------------------------------------------------------------------------------------------ training


def train(fim, parent: str, settings: ppo.Settings, reward: rewards.Reward | None = None) -> tuple[dict, dict]:
    """(weights, record) of PPO on 36 prompts, against an untrained reward model if against nothing else."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, reference = (models.load_policy(parent) for _ in range(2))
    reward = reward or rewards.Trained([models.load_reward_model(parent, fim=fim).eval()])
    value_model = rewards.value_model(reward=reward, parent=parent, fim=fim, device="cpu")
    asked = [[fim.prefix, *range(40, 41 + i % 3), fim.suffix, fim.middle] for i in range(36)]
    parts = dict(model=model, reference=reference, reward=reward, value_model=value_model)
    return model.state_dict(), ppo.train(**parts, fim=fim, asked=asked, settings=settings)


def train_and_die(fim, parent: str, settings: ppo.Settings, step: int, writing: bool) -> None:
    """Train in this process, and kill it at the end of `step`, or halfway through writing the checkpoint of that step."""
    owner, name = (on_policy, "save_state") if writing else (ppo, "learn")
    real, calls = getattr(owner, name), []

    def die(*arguments, **more):
        calls.append(real(*arguments, **more))
        if len(calls) == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return calls[-1]

    setattr(owner, name, die)
    train(fim, parent, settings)


@pytest.fixture(scope="module")
def parent(small, tmp_path_factory) -> str:
    """The checkpoint that PPO starts from."""
    path = tmp_path_factory.mktemp("parent")
    small[2].save_pretrained(path)
    return str(path)


@pytest.fixture(scope="module")
def undisturbed(small, parent) -> tuple[dict, dict]:
    """(weights, record) of eight rollouts without checkpoints."""
    return train(small[1], parent, SETTINGS)


@pytest.fixture
def saving(tmp_path) -> ppo.Settings:
    """The same with a checkpoint after every second rollout."""
    return replace(SETTINGS, checkpoints=Checkpoints(str(tmp_path / "checkpoints"), 25))


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("writing", [False, True])
def test_killed_training_goes_on_to_the_result_of_an_undisturbed_one(writing, small, parent, undisturbed, saving, tmp_path, caplog):
    child = PROCESSES.Process(target=train_and_die, args=(small[1], parent, saving, 2 if writing else 6, writing))
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    left = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert left == (["checkpoint-4", "step-2"] if writing else ["step-4"])
    with caplog.at_level(logging.INFO):
        weights, record = train(small[1], parent, saving)
    assert f"going on from step {2 if writing else 4} of 8" in caplog.text and f"step {1 if writing else 3}: " not in caplog.text
    assert record == undisturbed[1] and same(weights, undisturbed[0])
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-6"], "one is kept, none of the last step"


def test_corrupt_checkpoint_means_a_fresh_start_and_a_line_in_the_log(small, parent, undisturbed, saving, tmp_path, caplog):
    train(small[1], parent, saving)
    state = tmp_path / "checkpoints/step-6" / STATE_FILE
    state.write_bytes(state.read_bytes()[:-100])
    with caplog.at_level(logging.INFO):
        weights, record = train(small[1], parent, saving)
    assert "step-6 cannot be loaded" in caplog.text and "it is removed" in caplog.text and "going on from" not in caplog.text
    assert record == undisturbed[1] and same(weights, undisturbed[0])


def test_the_record_says_what_was_played(undisturbed):
    record = undisturbed[1]
    assert (record["steps"], record["episodes"], len(record["history"])) == (8, 128, 8)
    assert json.loads(json.dumps(record)) == record
    assert [row["episode"] for row in record["history"]] == [16.0 * i for i in range(1, 9)]
    assert 128 * (4 + 1) < record["tokens"] <= 128 * (6 + 6)
    assert record["history"][0]["objective/kl"] == 0 and record["history"][-1]["objective/kl"] != 0
    assert record["history"][0]["val/num_eos_tokens"] < 16


def test_training_moves_towards_the_reward(small, parent):
    free = dict(kl_coef=0.0, missing_eos_penalty=0.0, temperature=1.0, max_new_tokens=4, gamma=1.0, lam=0.95)
    settings = replace(SETTINGS, episodes=512, rollout_batch_size=32, mini_batch_size=16, learning_rate=1e-2, **free)
    found = [row["objective/scores"] for row in train(small[1], parent, settings)[1]["history"]]
    assert len(found) == 16 and sum(found[-3:]) / 3 > sum(found[:3]) / 3 + 0.03


SHORT = replace(SETTINGS, episodes=256, rollout_batch_size=32, mini_batch_size=16, learning_rate=1e-2, kl_coef=0.0, missing_eos_penalty=0.0)


def test_a_length_penalty_is_taken_off_the_score_for_every_token(small, parent):
    constant = rewards.LengthOnly(dict(mean=[0.0, 0.0], deviation=[1.0, 1.0], coefficients=[0.0, 0.0]))
    one = replace(SHORT, episodes=32)
    free, penalised = (train(small[1], parent, replace(one, length_penalty=penalty), constant)[1] for penalty in (0.0, 0.5))
    prompts = on_policy.draw(asked=[[0] * (4 + i % 3) for i in range(36)], size=32, seed=0, rollout=0)
    completions = free["tokens"] - sum(map(len, prompts))
    assert free["history"][0]["objective/scores"] == 0 and free["tokens"] == penalised["tokens"]
    assert penalised["history"][0]["objective/scores"] == pytest.approx(-0.5 * completions / 32)


def test_a_reward_of_length_alone_needs_no_network_and_is_a_length_penalty(small, parent):
    per_token = rewards.LengthOnly(dict(mean=[0.0, 0.0], deviation=[1.0, 1.0], coefficients=[-1.0, 0.0]))
    by_reward, by_penalty = (
        train(small[1], parent, replace(SHORT, length_penalty=penalty), reward)[1]
        for penalty, reward in ((0.0, per_token), (1.0, replace(per_token, fitted={**per_token.fitted, "coefficients": [0.0, 0.0]})))
    )
    assert by_reward == by_penalty, "a reward of -1 per token and a penalty of 1 are one and the same"


@pytest.mark.parametrize("aggregate", ["mean", "worst", "uncertainty"])
def test_ppo_against_an_ensemble_pays_what_the_members_say_together(aggregate, small, parent, monkeypatch):
    members = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        members.append(models.load_reward_model(parent, fim=small[1]).eval())
    ensemble = rewards.Ensemble(members, [0.5, -0.5], aggregate, 2.0)
    paid, real = [], rewards.Ensemble.__call__
    monkeypatch.setattr(rewards.Ensemble, "__call__", lambda self, packed: (paid.append(real(self, packed)), paid[-1])[1])
    settings = replace(SETTINGS, episodes=32, missing_eos_penalty=0.0)
    weights, record = train(small[1], parent, settings, ensemble)
    assert [row["objective/scores"] for row in record["history"]] == pytest.approx([float(x.mean()) for x in torch.cat(paid).view(2, 16)])
    assert not same(weights, train(small[1], parent, settings, rewards.Trained(members[:1]))[0])


def test_too_few_prompts_are_named(small):
    fim, model = small[1:]
    with pytest.raises(InputError, match="larger than the 1 that there are; lower rollout_batch_size"):
        ppo.train(model=model, reference=model, reward=None, value_model=model, fim=fim, asked=[[1, 2]], settings=SETTINGS)
