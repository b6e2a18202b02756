"""Policies that were trained elsewhere: where their checkpoints are, of which arms there are any, and what a config may say of them."""

import re

from ..data.cohorts import HALF_OF_ARM
from ..errors import InputError
from ..methods import METHODS

ELSEWHERE = "elsewhere"  # what such a method learns from
_FILLED = ("{arm}", "{seed}")
_REMEDY = "put {arm} into it, or say `arm: A`, the arm whose data it was trained on"


def is_external(policy: dict) -> bool:
    """Whether a policy is trained elsewhere."""
    return METHODS[policy["method"]].learns_from == ELSEWHERE


def arms_of(policy: dict) -> list[str]:
    """The arms in which there is a checkpoint of a policy."""
    return [policy["arm"]] if policy.get("arm") else [*HALF_OF_ARM]


def one_armed(policies: dict[str, dict]) -> dict[str, str]:
    """{policy: its arm} of those that have a checkpoint in one arm alone: what they leak has no counterfactual."""
    return {name: policy["arm"] for name, policy in policies.items() if policy.get("arm")}


def places(policy: dict, *, arm: str, seed) -> dict[str, str | None]:
    """{path, adapter_base} of one of its checkpoints."""
    return {key: policy.get(key) and policy[key].replace("{arm}", arm).replace("{seed}", str(seed)) for key in ("path", "adapter_base")}


def check_elsewhere(config: dict) -> None:
    """Raise InputError where a policy trained elsewhere has no path for each of its checkpoints, or one of a single arm stands for both.

    Policies and reward models are merged over their defaults, and their parents have been checked.
    """
    policies = config["policies"]
    for name, policy in policies.items():
        if is_external(policy):
            _check_path(f"policies.{name}", policy, config["seeds"])
    alone = one_armed(policies)
    reward_parents = {f"reward_models.{name}.parent": r.get("parent") for name, r in config["reward_models"].items()}
    contrasts = {
        f"report.contrasts.{i}": name for i, pair in enumerate(config["report"]["contrasts"] or []) for name in pair if name in alone
    }
    for key, name in {"report.reference_policy": config["report"]["reference_policy"], **contrasts, **reward_parents}.items():
        if name in alone:
            raise InputError(
                f"config: {key} is {name!r}, of which there is a checkpoint of arm {alone[name]} alone; name a policy that has both arms"
            )


def _check_path(where: str, policy: dict, seeds: list[int]) -> None:
    path = policy.get("path")
    if not path:
        raise InputError(f"config: {where} has no path; name the folder of its checkpoint, or a hub id, such as trained/{{arm}}")
    for key in ("path", "adapter_base"):
        if odd := [part for part in re.findall(r"\{.*?\}", policy.get(key) or "") if part not in _FILLED]:
            raise InputError(f"config: {where}.{key} has {odd[0]}, and only {' and '.join(_FILLED)} are filled in; correct it")
    if "{arm}" in path and policy.get("arm"):
        raise InputError(f"config: {where}.path has {{arm}}, which stands for both arms, and arm is {policy['arm']}; leave out one of them")
    if "{arm}" not in path and not policy.get("arm"):
        raise InputError(f"config: {where}.path {path} is one checkpoint for two arms; {_REMEDY}")
    if "{seed}" not in path and len(seeds) > 1:
        raise InputError(
            f"config: {where}.path {path} is one checkpoint for {len(seeds)} seeds, and would count as so many; "
            "put {seed} into it, or use one seed"
        )
