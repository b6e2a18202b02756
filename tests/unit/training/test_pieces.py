"""Micro-batches and gradient checkpointing cost time and save memory; the step that they make is that of the whole batch."""

import copy

import pytest
import torch

from tests.unit.lm.architectures import tiny
from tests.unit.small import OF_ROWS, changed, session
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.lm import recomputing
from workflow_scripts.core.methods import (
    METHODS,
    REWARD_TYPES,
    Base,
    Dpo,
    Ipo,
    Lora,
    Ppo,
    Rloo,
    Rrhf,
    Sft,
    Single,
    Slic,
    Smoothed,
    Training,
)
from workflow_scripts.core.training import (
    dpo,
    episodes,
    ipo,
    pieces,
    ppo,
    rewards,
    rloo,
    rrhf,
    sft,
    single_reward,
    slic,
    smoothed_reward,
)

LIMIT = 20  # tokens: two or three rows of the eight below
ONCE = dict(epochs=1, batch_size=8, learning_rate=1e-3, weight_decay=0.0)
ROLLED = dict(episodes=16, rollout_batch_size=16, mini_batch_size=8, kl_coef=0.1, max_new_tokens=6, cliprange=0.2, learning_rate=1e-3)
OF_PPO = dict(**ROLLED, ppo_epochs=1, gamma=1.0, lam=0.95, vf_coef=0.1, whiten_rewards=False)
SAMPLED = dict(num_generations=2, max_new_tokens=4, missing_eos_penalty=0.0)
# a stage's own settings; of means over tokens (Base, Sft, Ppo) and over rows
OWN = {**OF_ROWS, Rrhf: dict(**SAMPLED, sft_coef=0.1)}


def rows(end: int) -> list[dict]:
    """Eight rows of different lengths, for every method."""
    return [
        dict(
            prompt_ids=[3 + i, *range(50, 50 + i % 3)],
            target_ids=[60 + i, *range(70, 70 + i % 4), end],
            chosen_ids=[20 + i, *range(30, 30 + i % 2), end],
            rejected_ids=[40 + i, 41, end],
            completions=[[20 + i, end], [40 + i, 41, end]],
            rewards=[float(i % 2), 0.5],
        )
        for i in range(8)
    ]


def step(method: type, small, checkpoint: str, **settings) -> tuple[dict, list[int]]:
    """(gradients of the only step, by name; rows of each reading under gradients) of a stage."""
    torch.manual_seed(0)
    fim = small[1]
    opened = session(method, fim=fim, **ONCE | OWN[method] | settings)
    model = opened.load_reward_model(checkpoint) if method in (Single, Smoothed) else opened.load_policy(checkpoint)
    read, gradients = [], {}
    keys = {Base: ("prompt_ids", "target_ids"), Sft: ("prompt_ids", "target_ids"), Rrhf: ("prompt_ids", "completions", "rewards")}
    wanted = keys.get(method, ("prompt_ids", "chosen_ids", "rejected_ids"))
    data = [{key: row[key] for key in wanted} for row in rows(fim.end)]
    optimizer_step = torch.optim.AdamW.step

    def noted(self, *arguments, **options):
        gradients.update({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
        return optimizer_step(self, *arguments, **options)

    real = pieces.of_rows
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", noted)
        patch.setattr(pieces, "of_rows", lambda some, limit: (read.append([len(part) for part in real(some, limit)]), real(some, limit))[1])
        modules = {Ipo: ipo, Dpo: dpo, Slic: slic, Single: single_reward, Smoothed: smoothed_reward}
        if method in modules:
            more = dict(length_penalty=0.0) if method is Dpo else {}
            modules[method].train(model=model, pairs=data, session=opened, **more)
        else:
            (rrhf if method is Rrhf else sft).train(model=model, rows=data, session=opened)
    return gradients, read


def near(one: dict, other: dict) -> bool:
    """Whether gradients are the same to 1e-6 of their norm."""
    norm = torch.stack([g.norm() for g in one.values()]).norm()
    return one.keys() == other.keys() and all((one[k] - other[k]).norm() <= 1e-6 * norm for k in one) and bool(norm > 0)


def test_every_stage_that_trains_by_epochs_is_tried():
    named = {entry.settings for entry in (METHODS | REWARD_TYPES).values() if issubclass(entry.settings, Training)}
    assert {settings.__name__ for settings in named} == {settings.__name__ for settings in OWN} | {"IterativeDpo"}, "which is Dpo"


@pytest.mark.parametrize("method", OWN, ids=lambda method: method.__name__.lower())
def test_the_step_is_that_of_the_whole_batch(method, small, small_checkpoint):
    whole, read = step(method, small, small_checkpoint)
    parts, split = step(method, small, small_checkpoint, micro_batch_tokens=LIMIT)
    assert near(whole, parts)
    assert all(sizes == [8] for sizes in read) and all(1 < len(sizes) < 8 and sum(sizes) == 8 for sizes in split)


@pytest.mark.parametrize("method", [Sft, Ipo, Single])
@pytest.mark.parametrize("adapted", [None, Lora(r=2, alpha=4)])
def test_recomputed_activations_give_the_same_gradients(method, adapted, small, small_checkpoint, monkeypatch):
    kept, _ = step(method, small, small_checkpoint, lora=adapted)
    calls, layer = [], type(small[2].model.layers[0].mlp)
    forward = layer.forward
    monkeypatch.setattr(layer, "forward", lambda self, x: (calls.append(torch.is_grad_enabled()), forward(self, x))[1])
    again, _ = step(method, small, small_checkpoint, lora=adapted, gradient_checkpointing=True)
    assert near(kept, again) and sum(calls) >= 2 * small[2].config.num_hidden_layers, "each layer was read twice"


def played(method: type, small, checkpoint: str, **settings) -> tuple[dict, dict]:
    """(weights, record) of two optimizer steps of PPO or RLOO."""
    torch.manual_seed(0)
    own = OF_PPO if method is Ppo else dict(**ROLLED, num_generations=4, rloo_epochs=1)
    opened = changed(session(method, fim=small[1], **own), **settings)
    policy = opened.load_policy(checkpoint)
    parts = dict(policy=policy, reference=opened.load_reference(policy, checkpoint), session=opened)
    parts |= dict(reward=rewards.Trained([opened.load_judge(checkpoint)]))
    parts |= dict(prompts=[[small[1].prefix, *range(40, 41 + i % 3), small[1].suffix, small[1].middle] for i in range(36)])
    if method is Rloo:
        return policy.state_dict(), rloo.train(**parts)
    value = rewards.value_model(reward=parts["reward"], parent=checkpoint, session=opened)
    return policy.state_dict(), ppo.train(**parts, value_model=value)


@pytest.mark.parametrize("settings", [dict(micro_batch_tokens=LIMIT), dict(gradient_checkpointing=True)], ids=["pieces", "recomputed"])
@pytest.mark.parametrize("method", [Ppo, Rloo])
def test_rollouts_are_learnt_from_as_in_whole_mini_batches(method, settings, small, small_checkpoint):
    (whole, record), (other, made) = (played(method, small, small_checkpoint, **own) for own in ({}, settings))
    assert all(torch.allclose(whole[name], other[name], atol=1e-5) for name in whole)
    for row, again in zip(record["history"], made["history"], strict=True):
        assert row == pytest.approx(again, abs=1e-5)


def test_ppo_recomputes_without_dropout(small, small_checkpoint, monkeypatch):
    calls, layer = [], type(small[2].model.layers[0].mlp)
    forward = layer.forward
    monkeypatch.setattr(layer, "forward", lambda self, x: (calls.append((torch.is_grad_enabled(), self.training)), forward(self, x))[1])
    played(Ppo, small, small_checkpoint, gradient_checkpointing=True)
    under_gradients = [training for grad, training in calls if grad]
    assert len(under_gradients) == 2 * 2 * 2 * 2 and not any(under_gradients), "steps x models x layers x twice, in evaluation mode"


@pytest.mark.parametrize(
    ("limit", "found"), [(None, [[5, 5, 2, 9, 1]]), (10, [[5, 5], [2], [9, 1]]), (3, [[5], [5], [2], [9], [1]]), (100, [[5, 5, 2, 9, 1]])]
)
def test_pieces_are_as_large_as_the_limit_allows_and_hold_at_least_one(limit, found):
    assert pieces.split([5, 5, 2, 9, 1], limit=limit, tokens=sum) == found


def test_a_row_takes_its_prompt_once_and_all_its_continuations():
    pair = dict(prompt_ids=[1, 2, 3], chosen_ids=[4], rejected_ids=[5, 6], source_id="abcdef")
    ranked = dict(prompt_ids=[1, 2, 3], completions=[[4], [5, 6]], rewards=[0.0, 1.0])
    for row in (pair, ranked):
        assert [len(part) for part in pieces.of_rows([row] * 4, 12)] == [2, 2]
        assert [len(part) for part in pieces.of_rows([row] * 4, 11)] == [1, 1, 1, 1]


def test_episodes_of_one_prompt_share_it_within_a_piece(small):
    settings = changed(session(Ppo, **OF_PPO), mini_batch_size=4, micro_batch_tokens=7).settings
    prompts, completions = [[1, 2, 3]] * 3 + [[4]] * 2, [[5, 5]] * 5
    assert episodes.batches(prompts, completions, settings) == [slice(0, 2), slice(2, 3), slice(3, 4), slice(4, 5)]
    settings = changed(session(Ppo, **OF_PPO), mini_batch_size=4).settings
    assert episodes.batches(prompts, completions, settings) == [slice(0, 4), slice(4, 5)]


def test_an_architecture_that_cannot_recompute_is_one_sentence(small):
    model = copy.deepcopy(small[2])
    type(model).supports_gradient_checkpointing, before = False, type(model).supports_gradient_checkpointing
    try:
        with pytest.raises(InputError, match=r"^policies\.a\.gradient_checkpointing: LlamaForCausalLM .*; set it to false$"):
            recomputing.enable(model, "policies.a")
    finally:
        type(model).supports_gradient_checkpointing = before
    recomputing.enable(tiny("gpt2"), "policies.a")
