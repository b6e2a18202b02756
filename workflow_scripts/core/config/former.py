"""Keys of earlier versions. Each gives one sentence that names the new one."""

from collections.abc import Iterator

from ..errors import InputError

# dotted path (`*` for any key) -> what the last part is called now
RENAMED = {
    "kinds": "methods",
    "reward_kinds": "reward_types",
    "policies.*.kind": "method",
    "reward_models.*.kind": "type",
    "canaries.kinds": "secret_types",
    "canaries.cohorts.heldout": "unplanted",
    "report.reference": "reference_policy",
    "report.collapse_ratio": "collapse_limits.perplexity_ratio",
    "probes.references": "reference_fillings",
    "probes.tries": "extraction_n",
    "probes.chances": "extraction_p",
}
_TRAINING = {"warmup_share": "warmup_ratio"}
_POLICY = {
    **_TRAINING,
    "minibatch": "mini_batch_size",
    "rollout_batch": "rollout_batch_size",
    "samples": "num_generations",
    "samples_per_prompt": "num_generations",
    "rank": "lora.r",
    "alpha": "lora.alpha",
    "lora_r": "lora.r",
    "lora_alpha": "lora.alpha",
}
_SETTINGS = {"methods": _POLICY, "policies": _POLICY, "reward_types": _TRAINING, "reward_models": _TRAINING}
RENAMED |= {f"{section}.*.{old}": new for section, names in _SETTINGS.items() for old, new in names.items()}
# dotted path -> what to do instead
GONE = {
    "reward_model": "write its parent to reward_models.reward_model and its settings to reward_types.single",
    "methods.lora": "LoRA is a setting of every method; write methods.sft.lora: {r: 16, alpha: 32}, or `lora` to a policy",
    "resources": "memory, time and GPUs are set in profiles/; threads, which results depend on, are `threads` in training, methods, "
    "reward_types, policies, preferences and probes",
}
POLICIES = {"direct": "sft_chosen"}  # default policies that have another name now


def refuse_former(config: dict) -> None:
    """Raise InputError at the first key, method or policy that is called otherwise now."""
    for path, _ in _walk(config):
        pattern = _pattern(path)
        if pattern in RENAMED:
            raise InputError(f"config: {'.'.join(path)} is now called {'.'.join([*path[:-1], RENAMED[pattern]])}; rename it")
        if pattern in GONE:
            raise InputError(f"config: the key {'.'.join(path)} is no longer read; {GONE[pattern]}")
    policies = config.get("policies")
    for name, policy in policies.items() if isinstance(policies, dict) else ():
        if name in POLICIES and (policy is None or isinstance(policy, dict) and "method" not in policy):
            raise InputError(f"config: the policy {name} is now called {POLICIES[name]}; rename policies.{name}")
        if isinstance(policy, dict) and policy.get("method") == "lora":
            raise InputError(
                f"config: policies.{name}.method: lora is now a setting of every method; write method: sft, lora: {{r: 16, alpha: 32}}"
            )


def _walk(value: dict, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """(path, value) of every key, the outer ones first."""
    for key, inner in value.items():
        yield (*path, str(key)), inner
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from _walk(inner, (*path, str(key)))


def _pattern(path: tuple[str, ...]) -> str:
    """The path as RENAMED spells it: with `*` for the name of an entry, where that stands for all of them."""
    dotted = ".".join(path)
    return dotted if dotted in RENAMED or len(path) != 3 else f"{path[0]}.*.{path[2]}"
