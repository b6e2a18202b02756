"""Reward models of a config: what a schema cannot say of them. One sentence per problem, before any work starts."""

from .errors import InputError

TRAINED = ("single", "smoothed")  # kinds with weights of their own: they have a parent, and an ensemble may hold them


def refuse_former(config: dict) -> None:
    """Raise InputError for the key of versions that knew one reward model."""
    if "reward_model" in config:
        raise InputError(
            "config: the key reward_model is no longer read; write its parent to reward_models.reward_model and its settings to "
            "reward_kinds.single, or all of them to an entry of reward_models"
        )


def check_reward_models(reward_models: dict, policies: dict) -> None:
    """Names are not those of policies; parents and members exist, and are such as can be started from or held together.

    Raises InputError. Both are merged over their kinds; policies have been checked.
    """
    for name, reward in reward_models.items():
        where = f"reward_models.{name}"
        if name in policies:
            raise InputError(f"config: {where}: the name is taken by a policy; rename one of them")
        if reward["kind"] in TRAINED:
            _check_parent(where, reward.get("parent"), policies)
        if reward["kind"] == "ensemble":
            _check_members(where, reward.get("members"), reward_models)


def _check_parent(where: str, parent: str | None, policies: dict) -> None:
    if parent is None:
        raise InputError(f"config: {where} has no parent; name the policy whose weights it starts from, such as an sft policy")
    if parent not in policies:
        raise InputError(f"config: {where}.parent is {parent!r}, which is no policy; choose one of {', '.join(policies)}")
    start = parent
    while start is not None:
        if "reward_model" in policies[start]:
            raise InputError(f"config: {where}.parent is {parent!r}, which is itself trained on rewards; name a base or sft policy")
        start = policies[start].get("parent")


def _check_members(where: str, members: list[str] | None, reward_models: dict) -> None:
    fit = [name for name, reward in reward_models.items() if reward["kind"] in TRAINED]
    remedy = f"name two or more reward models of kind {' or '.join(TRAINED)}"
    if not members:
        raise InputError(f"config: {where} has no members; {remedy}")
    for member in members:
        if member not in reward_models:
            raise InputError(
                f"config: {where}.members has {member!r}, which is no reward model; choose among {', '.join(fit) or 'new ones'}"
            )
        if member not in fit:
            raise InputError(f"config: {where}.members has {member!r}, which is of kind {reward_models[member]['kind']}; {remedy}")
    if len(set(members)) < len(members):
        twice = next(m for m in members if members.count(m) > 1)
        raise InputError(f"config: {where}.members has {twice!r} twice; {remedy}, each once")
    if len(members) == 1:
        raise InputError(f"config: {where} is an ensemble of one, {members[0]!r}; {remedy}")


def check_uses(reward_models: dict, policies: dict, *, judge: str) -> None:
    """Every reward model that a policy or the report names is one. Raises InputError."""
    used = {f"policies.{name}.reward_model": policy["reward_model"] for name, policy in policies.items() if "reward_model" in policy}
    for key, name in {**used, "report.reward_model": judge}.items():
        if name not in reward_models:
            known = f"choose one of {', '.join(reward_models)}" if reward_models else "add one to reward_models"
            raise InputError(f"config: {key} is {name!r}, which is no reward model; {known}")
