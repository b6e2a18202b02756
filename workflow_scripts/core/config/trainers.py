"""Which policies and reward models TRL trains: known before any work, and told to no job, so that what our own loop trains stays as it is."""

from ..errors import InputError
from ..methods import METHODS, REWARD_TYPES, Method, RewardType

_WHITENED = 8  # TRL whitens the rewards of a rollout only where its mini-batches have so many rows
# settings that none of TRL's trainers has a counterpart for: (which values, why, what else to set it to)
_UNMATCHED = {
    "micro_batch_tokens": (lambda value: value is not None, "TRL cuts a batch by rows, not by tokens", "null"),
    "workers": (lambda value: value > 1, "each of TRL's trainers runs in one process here", "1"),
    "fsdp": (bool, "each of TRL's trainers runs in one process here", "false"),
    "length_penalty": (lambda value: value > 0, "none of TRL's trainers takes lengths into account", "0"),
    "sft_coef": (lambda value: value > 0, "TRL's hinge loss has no term for the chosen completion alone", "0"),
    "delta": (lambda value: value == 0, "TRL's hinge loss has a margin", "more than 0"),
}


def taken_out(*, policies: dict, reward_models: dict) -> dict[str, str]:
    """{name: "trl"} of what TRL trains; `trainer` is taken out of every entry, in place.

    Raises InputError where TRL cannot train an entry as its settings say.
    """
    found = {}
    sections = (("policies", policies, "method", METHODS), ("reward_models", reward_models, "type", REWARD_TYPES))
    for section, entries, kind, registry in sections:
        for name, entry in entries.items():
            if entry.pop("trainer", None) == "trl":
                _check(f"{section}.{name}", entry, kind, registry[entry[kind]])
                found[name] = "trl"
    return found


def _check(where: str, entry: dict, kind: str, of: Method | RewardType) -> None:
    if of.of_trl is None:
        known = [name for name, other in (METHODS if kind == "method" else REWARD_TYPES).items() if other.of_trl]
        raise InputError(
            f"config: {where}.trainer is trl, and TRL has no trainer for {kind} {of.name} as it is meant here (it has for {', '.join(known)}); "
            "write trainer: packed to it"
        )
    for key, (is_unmatched, why, other) in _UNMATCHED.items():
        if key in entry and is_unmatched(entry[key]):
            raise InputError(
                f"config: {where}.{key} is {entry[key]} and its trainer is trl, but {why}; set it to {other}, or write trainer: packed"
            )
    if (entry.get("lora") or {}).get("load_in_8bit"):
        raise InputError(
            f"config: {where}.lora.load_in_8bit is true and its trainer is trl, which would train the additions of such a model in bf16; "
            "set it to false, or write trainer: packed"
        )
    if of.name == "online_dpo" and (entry["num_generations"], entry["mini_batch_size"]) != (2, entry["rollout_batch_size"]):
        raise InputError(
            f"config: {where}.trainer is trl, which compares two completions of a prompt and learns from all of a rollout at once; "
            f"set num_generations to 2 and mini_batch_size to rollout_batch_size {entry['rollout_batch_size']}, or write trainer: packed"
        )
    if entry.get("whiten_rewards") and entry["mini_batch_size"] < _WHITENED:
        raise InputError(
            f"config: {where}.mini_batch_size is {entry['mini_batch_size']}, and TRL whitens rewards from {_WHITENED} rows on; raise it, set "
            "whiten_rewards to false, or write trainer: packed"
        )
