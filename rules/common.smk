"""Used by all the other files here: the checked config, names of stages and paths, and small helpers.

Needs: config.yaml and overlays.  Makes: nothing.  Steps: check the config, constrain the wildcards, define helpers.
"""

import re
from pathlib import Path

from snakemake.exceptions import WorkflowError

from workflow_scripts.core.config import resolve
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.freshness.reconcile import reconcile
from workflow_scripts.core.job import select


def or_stop(function, *arguments, **options):
    """Call a function; show its InputError as Snakemake shows its own errors, as one sentence."""
    try:
        return function(*arguments, **options)
    except InputError as error:
        raise WorkflowError(str(error)) from None


config = or_stop(resolve, config, f"{workflow.basedir}/rules/schemas/config.schema.yaml")

RUN, SEEDS, ARMS = config["run"], config["seeds"], ["A", "B"]
POLICIES = list(config["policies"])
REWARD_RULES = {"single": "train_reward_model", "smoothed": "train_smoothed", "length_only": "train_length_only"}  # an ensemble has none
REWARDS = {name: reward["type"] for name, reward in config["reward_models"].items() if reward["type"] in REWARD_RULES}
TABLES = ["memorization", "persistence", "contrast", "exposure", "extraction_probability", "membership", "recovery", "secret_types"]
TABLES += ["reward_gap", "utility", "leaderboard", "audit", "parity", "cost"]
FIGURES = ["workflow", "memorization", "dose_response", "shift", "contrast", "frontier", "context"]


def any_of(names):
    """A wildcard constraint: one of the names, or nothing where there are none."""
    return "|".join(re.escape(str(n)) for n in names) or "(?!)"


def kind(*kinds):
    """Names of the policies of these kinds, as a wildcard constraint."""
    return any_of(p for p in POLICIES if config["policies"][p]["kind"] in kinds)


def reward_kind(kind):
    """Names of the reward models of this kind, as a wildcard constraint."""
    return any_of(name for name in REWARDS if REWARDS[name] == kind)


def keys(*paths):
    """Params function: the config values at the dotted `paths`, in which `{wildcard}` is filled in."""
    return lambda wildcards: select(config, paths, dict(wildcards.items()))


def needs(rule_name):
    """Resources of a rule from the config; Snakemake lowers `threads` to --cores, torch_threads stays, so that the bytes stay too."""
    declared = config["resources"].get(rule_name, config["resources"]["default"])
    return {"torch_threads": declared["threads"], **{k: v for k, v in declared.items() if k != "threads"}}


def threads_of(rule_name):
    """Threads of a rule from the config."""
    return config["resources"].get(rule_name, config["resources"]["default"])["threads"]


def own_source(path):
    """A file or folder of the user's as an input whose content counts and whose time does not; nothing where it is not on this machine."""
    here = Path(path or "").expanduser()
    return ancient(str(here)) if path and here.exists() else []


def model_of(policy, arm="{arm}", seed="{seed}"):
    """Checkpoint of a policy; what no arm has planted is trained once for both."""
    folder = "shared" if config["policies"][policy]["kind"] == "base" else arm
    return f"results/{RUN}/models/{folder}/{seed}/{policy}"


def model(wildcards):
    """Checkpoint of the job's policy."""
    return model_of(wildcards.policy, wildcards.arm, wildcards.seed)


def parent(wildcards):
    """Checkpoint of the policy that the job's policy starts from."""
    return model_of(config["policies"][wildcards.policy]["parent"], wildcards.arm, wildcards.seed)


def reward_named(name, arm="{arm}", seed="{seed}"):
    """Checkpoints of a reward model, which are those of its members where it is an ensemble."""
    members = config["reward_models"][name].get("members", [name])
    return [f"results/{RUN}/models/{arm}/{seed}/{member}" for member in members]


def reward_of(wildcards):
    """Checkpoints of the reward model that the job's policy is trained against."""
    return reward_named(config["policies"][wildcards.policy]["reward_model"], wildcards.arm, wildcards.seed)


def spec_of(name):
    """What a reward model is to those who use it, apart from its checkpoints."""
    return {k: v for k, v in config["reward_models"][name].items() if k in ("kind", "aggregate", "uncertainty_coef")}


def reward_spec(wildcards):
    """The same of the reward model that the job's policy is trained against."""
    return spec_of(config["policies"][wildcards.policy]["reward_model"])


def reward_parent(wildcards):
    """Checkpoint of the policy that the job's reward model starts from."""
    return model_of(config["reward_models"][wildcards.reward]["parent"], wildcards.arm, wildcards.seed)


wildcard_constraints:
    run=any_of([RUN]),
    arm=any_of(ARMS),
    seed=any_of(SEEDS),
    policy=any_of(POLICIES),
    reward=any_of(REWARDS),
