"""Rewards: callables that score each prompt with its continuation, whatever type of reward model stands behind.

`reward(packed)` -> (continuations,) in fp32. `reward.models` are the networks that it reads: the one of a single or smoothed reward
model, those of an ensemble's members in their order, none of length_only.
"""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from ..errors import InputError
from . import length_reward, packing
from .session import Session


@dataclass(frozen=True)
class Trained:
    """One trained reward model."""

    models: list[torch.nn.Module]

    def __call__(self, packed: packing.Pack) -> torch.Tensor:
        return packing.scores(self.models[0], packed).float()


@dataclass(frozen=True)
class Ensemble:
    """Several trained reward models as one (Coste et al. 2023, arXiv 2310.02743, section 3).

    Each member's mean score over training completions, its centre, is subtracted: pairs leave a reward's zero open, and otherwise the
    worst member would always be the same one.
    """

    models: list[torch.nn.Module]
    centres: list[float]
    aggregate: str
    uncertainty_coef: float

    def __call__(self, packed: packing.Pack) -> torch.Tensor:
        scores = torch.stack([packing.scores(m, packed).float() - c for m, c in zip(self.models, self.centres, strict=True)])
        return aggregated(scores, aggregate=self.aggregate, uncertainty_coef=self.uncertainty_coef)


@dataclass(frozen=True)
class LengthOnly:
    """A fitted function of the continuation's length; no network reads anything."""

    fitted: dict
    models: tuple = ()

    def __call__(self, packed: packing.Pack) -> torch.Tensor:
        return torch.tensor(length_reward.rewards(packed.sizes, fitted=self.fitted), dtype=torch.float32, device=packed.ids.device)


Reward = Callable[[packing.Pack], torch.Tensor]


def aggregated(scores: torch.Tensor, *, aggregate: str, uncertainty_coef: float) -> torch.Tensor:
    """(members, continuations) -> (continuations,): mean; worst: the least; uncertainty: mean less the coefficient times the variance
    over the members (eq. 2 to 4 of Coste et al.; the variance of these members, not an estimate for others).
    """
    if aggregate == "worst":
        return scores.amin(0)
    mean = scores.mean(0)
    return mean - uncertainty_coef * scores.var(0, correction=0) if aggregate == "uncertainty" else mean


def load(*, spec: dict, checkpoints: list[str], session: Session) -> Reward:
    """The reward of a resolved entry of reward_models (`type`; of an ensemble `aggregate` and `uncertainty_coef`) from its checkpoints, an
    ensemble's in the order of its members.
    """
    if spec["type"] == "length_only":
        return LengthOnly(_about(checkpoints[0])["fitted"])
    models = [session.load_reward_model(path).eval() for path in checkpoints]
    if spec["type"] != "ensemble":
        return Trained(models)
    centres = [_about(path)["centre"] for path in checkpoints]
    return Ensemble(models, centres, spec["aggregate"], spec["uncertainty_coef"])


def _about(checkpoint: str) -> dict:
    return json.loads((Path(checkpoint) / "meta.json").read_text(encoding="utf-8"))


def value_model(*, reward: Reward, parent: str, session: Session):
    """Where a value model starts: a copy of the reward's (first) network; where it has none, `parent` with a fresh head (seed set by the
    caller).
    """
    return copy.deepcopy(reward.models[0]) if reward.models else session.load_reward_model(parent)


def score(*, reward: Reward, packed: packing.Pack, ended: torch.Tensor, missing_eos_penalty: float, length_penalty: float) -> torch.Tensor:
    """(continuations,): the reward, less one penalty where a completion has not `ended` (boolean), less the other per token of it.

    Raises InputError where a reward is not finite.
    """
    sizes = torch.tensor(packed.sizes, device=ended.device)
    return finite(reward(packed)) - missing_eos_penalty * ~ended - length_penalty * sizes


def finite(scores: torch.Tensor) -> torch.Tensor:
    """The scores of a reward. Raises InputError where one is not finite: training a reward model ends so, too, but not for every input."""
    if not torch.isfinite(scores).all():
        raise InputError("the reward model gives a score that is not finite; lower its learning_rate in reward_models, and run again")
    return scores
