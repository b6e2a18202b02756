"""The arithmetic of PPO, apart from models (Schulman et al. 2017, arXiv 1707.06347; for language models Huang et al. 2024, 2403.17031).

Tensors are (episodes, longest), one place per token of the rollout's longest completion, and 0 where an episode has nothing. Of a
completion of n tokens, place t < n is its token t and the value of the state before it. A completion shorter than the longest has one
more place, n: the state in which it has ended. It has a value too and receives the score; in the longest completion the last token
receives it. A test compares the results with those of TRL 1.12.
"""

import torch


def places(sizes: list[int], *, device="cpu") -> tuple[torch.Tensor, torch.Tensor]:
    """(tokens, states), both boolean (episodes, longest): which places are tokens, and which are states with a value."""
    sizes = torch.tensor(sizes, device=device)[:, None]
    at = torch.arange(int(sizes.max()), device=device)
    return at < sizes, at <= sizes


def spread(values: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """(episodes, longest): the values of all episodes, one episode after the other, at the places `where` they belong, else 0."""
    return values.new_zeros(where.shape).masked_scatter(where, values)


def token_rewards(*, scores: torch.Tensor, logratios: torch.Tensor, states: torch.Tensor, kl_coef: float) -> torch.Tensor:
    """(episodes, longest): minus `kl_coef` times the log-ratio to the reference at each token, plus the score (episodes,) at the last state."""
    rewards = -kl_coef * logratios
    last = states.sum(1) - 1
    rewards[torch.arange(len(scores), device=scores.device), last] += scores
    return rewards


def whiten(values: torch.Tensor, where: torch.Tensor, *, keep_mean: bool = False) -> torch.Tensor:
    """Values scaled to variance 1 over the places `where`, with their mean subtracted or kept; 0 elsewhere."""
    chosen = values[where]
    variance, mean = torch.var_mean(chosen, correction=min(1, len(chosen) - 1))
    scaled = (chosen - mean) * torch.rsqrt(variance + 1e-8)
    return spread(scaled + mean if keep_mean else scaled, where)


def generalized_advantages(*, rewards: torch.Tensor, values: torch.Tensor, gamma: float, lam: float) -> torch.Tensor:
    """(episodes, longest): generalized advantage estimates (Schulman et al. 2016, arXiv 1506.02438, eq. 16)."""
    following = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], dim=1)
    surprise = rewards + gamma * following - values
    advantages, later = torch.zeros_like(surprise), torch.zeros_like(surprise[:, 0])
    for t in reversed(range(surprise.shape[1])):
        later = surprise[:, t] + gamma * lam * later
        advantages[:, t] = later
    return advantages


def value_loss(*, new: torch.Tensor, old: torch.Tensor, returns: torch.Tensor, cliprange: float) -> tuple[torch.Tensor, dict]:
    """Half the squared distance of values (states,) from returns: per state the larger of the plain and the clipped one; and its metrics."""
    plain = (new - returns).square()
    clipped = (new.clamp(old - cliprange, old + cliprange) - returns).square()
    loss = 0.5 * torch.max(plain, clipped).mean()
    return loss, {"loss/value_avg": loss, "val/clipfrac_avg": (clipped > plain).float().mean()}
