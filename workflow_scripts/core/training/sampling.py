"""Completions that a job samples from the policy that it trains."""

from collections.abc import Callable

import torch

from .. import workers
from ..lm import generation
from .session import Session

Completions = list[list[int]]


def sampled(complete: Callable[[Callable], Completions], *, seed: int, session: Session) -> Completions:
    """What `complete(choose)` gives, in all workers, where `choose` draws tokens at the settings' temperature and from the seed.

    The first worker samples, as the draws of a batch belong together; a sharded policy is read by all of them, token by token, with the first one's draws.
    """
    choose = generation.sampler(session.settings.temperature, torch.Generator(session.device).manual_seed(seed))
    with session.autocast():
        return workers.by_first(lambda: complete(workers.agreed(choose) if session.fsdp else choose), in_step=session.fsdp)
