"""A toy model by hand: made from random weights, and read one unpadded sequence at a time."""

import torch

from workflow_scripts.core.data.fim import Fim
from workflow_scripts.core.training import models, packing, rewards


def scratch(tokenizer, fim: Fim):
    return models.create_scratch(vocabulary=len(tokenizer), hidden=32, layers=2, heads=2, intermediate=64, context=128, fim=fim).eval()


def logprobs(model, prompt: list[int], completion: list[int]) -> torch.Tensor:
    """Log-probability of each token of the completion, one sequence at a time, unpadded."""
    logits = model(torch.tensor([prompt + completion])).logits[0].log_softmax(-1)
    return torch.stack([logits[len(prompt) + i - 1, token] for i, token in enumerate(completion)])


def fresh_reward(parent: str, fim: Fim) -> rewards.Reward:
    """A reward model that nobody has trained: a head from one seed on the parent's weights."""
    torch.manual_seed(3)
    model = models.load_reward_model(parent, fim=fim).eval()
    return lambda packed: packing.scores(model, packed).float()
