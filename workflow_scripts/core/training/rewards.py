"""Rewards: callables that score each prompt with its continuation, whatever type of reward model stands behind.

`reward(packed)` -> (continuations,) in fp32. `reward.models` are the networks that it reads: the one of a single or smoothed reward
model, those of an ensemble's members in their order, none of rewards that are computed.
"""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..errors import InputError
from ..lm import lora, packing
from . import content_rewards, length_reward
from .session import Session

COMPUTED = {  # types without a checkpoint: their function of ids, from the session, the files of truths and the language of the code
    "parses": lambda session, truths, language: content_rewards.parses(
        tokenizer=session.tokenizer, fim=session.fim, language=language, around=content_rewards.read_around(*truths) if truths else {}
    ),
    "similarity": lambda session, truths, _: content_rewards.similarity(truths=content_rewards.read_truths(*truths), end=session.fim.end),
}
CENTRE_OF_COMPUTED = 0.5  # of rewards from 0 to 1, in an ensemble


@dataclass(frozen=True)
class Trained:
    """One trained reward model, less its `centre`, the mean score of training completions (Stiennon et al. 2020, arXiv 2009.01325).

    Pairs leave a reward's zero open, and one below 0 on average pays a policy for not ending.
    """

    models: list[torch.nn.Module]
    centre: float = 0.0

    def __call__(self, packed: packing.Pack) -> torch.Tensor:
        with lora.switched_off(self.models[0]):  # those of a value model on the same body
            return packing.scores(self.models[0], packed).float() - self.centre


@dataclass(frozen=True)
class Computed:
    """A function of the ids of prompt and continuation; no network reads anything."""

    function: Callable[[list[int], list[int]], float]
    models: tuple = ()

    def __call__(self, packed: packing.Pack) -> torch.Tensor:
        values = [self.function(prompt, continuation) for prompt, continuation in packed.continuations()]
        return torch.tensor(values, dtype=torch.float32, device=packed.ids.device)


@dataclass(frozen=True)
class Ensemble:
    """Several reward models as one (Coste et al. 2023, arXiv 2310.02743, section 3).

    Each member's mean score over training completions, its centre, is subtracted: pairs leave a reward's zero open, and otherwise the
    worst member would always be the same one. Of a computed reward it is the middle of its range.
    """

    members: list["Reward"]
    centres: list[float]
    aggregate: str
    uncertainty_coef: float

    @property
    def models(self) -> list[torch.nn.Module]:
        return [model for member in self.members for model in member.models]

    def __call__(self, packed: packing.Pack) -> torch.Tensor:
        scores = torch.stack([member(packed) - centre for member, centre in zip(self.members, self.centres, strict=True)])
        return aggregated(scores, aggregate=self.aggregate, uncertainty_coef=self.uncertainty_coef)


Reward = Callable[[packing.Pack], torch.Tensor]


def aggregated(scores: torch.Tensor, *, aggregate: str, uncertainty_coef: float) -> torch.Tensor:
    """(members, continuations) -> (continuations,): mean; worst: the least; uncertainty: mean less the coefficient times the variance
    over the members (eq. 2 to 4 of Coste et al.; the variance of these members, not an estimate for others).
    """
    if aggregate == "worst":
        return scores.amin(0)
    mean = scores.mean(0)
    return mean - uncertainty_coef * scores.var(0, correction=0) if aggregate == "uncertainty" else mean


def load(*, spec: dict, checkpoints: list[str], truths: list[str] = (), session: Session) -> Reward:
    """The reward of a resolved entry of reward_models: `type`, `language` of the code, and of an ensemble `members` (their types), `aggregate` and
    `uncertainty_coef`. `checkpoints` are those of the members that have one, in their order; `truths` are files of examples and
    canaries whose targets a reward of type similarity knows, and around which one of type parses looks.
    """
    options = dict(truths=truths, session=session, language=spec.get("language", "python"))
    if spec["type"] != "ensemble":
        reward = _one(spec["type"], checkpoints[0] if checkpoints else None, **options)
        return replace(reward, centre=_about(checkpoints[0])["centre"]) if isinstance(reward, Trained) else reward
    left = iter(checkpoints)
    pairs = [(member, None if member in COMPUTED else next(left)) for member in spec["members"]]
    centres = [CENTRE_OF_COMPUTED if checkpoint is None else _about(checkpoint)["centre"] for _, checkpoint in pairs]
    return Ensemble([_one(*pair, **options) for pair in pairs], centres, spec["aggregate"], spec["uncertainty_coef"])


def _one(reward_type: str, checkpoint: str | None, *, truths: list[str], session: Session, language: str) -> Reward:
    """A reward that is no ensemble."""
    if reward_type in COMPUTED:
        return Computed(COMPUTED[reward_type](session, truths, language))
    if reward_type == "length_only":
        fitted = _about(checkpoint)["fitted"]
        return Computed(lambda _, ids: length_reward.rewards([len(ids)], fitted=fitted)[0])
    return Trained([session.load_judge(checkpoint)])


def _about(checkpoint: str) -> dict:
    return json.loads((Path(checkpoint) / "meta.json").read_text(encoding="utf-8"))


def value_model(*, reward: Reward, parent: str, session: Session):
    """Where a value model starts: at 0 everywhere, on a copy of the body of the reward's (first) network or, where it has none, of `parent`.

    With LoRA it is the very body, with additions. The network's own scores of unfinished text would not do: it was trained on completions
    that end.
    """
    copied = lora.sharing_body if session.lora else copy.deepcopy
    value = session.prepared(lambda: copied(reward.models[0])) if reward.models else session.load_reward_model(parent)
    for parameter in value.score.parameters():
        torch.nn.init.zeros_(parameter)
    return value


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
