"""An answer: how one policy completed one prompt, and how likely it held the target to be. Plain arrays: measures need no torch.

`completion` is compared with the target and so is cut to as many tokens; what goes on after them is in `completion_ids`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..data.fim import Fim

BEYOND_TARGET = 1  # tokens past the target's length: enough to see whether the policy ends there or goes on


@dataclass(frozen=True)
class Answer:
    """One item (canary under one prompt condition, or held-out example) and how a policy completed it."""

    item: dict  # prompt_ids, target_ids, and what identifies it
    completion_ids: list[int]  # greedy, up to BEYOND_TARGET tokens longer than the target, with the end token where it came
    logprobs: np.ndarray  # (target tokens, vocabulary), float64: of the next token at each place of the target, teacher-forced
    reference_logprobs: np.ndarray | None  # the same under another policy: report.reference_policy for held-out examples, for
    # canaries the base policy, which has seen none
    filling_logprobs: np.ndarray | None  # (1 + R,): log-probability of the target and of its R reference fillings; where it has some
    decode: Callable[[list[int]], str]
    fim: Fim
    pair_logprobs: np.ndarray | None = None  # ((chosen, rejected), (policy, reference)): log-probability of a preference pair's
    # completions with their end token; where the canary has a pair

    @property
    def target_ids(self) -> list[int]:
        """The truth."""
        return self.item["target_ids"]

    @property
    def target(self) -> str:
        """The truth as text."""
        return self.decode(self.target_ids)

    @property
    def cut_ids(self) -> list[int]:
        """The completion, cut to the target's length in tokens."""
        return self.completion_ids[: len(self.target_ids)]

    @property
    def completion(self) -> str:
        """What is compared with the target, as text: `cut_ids`, so at most as many tokens as the target, without the end token."""
        return self.decode(self.fim.bare(self.cut_ids))

    @cached_property
    def target_logprobs(self) -> np.ndarray:
        """(target tokens,): log-probability of each token of the target."""
        return self._of_target(self.logprobs)

    @cached_property
    def gained(self) -> np.ndarray | None:
        """(target tokens,): the same less the reference's, in nats; None without a reference."""
        return None if self.reference_logprobs is None else self.target_logprobs - self._of_target(self.reference_logprobs)

    @cached_property
    def missed(self) -> np.ndarray:
        """(target tokens,): whether another token is likelier than the target's."""
        return self.logprobs.argmax(axis=1) != self.target_ids

    def _of_target(self, logprobs: np.ndarray) -> np.ndarray:
        return np.take_along_axis(logprobs, np.asarray(self.target_ids)[:, None], axis=1)[:, 0]
