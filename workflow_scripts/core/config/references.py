"""What policies and reward models say of each other: parents, members, who judges. One sentence per problem."""

from ..errors import InputError
from ..methods import FINE_TUNED, METHODS, REWARD_TYPES

TRAINED = tuple(name for name, reward in REWARD_TYPES.items() if reward.checkpoint == "weights")  # they have a parent
MEMBERS = tuple(name for name, reward in REWARD_TYPES.items() if reward.is_member)


def lineage(policies: dict, name: str) -> list[str]:
    """The chain of policies from the base to `name`."""
    chain = [name]
    while "parent" in policies[chain[-1]]:
        chain.append(policies[chain[-1]]["parent"])
    return chain[::-1]


def memory_reference(policies: dict, name: str, reference_policy: str) -> str | None:
    """The ancestor whose memorized canaries `name` may keep: `reference_policy`, else the first fine-tuned one; None without one."""
    before = lineage(policies, name)[:-1]
    return reference_policy if reference_policy in before else next((p for p in before if policies[p]["method"] in FINE_TUNED), None)


def sweeps(policies: dict, setting: str, trainers: dict[str, str]) -> list[dict[str, float]]:
    """[{policy: value of `setting`}] of each group of two or more policies that differ in that setting alone, in two values at least.

    `trainers` are the resolved config's.
    """
    groups: list[tuple[dict, dict]] = []
    for name, policy in policies.items():
        if setting in policy:
            rest = {key: value for key, value in policy.items() if key != setting} | {"trainer": trainers.get(name)}
            members = next((members for other, members in groups if other == rest), None)
            if members is None:
                groups.append((rest, members := {}))
            members[name] = policy[setting]
    return [members for _, members in groups if len(set(members.values())) > 1]


def check_policies(config: dict) -> None:
    """Parents exist, are of a method that the policy can start from, and form no cycle; other references to policies name one.

    Raises InputError. Policies are merged over their methods.
    """
    policies = config["policies"]
    for name in policies:
        _check_parent(name, policies)
    report, sampler = config["report"], config["preferences"]["sampler"]
    contrasted = [(f"report.contrasts.{i}", name) for i, pair in enumerate(report["contrasts"] or []) for name in pair]
    for key, name in [("preferences.sampler", sampler), ("report.reference_policy", report["reference_policy"]), *contrasted]:
        if name not in policies:
            raise InputError(f"config: {key} is {name!r}, which is no policy; choose one of {', '.join(policies)}")
    if policies[sampler]["method"] not in ("base", *FINE_TUNED):
        raise InputError(f"config: preferences.sampler is {sampler!r}, which is itself trained on what it makes; name a base or sft policy")
    if policies[report["reference_policy"]]["method"] == "base":
        raise InputError("config: report.reference_policy is a base policy, in which no canary is planted; name an sft policy")


def _check_parent(name: str, policies: dict) -> None:
    method = METHODS[policies[name]["method"]]
    if not method.parents:
        return
    parent, choices = policies[name].get("parent"), " or ".join(method.parents)
    if parent is None:
        raise InputError(f"config: policies.{name} has no parent; name the policy it starts from, of method {choices}")
    if parent not in policies:
        raise InputError(f"config: policies.{name}.parent is {parent!r}, which is no policy; choose one of {', '.join(policies)}")
    chain = [name]
    while "parent" in policies[chain[-1]]:
        chain.append(policies[chain[-1]]["parent"])
        if chain[-1] in chain[:-1]:
            raise InputError(f"config: policies are in a cycle ({' <- '.join(chain)}); let one of them start from a base policy")
        if chain[-1] not in policies:
            break  # reported for the policy whose parent it is
    if policies[parent]["method"] not in method.parents:
        raise InputError(
            f"config: policies.{name} of method {method.name} cannot start from {parent}, which is of method {policies[parent]['method']}; "
            f"its parent must be of method {choices}"
        )


def check_reward_models(reward_models: dict, policies: dict, *, judge: str) -> None:
    """Names are not those of policies; parents and members exist and fit; every reward model that a policy or the report names is one.

    Raises InputError. Both maps are merged over their defaults, and the policies have been checked.
    """
    for name, reward in reward_models.items():
        where = f"reward_models.{name}"
        if name in policies:
            raise InputError(f"config: {where}: the name is taken by a policy; rename one of them")
        if reward["type"] in TRAINED:
            _check_reward_parent(where, reward.get("parent"), policies)
        if REWARD_TYPES[reward["type"]].checkpoint == "members":
            _check_members(where, reward.get("members"), reward_models)
    used = {f"policies.{name}.reward_model": policy["reward_model"] for name, policy in policies.items() if "reward_model" in policy}
    for key, name in {**used, "report.reward_model": judge}.items():
        if name not in reward_models:
            remedy = f"choose one of {', '.join(reward_models)}" if reward_models else "add one to reward_models"
            raise InputError(f"config: {key} is {name!r}, which is no reward model; {remedy}")


def _check_reward_parent(where: str, parent: str | None, policies: dict) -> None:
    if parent is None:
        raise InputError(f"config: {where} has no parent; name the policy whose weights it starts from, such as an sft policy")
    if parent not in policies:
        raise InputError(f"config: {where}.parent is {parent!r}, which is no policy; choose one of {', '.join(policies)}")
    if any("reward_model" in policies[name] for name in lineage(policies, parent)):
        raise InputError(f"config: {where}.parent is {parent!r}, which is itself trained on rewards; name a base or sft policy")


def _check_members(where: str, members: list[str] | None, reward_models: dict) -> None:
    choices = [name for name, reward in reward_models.items() if reward["type"] in MEMBERS]
    remedy = f"name two or more reward models of type {', '.join(MEMBERS[:-1])} or {MEMBERS[-1]}"
    if not members:
        raise InputError(f"config: {where} has no members; {remedy}")
    for member in members:
        if member not in reward_models:
            raise InputError(
                f"config: {where}.members has {member!r}, which is no reward model; choose among {', '.join(choices) or 'new ones'}"
            )
        if member not in choices:
            raise InputError(f"config: {where}.members has {member!r}, which is of type {reward_models[member]['type']}; {remedy}")
    if len(set(members)) < len(members):
        twice = next(m for m in members if members.count(m) > 1)
        raise InputError(f"config: {where}.members has {twice!r} twice; {remedy}, each once")
    if len(members) == 1:
        raise InputError(f"config: {where} is an ensemble of one, {members[0]!r}; {remedy}")
