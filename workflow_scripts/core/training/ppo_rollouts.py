"""PPO's episodes: what four models say of completions, read without padding, and what there is to learn from that."""

import itertools
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from operator import itemgetter

import torch

from ..data.fim import Fim
from . import on_policy, packing, rewards
from .ppo_math import generalized_advantages, places, spread, token_rewards, whiten


@dataclass(frozen=True, kw_only=True)
class Settings(on_policy.Settings):
    """How PPO trains: what its entry in the config says, and what its job adds."""

    ppo_epochs: int
    gamma: float
    lam: float
    vf_coef: float
    whiten_rewards: bool


@dataclass(frozen=True)
class Models:
    """Policy and value model are trained; the reference and whatever gives the reward are only read."""

    policy: torch.nn.Module
    value: torch.nn.Module
    reference: torch.nn.Module
    reward: rewards.Reward

    def trained(self) -> dict[str, torch.nn.Parameter]:
        """Every parameter that is trained, by name; tied ones once."""
        return {f"{m}.{name}": p for m in ("policy", "value") for name, p in getattr(self, m).named_parameters()}


@dataclass(frozen=True)
class Rollout:
    """Episodes and what PPO learns from them; tensors as in ppo_math, taken before the update."""

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


def pack(prompts: list[list[int]], completions: list[list[int]], *, device) -> packing.Pack:
    """Prompts with one completion each in a row without padding; equal prompts that are neighbours are read once."""
    groups = itertools.groupby(zip(prompts, completions, strict=True), key=itemgetter(0))
    return packing.pack([(prompt, [completion for _, completion in group]) for prompt, group in groups], device=device)


def logprobs(model, packed: packing.Pack, temperature: float) -> torch.Tensor:
    """(tokens of all completions,): their log-probabilities at the temperature, in nats."""
    return packing.logprobs(packing.logits(model, packed).float() / temperature, packed)


def values(model, packed: packing.Pack, tokens: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """(states of all episodes,): the value model's output at the token before each place of `states`."""
    at, ended = spread(packed.places[packed.rows], tokens), states & ~tokens
    at = torch.where(ended, spread(packed.ends[ended.any(1)], ended), at)
    hidden = getattr(model, model.base_model_prefix)(**packed.inputs()).last_hidden_state[0]
    return model.score(hidden[at[states]])[:, 0].float()


@torch.no_grad()
def judge(*, models: Models, prompts: list[list[int]], completions: list[list[int]], fim: Fim, settings: Settings) -> Rollout:
    """What PPO learns from completions: what the models say of them, and the arithmetic on it. Read in minibatches, for their memory."""
    tokens, states = places([len(c) for c in completions], device=settings.device)
    ended = torch.tensor([fim.end in c for c in completions], device=settings.device)
    penalties = dict(missing_eos_penalty=settings.missing_eos_penalty, length_penalty=settings.length_penalty)
    read = defaultdict(list)
    for start in range(0, len(prompts), settings.mini_batch_size):
        part = slice(start, start + settings.mini_batch_size)
        packed = pack(prompts[part], completions[part], device=settings.device)
        with settings.autocast():
            read["policy"].append(logprobs(models.policy, packed, settings.temperature))
            read["reference"].append(logprobs(models.reference, packed, settings.temperature))
            read["value"].append(values(models.value, packed, tokens[part], states[part]))
            read["score"].append(rewards.score(reward=models.reward, packed=packed, ended=ended[part], **penalties))
    found = {name: torch.cat(parts) for name, parts in read.items()}
    old, value = spread(found["policy"], tokens), spread(found["value"], states)
    score = found["score"]
    logratios = spread(found["policy"] - found["reference"], tokens)
    paid = token_rewards(scores=score, logratios=logratios, states=states, kl_coef=settings.kl_coef)
    if settings.whiten_rewards:
        paid = whiten(paid, states, keep_mean=True)
    advantages = generalized_advantages(rewards=paid, values=value, gamma=settings.gamma, lam=settings.lam)
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
