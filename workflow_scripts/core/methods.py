"""The registry: every fact about a training method or a type of reward model, said once.

Config schema, rules, workflow picture, report and leaderboard derive from it. To add a method: an entry of METHODS with a dataclass
of its settings here, its defaults in config.yaml, core/training/<name>.py, and the script train_<name>.py (docs/extending.md).

This module computes nothing. A job receives only settings that its receipt lists, so editing this file re-runs a stage if and
only if it changes one of those values (core/freshness/code.py).
"""

import functools
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

Count = Annotated[int, ("minimum", 1)]
Natural = Annotated[int, ("minimum", 0)]
Seed = Annotated[int, ("minimum", 0), ("maximum", 2**31 - 1)]  # numpy takes the sum of two such
Several = Annotated[int, ("minimum", 2)]
Positive = Annotated[float, ("exclusiveMinimum", 0)]
NonNegative = Annotated[float, ("minimum", 0)]
Share = Annotated[float, ("minimum", 0), ("maximum", 1)]
Name = str  # of a policy or reward model
ALL_LINEAR = "all-linear"  # a target of LoRA: every linear layer but the head


@dataclass(frozen=True, kw_only=True)
class Lora:
    """Low-rank additions that are trained instead of the weights: rank `r`, counted alpha / r times, to `target`: all-linear, or names of layers.

    `load_in_8bit`: while they are trained, the frozen weights of all linear layers but the head are integers of 8 bits (bitsandbytes).
    """

    r: Count
    alpha: Positive
    target: str | list[str] = ALL_LINEAR
    load_in_8bit: bool = False


@dataclass(frozen=True, kw_only=True)
class Weights:
    """How weights are trained, and in how much memory: settings of every method and reward type that trains any.

    No job is given `trainer`: it decides which script runs (config/trainers.py).
    """

    precision: Literal["auto", "fp32", "bf16"]
    lora: Lora | None
    gradient_checkpointing: bool
    micro_batch_tokens: Count | None
    workers: Count
    fsdp: bool = False
    trainer: Literal["packed", "trl"] = "packed"


@dataclass(frozen=True, kw_only=True)
class Training(Weights):
    """Settings of every method that trains by epochs over fixed rows."""

    epochs: Positive
    batch_size: Count
    learning_rate: Positive
    weight_decay: NonNegative
    warmup_ratio: Annotated[float, ("minimum", 0), ("exclusiveMaximum", 1)]
    threads: Count


@dataclass(frozen=True, kw_only=True)
class Base(Training):
    """Next-token prediction on raw code. A base policy may have a size of its own instead of `model`'s."""

    epochs: NonNegative
    hidden: Count | None = None
    layers: Count | None = None
    heads: Count | None = None
    intermediate: Count | None = None


@dataclass(frozen=True, kw_only=True)
class Sft(Training):
    """Supervised fine-tuning on the sft set, on the chosen completions of the preference set, or on clean code without canaries."""

    data: Literal["sft", "preference", "clean"]


@dataclass(frozen=True, kw_only=True)
class Ipo(Training):
    """IPO on the preference pairs."""

    beta: Positive


@dataclass(frozen=True, kw_only=True)
class Dpo(Training):
    """DPO on the preference pairs; with a length penalty it is R-DPO."""

    beta: Positive
    length_penalty: NonNegative


@dataclass(frozen=True, kw_only=True)
class Slic(Training):
    """SLiC-HF on the preference pairs."""

    delta: NonNegative
    sft_coef: NonNegative


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Settings of every method that samples completions and has a reward model score them."""

    reward_model: Name
    max_new_tokens: Count
    temperature: Positive
    missing_eos_penalty: NonNegative
    preference_prompts: Natural
    threads: Count


@dataclass(frozen=True, kw_only=True)
class OnPolicy(Weights, Sampling):
    """Settings of methods that learn from one rollout after the other."""

    episodes: Count
    rollout_batch_size: Count
    mini_batch_size: Count
    learning_rate: Positive
    length_penalty: NonNegative


@dataclass(frozen=True, kw_only=True)
class Penalized(OnPolicy):
    """Settings of those whose reward has a KL penalty, and whose loss is the clipped surrogate."""

    kl_coef: NonNegative
    cliprange: Positive


@dataclass(frozen=True, kw_only=True)
class Ppo(Penalized):
    """PPO with a value model."""

    ppo_epochs: Count
    gamma: Share
    lam: Share
    vf_coef: NonNegative
    whiten_rewards: bool


@dataclass(frozen=True, kw_only=True)
class Rloo(Penalized):
    """RLOO: the other completions of a prompt replace the value model."""

    num_generations: Several
    rloo_epochs: Count


@dataclass(frozen=True, kw_only=True)
class OnlineDpo(OnPolicy):
    """Online DPO: of the completions of a prompt the best against the worst."""

    num_generations: Several
    beta: Positive


@dataclass(frozen=True, kw_only=True)
class Ranked(Sampling, Training):
    """Settings of methods that sample once from the parent and then train by epochs on the ranked completions."""

    preference_prompts: Annotated[int, ("minimum", 0), ("maximum", 1)]
    num_generations: Several


@dataclass(frozen=True, kw_only=True)
class Rrhf(Ranked):
    """RRHF."""

    sft_coef: NonNegative


@dataclass(frozen=True, kw_only=True)
class IterativeDpo(Ranked):
    """One iteration of DPO on the parent's own completions."""

    beta: Positive


@dataclass(frozen=True, kw_only=True)
class External:
    """A checkpoint that was trained elsewhere: `path` is a folder, a hub id, or the folder of an adapter, which `adapter_base` belongs to.

    Paths may hold {arm} and {seed}; where `path` has no {arm}, `arm` says whose data the one checkpoint was trained on.
    """

    path: str | None = None
    arm: Literal["A", "B"] | None = None
    adapter_base: str | None = None
    revision: str | None = None
    threads: Count


@dataclass(frozen=True)
class Method:
    """One way of training a policy.

    `learns_from` decides the shape of its rule: "blocks" of raw code, "examples", preference "pairs", "rewards" of its own samples
    rollout by rollout, its parent's "samples", ranked once, or something "elsewhere". `parents` are the methods that it may start from.
    `of_trl` names the trainer of TRL's that trains it, too.
    """

    name: str
    label: str
    learns_from: Literal["blocks", "examples", "pairs", "rewards", "samples", "elsewhere"]
    parents: tuple[str, ...]
    settings: type
    of_trl: str | None = None


FINE_TUNED = ("sft",)  # methods that learn from examples
METHODS = {
    method.name: method
    for method in (
        Method("base", "base, no canaries", "blocks", (), Base),
        Method("sft", "fine-tuning", "examples", ("base", *FINE_TUNED), Sft, "SFTTrainer"),
        Method("ppo", "PPO", "rewards", FINE_TUNED, Ppo, "PPOTrainer"),
        Method("ipo", "IPO", "pairs", FINE_TUNED, Ipo, "DPOTrainer"),
        Method("dpo", "DPO", "pairs", FINE_TUNED, Dpo, "DPOTrainer"),
        Method("slic", "SLiC", "pairs", FINE_TUNED, Slic, "DPOTrainer"),
        Method("rloo", "RLOO", "rewards", FINE_TUNED, Rloo, "RLOOTrainer"),
        Method("online_dpo", "online DPO", "rewards", FINE_TUNED, OnlineDpo, "OnlineDPOTrainer"),
        Method("rrhf", "RRHF", "samples", FINE_TUNED, Rrhf),
        Method("iterative_dpo", "DPO on own samples", "samples", (*FINE_TUNED, "iterative_dpo"), IterativeDpo),
    )
}
METHODS["external"] = Method("external", "trained elsewhere", "elsewhere", (*METHODS, "external"), External)


@dataclass(frozen=True, kw_only=True)
class Single(Training):
    """A reward model trained on the preference pairs."""

    seed: Seed


@dataclass(frozen=True, kw_only=True)
class Smoothed(Single):
    """The same with labels that it smooths itself, after a first epoch in which all of them are 1."""

    epochs: Annotated[float, ("exclusiveMinimum", 1)]
    smoothing: Share


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Several reward models as one."""

    aggregate: Literal["mean", "worst", "uncertainty"]
    uncertainty_coef: NonNegative


@dataclass(frozen=True, kw_only=True)
class LengthOnly:
    """A control: a function of the completion's length."""


@dataclass(frozen=True, kw_only=True)
class Parses:
    """1 where the code parses with the completion in its hole, else 0. Nothing is learnt."""


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """Edit similarity to the true continuation, from 0 to 1. Nothing is learnt; the reward knows the truth of every prompt."""


@dataclass(frozen=True)
class RewardType:
    """One type of reward model. `checkpoint`: what it has on disk: trained "weights", "fitted" numbers, its "members'", or "none".

    `is_member`: whether an ensemble may hold it. `knows_truth`: whether it is given the true continuation of every prompt. `parses`:
    whether it parses completions, which must be code. `of_trl` as of a Method.
    """

    name: str
    label: str
    checkpoint: Literal["weights", "fitted", "members", "none"]
    settings: type
    is_member: bool = False
    knows_truth: bool = False
    parses: bool = False
    of_trl: str | None = None

    @property
    def is_learnt(self) -> bool:
        """Whether a job makes it from the preference pairs."""
        return self.checkpoint in ("weights", "fitted")


REWARD_TYPES = {
    reward.name: reward
    for reward in (
        RewardType("single", "reward from pairs", "weights", Single, is_member=True, of_trl="RewardTrainer"),
        RewardType("smoothed", "reward, soft labels", "weights", Smoothed, is_member=True),
        RewardType("ensemble", "rewards as one", "members", Ensemble),
        RewardType("length_only", "reward of length", "fitted", LengthOnly),
        RewardType("parses", "reward: it parses", "none", Parses, is_member=True, parses=True),
        RewardType("similarity", "reward: the truth", "none", Similarity, is_member=True, knows_truth=True),
    )
}


def learning_from(*sources: str) -> list[str]:
    """Names of the methods that learn from one of `sources`."""
    return [name for name, method in METHODS.items() if method.learns_from in sources]


def pick(settings: type, values: dict) -> Any:
    """An instance of a settings dataclass from those of `values` that it has fields for."""
    hints = get_type_hints(settings)
    return settings(**{field.name: _of(hints[field.name], values[field.name]) for field in fields(settings) if field.name in values})


def _of(hint, value):
    """The value, as an instance of the dataclass that `hint` allows where it is a map."""
    return pick(next(kind for kind in get_args(hint) if is_dataclass(kind)), value) if isinstance(value, dict) else value


def without_defaults(settings: type, values: dict) -> dict:
    """The values without those that a settings dataclass has anyway: one that a later version adds invalidates nothing that was made without it."""
    usual = {field.name: field.default for field in fields(settings) if field.default is not MISSING}
    return {name: value for name, value in values.items() if name not in usual or value != usual[name]}


@functools.cache
def schema_of(settings: type) -> dict:
    """JSON schema of a settings dataclass: `properties`, and as `required` the fields without a default.

    Of the fields X | None, those without a default may be null; the others are left out instead.
    """
    hints = get_type_hints(settings, include_extras=True)
    required = [field.name for field in fields(settings) if field.default is MISSING]
    properties = {field.name: _schema(hints[field.name], nullable=field.name in required) for field in fields(settings)}
    return {"properties": properties, "required": required}


def _schema(hint, *, nullable: bool = False) -> dict:
    """JSON schema of one field's type."""
    if get_origin(hint) is Annotated:
        plain, *limits = get_args(hint)
        return {**_schema(plain), **dict(limits)}
    if get_origin(hint) is Literal:
        return {"enum": list(get_args(hint))}
    if get_origin(hint) is list:
        return {"type": "array", "items": _schema(*get_args(hint)), "minItems": 1, "uniqueItems": True}
    if is_dataclass(hint):
        return {"type": "object", "additionalProperties": False, **schema_of(hint)}
    if kinds := [_schema(part) for part in get_args(hint) if part is not type(None)]:
        types = [kind["type"] for kind in kinds if "type" in kind] + ["null"] * nullable
        return functools.reduce(dict.__or__, kinds) | ({"type": types} if len(types) > 1 else {})
    return {"type": {int: "integer", float: "number", bool: "boolean", str: "string"}[hint]}
