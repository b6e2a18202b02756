"""What a run must say of policies that were trained elsewhere: what is assumed, and what cannot be said of one with a single arm."""

from ...config.elsewhere import is_external, one_armed
from .format import enumeration


def elsewhere(policies: dict[str, dict]) -> str:
    """What is assumed of them and what cannot be said, in a few sentences; "" without any. `policies` is the resolved map."""
    names = [name for name, policy in policies.items() if is_external(policy)]
    if not names:
        return ""
    said = [
        f"{enumeration(names)}: trained elsewhere. That each checkpoint saw its arm's exported training sets, and no canary besides, is "
        "assumed; their vocabulary and weights were checked."
    ]
    if alone := one_armed(policies):
        known = enumeration([f"{name} (arm {arm})" for name, arm in alone.items()])
        said.append(
            f"Of {known} there is no twin that was trained without the canaries: no counterfactual rate, contrast, persistence or place in the "
            "leaderboard can be given. Table one_arm compares the canaries of the arm with those planted nowhere; a canary that comes back may "
            "have been guessed from its prompt."
        )
    return " ".join(said)
