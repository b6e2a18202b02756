"""The config, held to its schema and to what a schema cannot say, before any work starts. One sentence per problem."""

import math
import re
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend
from rapidfuzz import fuzz, process

from .errors import InputError
from .probing.prompts import NATIVE, PROMPTS
from .reward_config import check_reward_models, check_uses, refuse_former

TUNED = ("sft", "lora")  # kinds that learn from examples
PARENTS = {"base": (), **dict.fromkeys(TUNED, ("base", *TUNED))}  # kinds that a kind may start from
PARENTS |= dict.fromkeys(("ppo", "ipo", "dpo", "slic", "rloo", "rrhf"), TUNED)
PARENTS["online_dpo"] = (*TUNED, "online_dpo")  # an iteration starts from the one before
REWARD_KINDS = ("single", "smoothed", "ensemble", "length_only")
RESERVED = {"shared": "the folder of what both arms share"}
SIZES = {"hidden", "layers", "heads", "intermediate"}  # of the scratch model, which a base policy may have of its own
_NUMBER = re.compile(r"[+-]?\d+e[+-]?\d+", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
# JSON schema takes 8.0 for an integer and nan and inf for numbers; what counts batches must be an int, and the rest finite
_TYPES = Draft202012Validator.TYPE_CHECKER.redefine_many(
    {
        "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
        "number": lambda _, value: isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value),
    }
)
_Validator = extend(Draft202012Validator, type_checker=_TYPES)


def resolve(config: dict, schema_path) -> dict:
    """The complete config: each policy and reward model merged over the settings of its kind, those set to null left out, the others
    in one order.

    Raises InputError at the first value that is unknown, of the wrong type, out of range, or at odds with another one.
    """
    schema = yaml.safe_load(Path(schema_path).read_text(encoding="utf-8"))
    refuse_former(config)
    _hold(config, schema, where="")
    policies = _merged(config["policies"], config["kinds"], schema, where="policies", noun="policy")
    if not policies:
        raise InputError("config: policies: all of them are null; keep at least a base policy and an sft policy")
    _check_policies({**config, "policies": policies})
    reward_models = _merged(config["reward_models"], config["reward_kinds"], schema, where="reward_models", noun="reward model")
    check_reward_models(reward_models, policies)
    check_uses(reward_models, policies, judge=config["report"]["reward_model"])
    ordered = dict(sorted(reward_models.items(), key=lambda r: (REWARD_KINDS.index(r[1]["kind"]), r[0])))
    resolved = {**config, "policies": _in_order(policies), "reward_models": ordered}
    _check_design(resolved)
    _check_sizes(resolved)
    return resolved


def _merged(entries: dict, kinds: dict, schema: dict, *, where: str, noun: str) -> dict:
    """Each entry that is not null over the settings of its kind, held to the schema of that."""
    merged = {}
    for name, entry in entries.items():
        if entry is None:
            continue
        _check_name(name, entry, where=where, noun=noun, kinds=REWARD_KINDS if where == "reward_models" else tuple(PARENTS))
        merged[name] = {**kinds[entry["kind"]], **entry}
        _hold(merged[name], {"$defs": schema["$defs"], **schema["$defs"][entry["kind"]]}, where=f"{where}.{name}")
    return merged


def _hold(value: dict, schema: dict, where: str) -> None:
    """Raise InputError for the most telling error of `value` against `schema`, unknown keys first."""
    errors = sorted(
        _Validator(schema).iter_errors(value), key=lambda e: (e.validator != "additionalProperties", list(map(str, e.absolute_path)))
    )
    if errors:
        raise InputError(_sentence(errors[0] if errors[0].validator == "additionalProperties" else best_match(errors), where))


def _sentence(error: ValidationError, where: str) -> str:
    path = ".".join(filter(None, [where, *map(str, error.absolute_path)])) or "config"
    shown = repr(error.instance) if len(repr(error.instance)) < 80 else f"a {type(error.instance).__name__}"
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        name = str(sorted(set(error.instance) - set(known), key=str)[0])
        near = process.extractOne(name, known, scorer=fuzz.ratio, score_cutoff=60)
        key = name if path == "config" else f"{path}.{name}"
        return f"config: unknown key {key}; " + (f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}")
    if error.validator == "required":
        missing = next(k for k in error.validator_value if k not in error.instance)
        return f"config: {path if path != 'config' else ''}{'.' if path != 'config' else ''}{missing} is missing; add it"
    if error.validator == "type":
        wanted = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        remedy = "correct it"
        if "number" in wanted and isinstance(error.instance, str) and _NUMBER.fullmatch(error.instance):
            remedy = "write it with a point, as 1.0e-4 (YAML reads 1e-4 as text)"
        return f"config: {path} must be of type {' or '.join(wanted)}, not {shown}; {remedy}"
    if error.validator == "enum":
        return f"config: {path} is {shown}; choose one of {', '.join(map(str, error.validator_value))}"
    limits = {"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "more than", "exclusiveMaximum": "less than"}
    if error.validator in limits:
        return f"config: {path} is {shown} but must be {limits[error.validator]} {error.validator_value}; correct it"
    if error.validator == "pattern":
        return f"config: {path} is {shown}, which is no name; use letters, digits, '_', '-' and '.', starting with a letter or digit"
    return f"config: {path}: {error.message}; correct it"


def _check_name(name, entry, *, where: str, noun: str, kinds: tuple[str, ...]) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(
            f"config: {where}.{name}: {name!r} is not a {noun} name; use letters, digits, '_', '-' and '.', starting with a letter or digit"
        )
    if name in RESERVED:
        raise InputError(f"config: {where}.{name}: the name is taken by {RESERVED[name]}; choose another one")
    if not isinstance(entry, dict) or "kind" not in entry:
        raise InputError(f"config: {where}.{name} needs a kind; add `kind:` with one of {', '.join(kinds)}")
    if entry["kind"] not in list(kinds):
        raise InputError(f"config: {where}.{name}.kind is {entry['kind']!r}; choose one of {', '.join(kinds)}")


def _check_policies(config: dict) -> None:
    """Parents exist, are of a kind that the policy can start from, and form no cycle; so do other references to policies."""
    policies = config["policies"]
    for name, policy in policies.items():
        allowed = PARENTS[policy["kind"]]
        if not allowed:
            continue
        parent = policy.get("parent")
        if parent is None:
            raise InputError(f"config: policies.{name} has no parent; name the policy it starts from, of kind {' or '.join(allowed)}")
        if parent not in policies:
            raise InputError(f"config: policies.{name}.parent is {parent!r}, which is no policy; choose one of {', '.join(policies)}")
        chain = [name]
        while "parent" in policies[chain[-1]]:
            chain.append(policies[chain[-1]]["parent"])
            if chain[-1] in chain[:-1]:
                raise InputError(f"config: policies are in a cycle ({' <- '.join(chain)}); let one of them start from a base policy")
            if chain[-1] not in policies:
                break  # reported for the policy whose parent it is
        if policies[parent]["kind"] not in allowed:
            raise InputError(
                f"config: policies.{name} of kind {policy['kind']} cannot start from {parent}, which is of kind {policies[parent]['kind']}; "
                f"its parent must be of kind {' or '.join(allowed)}"
            )
    contrasted = [(f"report.contrasts.{i}", name) for i, pair in enumerate(config["report"]["contrasts"] or []) for name in pair]
    for key, name in [
        ("preferences.sampler", config["preferences"]["sampler"]),
        ("report.reference", config["report"]["reference"]),
        *contrasted,
    ]:
        if name not in policies:
            raise InputError(f"config: {key} is {name!r}, which is no policy; choose one of {', '.join(policies)}")
    sampler = config["preferences"]["sampler"]
    if policies[sampler]["kind"] not in ("base", *TUNED):
        raise InputError(f"config: preferences.sampler is {sampler!r}, which is itself trained on what it makes; name a base or sft policy")
    if policies[config["report"]["reference"]]["kind"] == "base":
        raise InputError("config: report.reference is a base policy, which no arm has planted; name an sft policy")


def _check_design(config: dict) -> None:
    """The dose ladder divides every planted cohort into equal halves."""
    doses, cohorts = config["canaries"]["doses"], config["canaries"]["cohorts"]
    for cohort, size in cohorts.items():
        cells = 2 if cohort == "heldout" else 2 * len(doses)
        if size % cells:
            raise InputError(
                f"config: canaries.cohorts.{cohort} is {size}, which {cells} (two halves x {cells // 2} doses) does not divide; "
                f"use {f'{size // cells * cells} or ' if size >= cells else ''}{(size // cells + 1) * cells}, or another dose ladder"
            )
    prompts = config["probes"]["prompts"]
    if unknown := [name for name in prompts if name not in PROMPTS]:
        raise InputError(f"config: probes.prompts has {unknown[0]!r}, which is no prompt condition; choose among {', '.join(PROMPTS)}")
    if NATIVE not in prompts:
        raise InputError(f"config: probes.prompts lacks {NATIVE}, the canary as it was planted, from which most tables come; add it")
    corpus = config["corpus"]
    if corpus["min_lines"] > corpus["max_lines"]:
        raise InputError(f"config: corpus.min_lines {corpus['min_lines']} is more than corpus.max_lines {corpus['max_lines']}; swap them")
    if corpus["source"] != "python_stdlib" and not corpus["path"]:
        raise InputError(f"config: corpus.source {corpus['source']} needs corpus.path; name the folder, file or data set")


def _check_sizes(config: dict) -> None:
    """What must fit into what: examples into the context, heads into the hidden size, minibatches into rollouts into prompts."""
    examples, context = config["examples"], config["model"]["context"]
    _check_shapes(config)
    longest = examples["max_target_tokens"] + 2
    samplers = {f"policies.{name}": policy for name, policy in config["policies"].items() if "max_new_tokens" in policy}
    users = {"preferences": config["preferences"], **samplers}
    for user, settings in users.items():
        longest = max(longest, settings["max_new_tokens"])
        if examples["max_prompt_tokens"] + longest > context:
            raise InputError(
                f"config: a prompt of examples.max_prompt_tokens {examples['max_prompt_tokens']} and {longest} more tokens ({user}) exceed "
                f"model.context {context}; shorten the prompt or raise the context"
            )
    if examples["block_tokens"] > context:
        raise InputError(
            f"config: examples.block_tokens {examples['block_tokens']} exceeds model.context {context}; lower it or raise the context"
        )
    for name, policy in config["policies"].items():
        if "rollout_batch" in policy:
            _check_rollouts(f"policies.{name}", policy, config)


def _check_rollouts(where: str, policy: dict, config: dict) -> None:
    """Minibatches and the completions of a prompt divide a rollout, and there are prompts enough for one."""
    samples = policy.get("samples_per_prompt", 1)
    for key, size in {"minibatch": policy["minibatch"], "samples_per_prompt": samples}.items():
        if policy["rollout_batch"] % size:
            raise InputError(f"config: {where}.{key} {size} does not divide rollout_batch {policy['rollout_batch']}; change one of them")
    canaries, doses = config["canaries"]["cohorts"], config["canaries"]["doses"]
    prompts = config["corpus"]["pools"]["rl_prompt"] + canaries["rl_prompt"] // 2 * sum(doses) // len(doses)
    prompts += canaries["preference"] // 2 * policy["preference_prompts"]
    if policy["rollout_batch"] > prompts * samples:
        times = f" of {samples} samples" if samples > 1 else ""
        raise InputError(
            f"config: {where}.rollout_batch {policy['rollout_batch']} exceeds its {prompts} prompts{times}; "
            "lower it or raise corpus.pools.rl_prompt"
        )


def _check_shapes(config: dict) -> None:
    """Heads fit into the hidden size, of the model and of every base policy that has a size of its own."""
    model = config["model"]
    own = {f"policies.{n}": p for n, p in config["policies"].items() if p["kind"] == "base" and SIZES & p.keys()}
    if own and model["base"] != "scratch":
        name, key = next((name, key) for name, policy in own.items() for key in sorted(SIZES & policy.keys()))
        raise InputError(f"config: {name}.{key} sets a size, and model.base {model['base']!r} comes with its own; leave it out")
    for name, policy in {"model": {}, **own}.items() if model["base"] == "scratch" else ():
        size = {**model, **policy}
        if size["hidden"] % (2 * size["heads"]):
            where = {key: f"{name if key in policy else 'model'}.{key}" for key in ("hidden", "heads")}
            raise InputError(
                f"config: {where['hidden']} {size['hidden']} is not a multiple of twice {where['heads']} {size['heads']}; change one of them"
            )


def _in_order(policies: dict) -> dict:
    """Parents first, then by kind and name: an overlay's order in the file is not the order of the tables."""
    return dict(sorted(policies.items(), key=lambda p: (len(lineage(policies, p[0])), list(PARENTS).index(p[1]["kind"]), p[0])))


def held_against(policies: dict, name: str, reference: str) -> str | None:
    """The ancestor of which `name` may keep what it memorized: `reference`, else the first one that was fine-tuned; None without one."""
    before = lineage(policies, name)[:-1]
    return reference if reference in before else next((p for p in before if policies[p]["kind"] in TUNED), None)


def lineage(policies: dict, name: str) -> list[str]:
    """The chain of policies from the base to `name`."""
    chain = [name]
    while "parent" in policies[chain[-1]]:
        chain.append(policies[chain[-1]]["parent"])
    return chain[::-1]
