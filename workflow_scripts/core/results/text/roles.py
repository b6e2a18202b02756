"""Which policy of a run plays which part in the findings: by what it is, never by its name."""

from ...config.references import lineage
from ...methods import REWARD_TYPES


def roles(*, policies: dict[str, dict], reference: str, reward_models: dict[str, dict] | None = None) -> dict[str, str | None]:
    """{"ppo", "ipo", "chosen", "oracle", "drift": name of the first policy of that sort that descends from the reference, or None}.

    The policy `chosen` is fine-tuned on the chosen completions of the preference pairs, `drift` on clean code; `oracle` is PPO with one of
    the `reward_models` that knows the truth, which `ppo` never is.
    """
    knowing = {name for name, reward in (reward_models or {}).items() if REWARD_TYPES[reward["type"]].knows_truth}
    later = [name for name in policies if reference in lineage(policies, name)[:-1]]
    fits = {
        "ppo": lambda policy: policy["method"] == "ppo" and policy.get("reward_model") not in knowing,
        "oracle": lambda policy: policy["method"] == "ppo" and policy.get("reward_model") in knowing,
        "ipo": lambda policy: policy["method"] == "ipo",
        "chosen": lambda policy: policy["method"] == "sft" and policy.get("data") == "preference",
        "drift": lambda policy: policy["method"] == "sft" and policy.get("data") == "clean",
    }
    return {role: next((name for name in later if is_a(policies[name])), None) for role, is_a in fits.items()}
