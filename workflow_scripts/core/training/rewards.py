"""Rewards: what says how good completions are. A reward takes packed prompts with their continuations to (continuations,) in fp32."""

from collections.abc import Callable

import torch

from ..data.fim import Fim
from . import models, packing

Reward = Callable[[packing.Pack], torch.Tensor]


def load(*, spec: dict, checkpoints: list[str], fim: Fim, device: str) -> Reward:
    """The reward of a `spec`, an entry of reward_models, from the checkpoints that it names."""
    (path,) = checkpoints
    model = models.load_reward_model(path, fim=fim, device=device).eval()
    return lambda packed: packing.scores(model, packed).float()


@torch.no_grad()
def score(*, reward: Reward, packed: packing.Pack, ended: torch.Tensor, missing_eos_penalty: float, length_penalty: float) -> torch.Tensor:
    """(continuations,): the reward, less `missing_eos_penalty` where one has not `ended`, less `length_penalty` for each of its tokens."""
    sizes = torch.tensor(packed.sizes, device=packed.ids.device)
    return reward(packed) - missing_eos_penalty * ~ended - length_penalty * sizes
