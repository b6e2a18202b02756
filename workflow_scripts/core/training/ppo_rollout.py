"""A rollout of PPO: what four models say of the completions, and what there is to learn from that."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from .. import workers
from ..lm import lora, packing, sharding
from . import rewards
from .episodes import batches, logprobs, pack
from .ppo_math import generalized_advantages, places, spread, token_rewards, whiten
from .session import Session


@dataclass(frozen=True)
class Models:
    """Policy and value model are trained; the reference and whatever gives the reward are only read, with additions switched off."""

    policy: torch.nn.Module
    value: torch.nn.Module
    reference: torch.nn.Module
    reward: rewards.Reward

    def trained(self) -> dict[str, torch.nn.Parameter]:
        """Every parameter that is trained, by name; tied ones once."""
        return {f"{m}.{name}": p for m in ("policy", "value") for name, p in sharding.trained(getattr(self, m)).items()}


@dataclass(frozen=True)
class Rollout:
    """Episodes and what PPO learns from them; tensors as in ppo_math, from before the update."""

    prompts: list[list[int]]
    completions: list[list[int]]
    tokens: torch.Tensor
    states: torch.Tensor
    logprobs: torch.Tensor
    values: torch.Tensor
    advantages: torch.Tensor
    returns: torch.Tensor
    metrics: dict[str, float]

    def take(self, chosen: Iterable[int]) -> "Rollout":
        """Only these episodes; equal prompts are kept side by side."""
        chosen = sorted(int(i) for i in chosen)
        rows = {k: getattr(self, k)[chosen] for k in ("tokens", "states", "logprobs", "values", "advantages", "returns")}
        lists = {k: [getattr(self, k)[i] for i in chosen] for k in ("prompts", "completions")}
        return replace(self, **rows, **lists)


def values(model, packed: packing.Pack, tokens: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """(states of all episodes,): the value model's output at the token before each place of `states`."""
    at, ended = spread(packed.places[packed.rows], tokens), states & ~tokens
    at = torch.where(ended, spread(packed.ends[ended.any(1)], ended), at)
    return model.score(packing.hidden(model, packed)[at[states]])[:, 0].float()


@torch.no_grad()
def judge(*, models: Models, prompts: list[list[int]], completions: list[list[int]], session: Session) -> Rollout:
    """What PPO learns from completions."""
    settings = session.settings
    tokens, states = places([len(c) for c in completions], device=session.device)
    ended = torch.tensor([session.fim.ended(c) for c in completions], device=session.device)
    outputs = _read(models, prompts, completions, tokens, states, ended, session)
    old, value, score = spread(outputs["policy"], tokens), spread(outputs["value"], states), outputs["score"]
    logratios = spread(outputs["policy"] - outputs["reference"], tokens)
    token_level = token_rewards(scores=score, logratios=logratios, states=states, kl_coef=settings.kl_coef)
    if settings.whiten_rewards:
        token_level = whiten(token_level, states, keep_mean=True)
    advantages = generalized_advantages(rewards=token_level, values=value, gamma=settings.gamma, lam=settings.lam)
    kl = logratios.sum(1).mean()
    metrics = {
        "objective/kl": kl,
        "objective/entropy": -old.sum(1).mean(),
        "objective/non_score_reward": -settings.kl_coef * kl,
        "objective/rlhf_reward": score.mean() - settings.kl_coef * kl,
        "objective/scores": score.mean(),
        "val/num_eos_tokens": ended.sum(),
    }
    return Rollout(
        prompts=prompts,
        completions=completions,
        tokens=tokens,
        states=states,
        logprobs=old,
        values=value,
        advantages=whiten(advantages, tokens),
        returns=advantages + value,
        metrics={name: float(x) for name, x in metrics.items()},
    )


def _read(models: Models, prompts, completions, tokens, states, ended, session: Session) -> dict[str, torch.Tensor]:
    """Outputs of the four models, in batches to bound their memory."""
    settings = session.settings
    penalties = dict(missing_eos_penalty=settings.missing_eos_penalty, length_penalty=settings.length_penalty)

    def read(part: slice) -> dict[str, torch.Tensor]:
        packed = pack(prompts[part], completions[part], device=session.device)
        own = logprobs(models.policy, packed, settings.temperature)
        with lora.switched_off(models.reference):
            other = logprobs(models.reference, packed, settings.temperature)
        value = values(models.value, packed, tokens[part], states[part])
        score = rewards.score(reward=models.reward, packed=packed, ended=ended[part], **penalties)
        return dict(policy=own, reference=other, value=value, score=score)

    with session.autocast():
        outputs = workers.divided(batches(prompts, completions, settings), read, in_step=session.fsdp)
    return {name: torch.cat([found[name] for found in outputs]) for name in outputs[0]}
