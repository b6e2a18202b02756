"""A learning rate that is far too high: the stage that it spoils says so, in one sentence with the setting, or leaves what all later stages can use."""

import copy
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from tests.unit.small import OF_ROWS, changed, session
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.lm import generation, models, packing
from workflow_scripts.core.methods import Base, Dpo, Ipo, IterativeDpo, Ppo, Rloo, Rrhf, Sft, Single, Slic, Smoothed
from workflow_scripts.core.probing import policy
from workflow_scripts.core.probing import rewards as scored
from workflow_scripts.core.training import (
    candidates,
    dpo,
    ipo,
    iterative_dpo,
    length_reward,
    ppo,
    rewards,
    rloo,
    rrhf,
    sft,
    single_reward,
    slic,
    smoothed_reward,
)

SAMPLED = dict(max_new_tokens=4, reward_model="judge")
ROLLED = dict(**SAMPLED, episodes=32, rollout_batch_size=8, mini_batch_size=4, kl_coef=0.05, cliprange=0.2)
RANKED = dict(**SAMPLED, num_generations=2)
# how each method's session is opened
SETTINGS = {
    **OF_ROWS,
    Ppo: dict(**ROLLED, ppo_epochs=2, gamma=1.0, lam=0.95, vf_coef=0.1, whiten_rewards=False),
    Rloo: dict(**ROLLED, num_generations=4, rloo_epochs=2),
    Rrhf: dict(**RANKED, sft_coef=0.1),
    IterativeDpo: dict(**RANKED, beta=0.1),
}


@pytest.fixture(scope="module")
def rows(small) -> list[dict]:
    """Twelve pairs, which are examples, too."""
    fim = small[1]
    prompts = [[fim.prefix, 40 + i, fim.suffix, 50 + i % 3, fim.middle] for i in range(12)]
    return [
        dict(prompt_ids=p, target_ids=[60 + i, 61], chosen_ids=[60 + i, 61, fim.end], rejected_ids=[70 + i, 71, 72])
        for i, p in enumerate(prompts)
    ]


def of_tokens(packed) -> torch.Tensor:
    """A reward that knows the tokens."""
    return torch.stack([part.float().mean() for part in packed.tokens.split(packed.sizes)])


of_tokens.models = ()


def train(method: type, *, model, judge, rows: list[dict], opened) -> torch.nn.Module:
    """Train by a method; the model that its stage would save."""
    prompts = [row["prompt_ids"] for row in rows]
    sampled = lambda: candidates.sample(model=model, reward=of_tokens, prompts=prompts, session=opened)  # noqa: E731
    completions = sft.completion_rows(rows, opened.fim)
    on_policy = dict(policy=model, reference=copy.deepcopy(model), reward=of_tokens, prompts=prompts, session=opened)
    work: dict[type, Callable] = {
        Base: lambda: sft.train(model=model, rows=completions, session=opened),
        Sft: lambda: sft.train(model=model, rows=completions, session=opened),
        Ipo: lambda: ipo.train(model=model, pairs=rows, session=opened),
        Dpo: lambda: dpo.train(model=model, pairs=rows, length_penalty=0.0, session=opened),
        Slic: lambda: slic.train(model=model, pairs=rows, session=opened),
        Ppo: lambda: ppo.train(**on_policy, value_model=judge),
        Rloo: lambda: rloo.train(**on_policy),
        Rrhf: lambda: rrhf.train(model=model, rows=sampled(), session=opened),
        IterativeDpo: lambda: iterative_dpo.train(model=model, rows=sampled(), session=opened),
        Single: lambda: single_reward.train(model=judge, pairs=rows, session=opened),
        Smoothed: lambda: smoothed_reward.train(model=judge, pairs=rows, session=opened),
    }
    work[method]()
    return judge if method in (Single, Smoothed) else model


def use(model, *, tokenizer, fim, rows: list[dict]) -> list[float]:
    """What later stages compute of a policy: its probes, and log-probabilities."""
    items = [dict(canary_id=str(i), probe="fim", **row) for i, row in enumerate(rows)]
    settings = dict(temperature=1.0, top_k=40, top_p=1.0)
    probed = policy.probe(model=model, tokenizer=tokenizer, fim=fim, items=items, role="canary", settings=settings, batch_size=4, desc="")
    return [value for row in probed for value in row.values() if isinstance(value, float)]


@pytest.mark.parametrize("learning_rate", [1e2, 1e6, 1e18, 1e30, 1e38])
@pytest.mark.parametrize("method", SETTINGS, ids=lambda method: method.__name__.lower())
def test_stage_that_diverges_says_so_itself(method, learning_rate, small, small_checkpoint, rows, tmp_path):
    tokenizer, fim, model = small
    torch.manual_seed(0)
    judge, opened = models.load_reward_model(small_checkpoint, fim=fim), session(method, fim=fim, **SETTINGS[method])
    opened = replace(changed(opened, learning_rate=learning_rate), section="policies.fast")
    try:
        trained = train(method, model=copy.deepcopy(model), judge=judge, rows=rows, opened=opened)
        opened.check_finite(trained)
    except InputError as error:
        said = str(error)
        assert said.startswith(f"policies.fast.learning_rate: at {learning_rate:g} ") and "; lower it, or check the weights" in said, said
        return
    assert learning_rate < 1e30
    if trained is judge:
        reward = rewards.Trained([judge])
        prompts = [(row["prompt_ids"], [row["chosen_ids"], row["rejected_ids"]]) for row in rows]
        values = scored.rewards(reward=reward, prompts=prompts, device="cpu", batch_size=4, desc="")
        assert all(math.isfinite(value) for both in values for value in both)
    else:
        values = use(trained, tokenizer=tokenizer, fim=fim, rows=rows)
        assert values and all(value < math.inf for value in values)  # neither NaN; log-probabilities outside top-k are -inf


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logits_that_are_not_finite_are_not_sampled_from(value, small):
    fim, model = small[1], copy.deepcopy(small[2])
    model.lm_head.register_forward_hook(lambda *_: torch.full((1, 1, model.vocab_size), value))
    options = dict(max_new_tokens=[4], fim=fim, batch_size=1, desc=None)
    for choose in (generation.greedy, generation.sampler(1.0)):
        with pytest.raises(InputError, match="gives logits that are not finite; lower its learning_rate"):
            generation.complete(model=model, prompts=[[fim.prefix, fim.suffix, fim.middle]], choose=choose, **options)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_reward_that_is_not_finite_is_not_learnt_from(value, small, rows):
    judge = lambda packed: torch.full((len(packed.sizes),), value)  # noqa: E731
    judge.models = ()
    prompts = [row["prompt_ids"] for row in rows]
    opened = session(Rrhf, fim=small[1], **SETTINGS[Rrhf])
    for work in (
        lambda: candidates.sample(model=small[2], reward=judge, prompts=prompts, session=opened),
        lambda: scored.rewards(reward=judge, prompts=[(prompts[0], [[5]])], device="cpu", batch_size=1, desc=""),
        lambda: rewards.score(
            reward=judge, packed=packing.pack([([5], [[6]])]), ended=torch.tensor([True]), missing_eos_penalty=1.0, length_penalty=0.0
        ),
    ):
        with pytest.raises(InputError, match="the reward model gives a score that is not finite; lower its learning_rate in reward_models"):
            work()


@pytest.mark.parametrize(("chosen", "rejected"), [(1, 1), (1, 10**6), (10**6, 1)])
def test_a_reward_of_length_is_finite_whatever_the_lengths(chosen, rejected):
    pairs = [dict(chosen_ids=range(chosen), rejected_ids=range(rejected))] * 3
    fitted = length_reward.fit(pairs)["fitted"]
    assert all(map(math.isfinite, length_reward.rewards([1, 10**6], fitted=fitted)))
