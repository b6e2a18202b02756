"""PPO: its arithmetic by hand, three rollouts beside TRL 1.12's own trainer, and whole trainings, killed ones among them."""

import copy
import json
import logging
import math
import re
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import get_cosine_schedule_with_warmup

from benchmarks.ppo import trainer
from tests.unit.small import changed, die_after, killed, logprobs, same, scratch, session
from workflow_scripts.core import parquet
from workflow_scripts.core.data.schemas import EXAMPLES
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.lm import models
from workflow_scripts.core.methods import Ppo
from workflow_scripts.core.training import episodes, on_policy, ppo, ppo_math, ppo_rollout, rewards, rl_prompts
from workflow_scripts.core.training.by_trl import ppo as by_trl
from workflow_scripts.core.training.checkpoints import STATE_FILE, Checkpoints
from workflow_scripts.core.training.session import Session

SETTINGS = dict(
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
)


@pytest.fixture
def opened(small) -> Session:
    """A session with SETTINGS."""
    return session(Ppo, fim=small[1], **SETTINGS)


# ------------------------------------------------------------------------------------------------------------------------ by hand


def test_a_shorter_completion_has_a_state_more_than_tokens():
    tokens, states = ppo_math.places([1, 3, 2])
    assert tokens.int().tolist() == [[1, 0, 0], [1, 1, 1], [1, 1, 0]]
    assert states.int().tolist() == [[1, 1, 0], [1, 1, 1], [1, 1, 1]]
    assert ppo_math.spread(torch.arange(1.0, 7.0), tokens).tolist() == [[1, 0, 0], [2, 3, 4], [5, 6, 0]]


def test_the_score_comes_at_the_last_state_and_the_log_ratio_at_each_token():
    tokens, states = ppo_math.places([1, 3])
    logratios = ppo_math.spread(torch.tensor([0.5, 1.0, -2.0, 0.0]), tokens)
    token_level = ppo_math.token_rewards(scores=torch.tensor([3.0, -1.0]), logratios=logratios, states=states, kl_coef=0.1)
    assert token_level.numpy() == pytest.approx(np.array([[-0.05, 3.0, 0.0], [-0.1, 0.2, -1.0]]))


def test_whitening_is_over_the_places_only():
    values, where = torch.tensor([[1.0, 99.0], [3.0, 5.0]]), torch.tensor([[True, False], [True, True]])
    assert ppo_math.whiten(values, where).numpy() == pytest.approx(np.array([[-1, 0], [0, 1]]))  # mean 3, standard deviation 2
    assert ppo_math.whiten(values, where, keep_mean=True).numpy() == pytest.approx(np.array([[2, 0], [3, 4]]))
    assert ppo_math.whiten(values, torch.tensor([[True, False], [False, False]])).tolist() == [[0, 0], [0, 0]], "one place, no variance"


def test_advantages_are_discounted_sums_of_surprises():
    token_level, values = torch.tensor([[1.0, 0.0, 2.0]]), torch.tensor([[0.5, 1.0, 0.5]])
    # surprises with gamma 0.5: 1 + 0.5 - 0.5 = 1, 0 + 0.25 - 1 = -0.75, 2 + 0 - 0.5 = 1.5; each weighed by 0.5 * 0.4 per step
    advantages = ppo_math.generalized_advantages(rewards=token_level, values=values, gamma=0.5, lam=0.4)
    assert advantages.numpy() == pytest.approx(np.array([[1 - 0.15 + 0.06, -0.75 + 0.3, 1.5]]))


def test_clipped_surrogate_keeps_the_worse_of_ratio_and_clipped_ratio():
    new, advantages = torch.log(torch.tensor([1.5, 1.5, 0.5, 1.1])), torch.tensor([1.0, -1.0, 1.0, 2.0])
    loss, metrics = episodes.clipped_surrogate(new=new, old=torch.zeros(4), advantages=advantages, cliprange=0.2)
    assert float(loss) == pytest.approx((-1.2 + 1.5 - 0.5 - 2.2) / 4)
    assert float(metrics["policy/clipfrac_avg"]) == 0.25 and float(metrics["val/ratio"]) == pytest.approx(4.6 / 4)
    assert float(metrics["policy/approxkl_avg"]) == pytest.approx(sum(math.log(r) ** 2 for r in (1.5, 1.5, 0.5, 1.1)) / 8)


def test_value_loss_gains_nothing_from_a_leap_towards_the_return():
    new, old, returns = torch.tensor([1.0, 0.1, 3.0]), torch.tensor([0.0, 0.0, 0.0]), torch.tensor([1.0, 1.0, 1.0])
    loss, metrics = ppo_math.value_loss(new=new, old=old, returns=returns, cliprange=0.2)
    assert float(loss) == pytest.approx(0.5 * (0.64 + 0.81 + 4) / 3) and float(metrics["val/clipfrac_avg"]) == pytest.approx(1 / 3)


def test_the_learning_rate_is_half_a_cosine_over_the_rollouts(opened):
    settings = opened.settings
    assert on_policy.rollouts(settings) == 8 and on_policy.rollouts(replace(settings, episodes=129)) == 9
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=settings.learning_rate)
    schedule = get_cosine_schedule_with_warmup(optimizer, 0, 8)
    for done in range(8):
        assert on_policy.learning_rate(settings, done) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


# ------------------------------------------------------------------------------------------------------------------------ prompts


def test_prompts_hold_every_rl_prompt_row_and_each_preference_canary_several_times(tmp_path):
    rl = [dict(source="snippet", source_id="s", prompt_ids=[1]), *[dict(source="canary", source_id="c", prompt_ids=[2])] * 4]
    preference = [dict(source="snippet", source_id="t", prompt_ids=[3]), *[dict(source="canary", source_id="d", prompt_ids=[4])] * 16]
    prompts = rl_prompts.choose(rl_prompt=rl, preference=preference, preference_repeats=3)
    assert sorted(prompts) == [[1], *[[2]] * 4, *[[4]] * 3]
    for name, rows in (("rl_prompt", rl), ("preference", preference)):
        parquet.write([dict(row, target_ids=[9]) for row in rows], EXAMPLES, tmp_path / name)
    assert rl_prompts.read(rl_prompt=tmp_path / "rl_prompt", preference=tmp_path / "preference", repeats=3) == prompts


def test_a_pass_has_each_prompt_once_in_an_order_that_is_that_of_the_other_arm():
    prompts, other = [[i] for i in range(10)], [[100 + i] for i in range(10)]
    passes = [[on_policy.draw(prompts=prompts, size=3, seed=1, rollout=3 * n + i) for i in range(3)] for n in range(2)]
    for drawn in passes:
        met = [ids[0] for rollout in drawn for ids in rollout]
        assert len(met) == len(set(met)) == 9, "one prompt does not fill a rollout, and is left out"
    assert passes[0] != passes[1] != [[on_policy.draw(prompts=prompts, size=3, seed=2, rollout=3 + i) for i in range(3)]][0]
    assert on_policy.draw(prompts=other, size=3, seed=1, rollout=4) == [[100 + ids[0]] for ids in passes[1][1]]


def test_presentations_are_counted_as_the_prompts_that_are_really_completed(small_checkpoint, short):
    """Four rollouts of 32 of 36 prompts: the count without a model is the one that the reward sees."""
    some, seen = changed(short, episodes=128), Counter()
    train(small_checkpoint, some, rewards.Computed(lambda prompt, completion: float(seen.update([tuple(prompt)]) or 0)))
    fim = some.fim
    prompts = [[fim.prefix, *range(40, 41 + i % 3), fim.suffix, fim.middle] for i in range(36)]
    assert seen == rl_prompts.drawn(prompts=prompts, settings=some.settings, seed=some.seed) and seen.total() == 128


# ------------------------------------------------------------------------------------------------------------------------ readings


@pytest.fixture(scope="module")
def four(small, tmp_path_factory) -> ppo_rollout.Models:
    """Four different small models in double precision, so that what is compared is the method and not its rounding."""
    tokenizer, fim, _ = small
    networks = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        networks.append(scratch(tokenizer, fim))
        path = tmp_path_factory.mktemp("parent")
        networks[-1].save_pretrained(path)
        networks.append(models.load_reward_model(path, fim=fim))
    policy, reward, reference, value = (m.double().eval() for m in networks)
    return ppo_rollout.Models(policy=policy, value=value, reference=reference, reward=rewards.Trained([reward]))


@pytest.fixture(scope="module")
def sixteen(small) -> list[tuple[list[int], list[int]]]:
    """16 episodes (prompt, completion), sorted: of all lengths, with and without an end, two of one prompt."""
    fim, both = small[1], []
    for i in range(16):
        prompt = [fim.prefix, *range(20 + 5 * i, 20 + 5 * i + i % 4), fim.suffix, 40 + i, fim.middle]
        completion = [60 + i, 61 + 2 * i, 70, 71 + i, 80, 90 + i] if i % 5 == 0 else [*range(100 + i, 100 + i + i % 6), fim.end]
        both.append((prompt, completion))
    both[7] = (both[6][0], both[7][1])
    return sorted(both, key=lambda e: (len(e[0]), e[0]))


def test_what_models_give_for_packed_episodes_is_what_they_give_for_each_alone(four, sixteen):
    prompts, completions = zip(*sixteen, strict=True)
    packed = episodes.pack(prompts, completions, device="cpu")
    assert packed.ids.shape[1] < sum(len(p) + len(c) for p, c in sixteen), "the prompt of two completions is read once"
    tokens, states = ppo_math.places([len(c) for c in completions])
    together = episodes.logprobs(four.policy, packed, 1.0)
    alone = torch.cat([logprobs(four.policy, p, c) for p, c in sixteen])
    assert together.detach().numpy() == pytest.approx(alone.detach().numpy(), abs=1e-5)
    value, judged, score = ppo_rollout.values(four.value, packed, tokens, states), [], []
    for prompt, completion in sixteen:
        hidden = four.value.model(torch.tensor([prompt + completion])).last_hidden_state[0]
        judged.append(four.value.score(hidden)[len(prompt) - 1 :, 0][:6])
        score.append(four.reward.models[0](torch.tensor([prompt + completion])).logits[0, 0])
    assert value.detach().numpy() == pytest.approx(torch.cat(judged).detach().numpy(), abs=1e-5)
    assert four.reward(packed).detach().numpy() == pytest.approx(torch.stack(score).detach().numpy(), abs=1e-5)


# ---------------------------------------------------------------------------------------------------------------- beside TRL 1.12

SEEN = ("logprobs", "values", "advantages", "returns")  # of a rollout, by their names in both


@pytest.fixture(scope="module")
def played(small, sixteen) -> list[list[tuple[list[int], list[int]]]]:
    """Three rollouts of the same prompts: in the second other tokens, in the third every completion ends."""
    end = small[1].end
    second = [(p, [t if t == end else t + 7 for t in c]) for p, c in sixteen]
    return [sixteen, second, [(p, [*c[:-1], end]) for p, c in second]]


def run_ours(*, four, played, session: Session, monkeypatch) -> tuple[list[dict], dict, list[ppo.Rollout], list[np.ndarray]]:
    """Our train() with these completions: (its log, the policy's weights, its rollouts, the orders of mini-batches)."""
    judged, orders, judge, learn, left = [], [], ppo.judge, ppo.learn, list(played)

    def complete(*, prompts, **_):
        rollout = left.pop(0)
        assert prompts == [p for p, _ in rollout]
        return [c for _, c in rollout]

    class Noted:
        def __init__(self, random):
            self.random = random

        def permutation(self, size):
            orders.append(self.random.permutation(size))
            return orders[-1]

    monkeypatch.setattr(on_policy.generation, "complete", complete)
    monkeypatch.setattr(ppo, "judge", lambda **options: (judged.append(judge(**options)), judged[-1])[1])
    monkeypatch.setattr(ppo, "learn", lambda *, random, **options: learn(random=Noted(random), **options))
    policy = copy.deepcopy(four.policy)
    value = rewards.value_model(reward=four.reward, parent="", session=session)
    parts = dict(policy=policy, reference=four.reference, reward=four.reward, value_model=value)
    record = ppo.train(**parts, prompts=[p for p, _ in played[0]], session=session)
    return record["history"], policy.state_dict(), judged, orders


def run_trl(*, four, played, tokenizer, opened: Session, orders, adapted: bool, monkeypatch) -> tuple[list[dict], dict, list[dict]]:
    """TRL's train(), as it comes or by our adapter, with the same completions and mini-batches: (its log, the policy's weights, its tensors
    of each rollout).
    """
    from trl.experimental.ppo import ppo_trainer

    settings, prompts = opened.settings, [p for p, _ in played[0]]
    met, left, places, permutation = [], list(played), [], np.random.permutation

    def complete(model, queries, _, pad, __):
        """What batch_generation would give: prompts with completions, and the logits they were sampled from."""
        rollout, rows = left.pop(0), []
        places.clear()
        for query in queries.tolist():
            prompt = [token for token in query if token != pad]
            places.append(next(i for i, (p, _) in enumerate(rollout) if p == prompt and i not in places))
            rows.append(rollout[places[-1]][1])
        width = max(map(len, rows))
        both = torch.cat([queries, torch.tensor([c + [tokenizer.pad_token_id] * (width - len(c)) for c in rows])], dim=1)
        logits = ppo_trainer.forward(model, both, pad).logits[:, queries.shape[1] - 1 : -1]
        return both, logits / (settings.temperature + 1e-7)

    def order(size):
        """The mini-batches that ours had; and a look at the tensors of the train() that draws the first ones of a rollout."""
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
    value = rewards.value_model(reward=four.reward, parent="", session=session(Ppo, **SETTINGS))
    parts = dict(model=four.policy, reference=four.reference, reward_model=judge, value_model=value)
    parts = {name: copy.deepcopy(m) for name, m in parts.items()}
    policy = parts["model"]
    if adapted:
        models = dict(policy=policy, reference_policy=parts["reference"], value_model=parts["value_model"])
        record = by_trl.train(**models, reward=four.reward, prompts=prompts, session=opened)
        return record["history"], policy.state_dict(), met
    for model in parts.values():
        model.set_attn_implementation("sdpa")
    theirs = trainer(**parts, tokenizer=tokenizer, prompts=prompts, seed=0, settings=settings)
    theirs.train()
    return theirs.state.log_history, policy.state_dict(), met


@pytest.mark.parametrize("adapted", [False, True], ids=["as it comes", "by our adapter"])
@pytest.mark.parametrize("whiten_rewards", [False, True])
def test_three_rollouts_are_those_of_trl_down_to_the_weights_after_them(whiten_rewards, adapted, small, four, played, opened, monkeypatch):
    short = changed(opened, episodes=48, whiten_rewards=whiten_rewards)
    both = dict(four=four, played=played, monkeypatch=monkeypatch)
    log, weights, judged, orders = run_ours(session=short, **both)
    their_log, their_weights, met = run_trl(tokenizer=small[0], opened=short, orders=orders, adapted=adapted, **both)
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


def train(parent: str, session: Session, reward: rewards.Reward | None = None) -> tuple[dict, dict]:
    """(weights, record) of PPO on 36 prompts, against an untrained reward model if against nothing else."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    fim, policy = session.fim, session.load_policy(parent)
    reference = session.load_reference(policy, parent)
    reward = reward or rewards.Trained([session.load_judge(parent)])
    value_model = rewards.value_model(reward=reward, parent=parent, session=session)
    prompts = [[fim.prefix, *range(40, 41 + i % 3), fim.suffix, fim.middle] for i in range(36)]
    parts = dict(policy=policy, reference=reference, reward=reward, value_model=value_model)
    return policy.state_dict(), ppo.train(**parts, prompts=prompts, session=session)


def train_and_die(parent: str, session: Session, step: int, writing: bool) -> None:
    """Train in this process, and kill it at the end of `step`, or halfway through writing the checkpoint of that step."""
    owner, name = (on_policy, "save_state") if writing else (ppo, "learn")
    die_after(owner, name, step)
    train(parent, session)


@pytest.fixture(scope="module")
def undisturbed(small, small_checkpoint) -> tuple[dict, dict]:
    """(weights, record) of eight rollouts without checkpoints."""
    return train(small_checkpoint, session(Ppo, fim=small[1], **SETTINGS))


@pytest.fixture
def saving(opened, tmp_path) -> Session:
    """The same with a checkpoint after every second rollout."""
    return replace(opened, checkpoints=Checkpoints(str(tmp_path / "checkpoints"), 25))


@pytest.mark.parametrize("writing", [False, True])
def test_killed_training_resumes_to_the_result_of_an_undisturbed_one(writing, small_checkpoint, undisturbed, saving, tmp_path, caplog):
    killed(train_and_die, small_checkpoint, saving, 2 if writing else 6, writing)
    left = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert left == (["checkpoint-4", "step-2"] if writing else ["step-4"])
    with caplog.at_level(logging.INFO):
        weights, record = train(small_checkpoint, saving)
    assert f"resuming from step {2 if writing else 4} of 8" in caplog.text and f"step {1 if writing else 3}: " not in caplog.text
    assert record == undisturbed[1] and same(weights, undisturbed[0])
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-6"], "one is kept, none of the last step"


def test_corrupt_checkpoint_means_a_fresh_start_and_a_line_in_the_log(small_checkpoint, undisturbed, saving, tmp_path, caplog):
    train(small_checkpoint, saving)
    state = tmp_path / "checkpoints/step-6" / STATE_FILE
    state.write_bytes(state.read_bytes()[:-100])
    with caplog.at_level(logging.INFO):
        weights, record = train(small_checkpoint, saving)
    assert "step-6 cannot be loaded" in caplog.text and "it is removed" in caplog.text and "resuming from" not in caplog.text
    assert record == undisturbed[1] and same(weights, undisturbed[0])


def test_the_record_counts_what_was_played(undisturbed):
    record = undisturbed[1]
    assert (record["steps"], record["episodes"], len(record["history"])) == (8, 128, 8)
    assert json.loads(json.dumps(record)) == record
    assert [row["episode"] for row in record["history"]] == [16.0 * i for i in range(1, 9)]
    assert 128 * (4 + 1) < record["tokens"] <= 128 * (6 + 6)
    assert record["history"][0]["objective/kl"] == 0 and record["history"][-1]["objective/kl"] != 0
    assert record["history"][0]["val/num_eos_tokens"] < 16


def test_training_moves_towards_the_reward(small_checkpoint, opened):
    free = dict(kl_coef=0.0, missing_eos_penalty=0.0, temperature=1.0, max_new_tokens=4, gamma=1.0, lam=0.95)
    longer = changed(opened, episodes=512, rollout_batch_size=32, mini_batch_size=16, learning_rate=1e-2, **free)
    scores = [row["objective/scores"] for row in train(small_checkpoint, longer)[1]["history"]]
    assert len(scores) == 16 and sum(scores[-3:]) / 3 > sum(scores[:3]) / 3 + 0.03


@pytest.fixture
def short(opened) -> Session:
    """Eight rollouts of 32 episodes, without penalties."""
    free = dict(kl_coef=0.0, missing_eos_penalty=0.0)
    return changed(opened, episodes=256, rollout_batch_size=32, mini_batch_size=16, learning_rate=1e-2, **free)


def test_a_length_penalty_is_taken_off_the_score_for_every_token(small_checkpoint, short):
    constant = rewards.Computed(lambda prompt, completion: 0.0)
    one = changed(short, episodes=32)
    free, penalised = (train(small_checkpoint, changed(one, length_penalty=penalty), constant)[1] for penalty in (0.0, 0.5))
    prompts = on_policy.draw(prompts=[[0] * (4 + i % 3) for i in range(36)], size=32, seed=0, rollout=0)
    completions = free["tokens"] - sum(map(len, prompts))
    assert free["history"][0]["objective/scores"] == 0 and free["tokens"] == penalised["tokens"]
    assert penalised["history"][0]["objective/scores"] == pytest.approx(-0.5 * completions / 32)


def test_a_reward_of_length_alone_needs_no_network_and_is_a_length_penalty(small_checkpoint, short):
    per_token = rewards.Computed(lambda prompt, completion: -len(completion))
    by_reward, by_penalty = (
        train(small_checkpoint, changed(short, length_penalty=penalty), reward)[1]
        for penalty, reward in ((0.0, per_token), (1.0, rewards.Computed(lambda prompt, completion: 0.0)))
    )
    assert by_reward == by_penalty, "a reward of -1 per token and a penalty of 1 are one and the same"


@pytest.mark.parametrize("aggregate", ["mean", "worst", "uncertainty"])
def test_ppo_against_an_ensemble_gets_what_the_members_give_together(aggregate, small_checkpoint, opened, monkeypatch):
    members = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        members.append(opened.load_reward_model(small_checkpoint).eval())
    ensemble = rewards.Ensemble([rewards.Trained([member]) for member in members], [0.5, -0.5], aggregate, 2.0)
    given, real = [], rewards.Ensemble.__call__
    monkeypatch.setattr(rewards.Ensemble, "__call__", lambda self, packed: (given.append(real(self, packed)), given[-1])[1])
    two = changed(opened, episodes=32, missing_eos_penalty=0.0)
    weights, record = train(small_checkpoint, two, ensemble)
    assert [row["objective/scores"] for row in record["history"]] == pytest.approx([float(x.mean()) for x in torch.cat(given).view(2, 16)])
    assert not same(weights, train(small_checkpoint, two, rewards.Trained(members[:1]))[0])


# -------------------------------------------------------------------------------------------------------------------- bad input


def test_too_few_prompts_are_named(small, opened):
    model = small[2]
    with pytest.raises(InputError, match="larger than the 1 that there are; lower rollout_batch_size"):
        ppo.train(policy=model, reference=model, reward=None, value_model=model, prompts=[[1, 2]], session=opened)


def test_a_metric_that_is_not_finite_is_one_sentence_that_names_the_policy_and_the_learning_rate(small_checkpoint, opened):
    sentence = (
        r"policies\.fast\.learning_rate: at 1e\+30 (training leaves .* not finite|[\w/]+ is (nan|inf|-inf) at step \d); lower it, or .*"
    )
    with pytest.raises(InputError) as error:
        train(small_checkpoint, replace(changed(opened, learning_rate=1e30), section="policies.fast"))
    assert re.fullmatch(sentence, str(error.value)), error.value
