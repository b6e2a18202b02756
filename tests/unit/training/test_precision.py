"""bf16 is one setting for whatever a stage reads: policy and reference, training and sampling, on the CPU as well."""

import copy
import math

import pytest
import torch

from tests.unit.small import first_loss, session
from workflow_scripts.core.lm import generation, packing
from workflow_scripts.core.methods import Dpo, Ipo, Ppo, Rloo, Sft, Single
from workflow_scripts.core.training import dpo, ipo, ppo, preferences, rewards, rloo, sft, single_reward
from workflow_scripts.core.training.session import Session

PRECISIONS = ("fp32", "bf16")
WITHIN = {"fp32": 1e-5, "bf16": 2e-3}
ROLLED = dict(episodes=16, rollout_batch_size=16, mini_batch_size=16, kl_coef=0.1, max_new_tokens=6, cliprange=0.2)


@pytest.fixture
def pairs(small) -> list[dict]:
    """Pairs of several lengths, more than a batch of them."""
    end = small[1].end
    return [
        dict(prompt_ids=[3 + i, *range(50, 50 + i % 5)], chosen_ids=[20 + i, 21, end], rejected_ids=[40 + i, 41, 42]) for i in range(16)
    ]


@pytest.mark.parametrize(
    ("precision", "device", "found"), [("auto", "cpu", False), ("auto", "cuda", True), ("fp32", "cuda", False), ("bf16", "cpu", True)]
)
def test_auto_is_bf16_on_cuda_and_fp32_on_the_cpu(precision, device, found):
    assert Session(settings=session(Sft, precision=precision).settings, seed=0, device=device).in_bf16 == found
    assert Session(settings=None, seed=0, device=device, precision=precision).in_bf16 == found


@pytest.mark.parametrize("precision", PRECISIONS)
def test_before_the_first_step_no_policy_differs_from_its_reference(precision, small, pairs):
    opened = session(Dpo, precision=precision, batch_size=16, beta=0.5)
    assert first_loss(dpo.train(model=copy.deepcopy(small[2]), pairs=pairs, length_penalty=0.0, session=opened)) == pytest.approx(
        math.log(2), abs=WITHIN[precision]
    )
    opened = session(Ipo, precision=precision, batch_size=16, beta=0.5)
    assert first_loss(ipo.train(model=copy.deepcopy(small[2]), pairs=pairs, session=opened)) == pytest.approx(1.0, abs=WITHIN[precision])


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("method", [Ppo, Rloo])
def test_the_first_ratio_is_one(method, precision, small, small_checkpoint):
    own = (
        dict(ppo_epochs=1, gamma=1.0, lam=0.95, vf_coef=0.1, whiten_rewards=False)
        if method is Ppo
        else dict(num_generations=4, rloo_epochs=1)
    )
    opened = session(method, fim=small[1], precision=precision, **ROLLED, **own)
    prompts = [[small[1].prefix, *range(40, 41 + i % 3), small[1].suffix, small[1].middle] for i in range(36)]
    policy = opened.load_policy(small_checkpoint)
    parts = dict(policy=policy, reference=opened.load_reference(policy, small_checkpoint), prompts=prompts, session=opened)
    reward = rewards.Trained([opened.load_judge(small_checkpoint)])
    value = dict(value_model=rewards.value_model(reward=reward, parent="", session=opened)) if method is Ppo else {}
    record = (ppo if method is Ppo else rloo).train(**parts, **value, reward=reward)
    assert record["history"][0]["val/ratio"] == pytest.approx(1, abs=WITHIN[precision])
    assert record["history"][0]["objective/kl"] == pytest.approx(0, abs=1e-6)


def kinds(model, seen: list):
    """Notes the numeric type of what a model's first linear layer gives."""
    layer = next(module for name, module in model.named_modules() if name.endswith("up_proj"))
    layer.register_forward_hook(lambda module, ids, output: seen.append(output.dtype))
    return model


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_reading_of_a_stage_is_in_its_precision(precision, small, small_checkpoint, pairs, monkeypatch):
    expected = {torch.bfloat16 if precision == "bf16" else torch.float32}
    seen: list = []
    sft.train(
        model=kinds(copy.deepcopy(small[2]), seen),
        rows=[dict(prompt_ids=[1], target_ids=[2, 3])] * 4,
        session=session(Sft, precision=precision),
    )
    ipo.train(model=kinds(copy.deepcopy(small[2]), seen), pairs=pairs, session=session(Ipo, precision=precision, beta=0.5))
    opened = session(Single, fim=small[1], precision=precision)
    single_reward.train(model=kinds(opened.load_reward_model(small_checkpoint), seen), pairs=pairs, session=opened)
    assert {*seen} == expected and len(seen) > 3 + 8

    # preference samples, by a session without settings
    seen.clear()
    sampling = Session(settings=None, seed=0, device="cpu", fim=small[1], precision=precision)
    real = generation.complete
    monkeypatch.setattr(generation, "complete", lambda *, model, **options: real(model=kinds(model, seen), **options))
    settings = dict(rejected="samples", candidates=2, temperature=1.0, max_new_tokens=4, batch_size=4)
    examples = [dict(source="snippet", source_id=str(i), prompt_ids=[3 + i, 4], target_ids=[10 + i, 11]) for i in range(4)]
    assert len(preferences.maker(settings=settings, sampler=small_checkpoint, session=sampling)(examples)) == 4
    assert {*seen} == expected


def test_bf16_gives_nearly_the_log_probabilities_of_fp32(small):
    packed, opened = packing.pack([([3, 4, 5], [[6, 7], [8]])]), session(Sft, precision="bf16")
    with torch.no_grad(), opened.autocast():
        rough = packing.logits(small[2], packed)
    with torch.no_grad():
        exact = packing.logits(small[2], packed)
    assert rough.dtype == torch.bfloat16 and torch.allclose(rough.float(), exact, atol=0.02) and not torch.equal(rough.float(), exact)
