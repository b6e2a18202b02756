"""The checked config, names of stages and paths, and small helpers: what the other files here use.

Needs: config.yaml and overlays.  Makes: nothing.  Steps: check the config, constrain the wildcards, define helpers.
"""

import gc
import re
import sys
from functools import partial
from pathlib import Path

gc.freeze()  # what Snakemake has loaded stays; looking through it for garbage takes a fifth of a dry run
sys.path.insert(0, str(workflow.basedir))  # the modules beside this Snakefile, and not another checkout's that PYTHONPATH names

from workflow_scripts.core.config.design import completion_room
from workflow_scripts.core.config.elsewhere import arms_of, is_external, one_armed, places
from workflow_scripts.core.config.files import read
from workflow_scripts.core.config.references import lineage, memory_reference, sweeps
from workflow_scripts.core.config.resolve import resolve
from workflow_scripts.core.data.secrets import check_secrets
from workflow_scripts.core.data.sources import check_source, counting_endings
from workflow_scripts.core.data.sources.packages import versions
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.freshness.reconcile import reconcile
from workflow_scripts.core.job import select
from workflow_scripts.core.methods import REWARD_TYPES, learning_from
from workflow_scripts.core.training.external_files import check_external, named_base
from workflow_scripts.core.training.model_files import check_model
from workflow_scripts.core.user_files import user_path
from workflow_scripts.overlays import check_command


def or_stop(function, *arguments, **options):
    """Call a function; exit with its InputError, one sentence on stderr."""
    try:
        return function(*arguments, **options)
    except InputError as error:
        sys.exit(f"canaryflow: {error}")


if not Path(sys.modules["workflow_scripts"].__file__).is_relative_to(Path(workflow.basedir).resolve()):
    sys.exit(f"canaryflow: {sys.modules['workflow_scripts'].__file__} is of another checkout; run snakemake in the folder of its Snakefile")
if {*"{}"} & {*str(workflow.basedir)}:
    sys.exit(f"canaryflow: {workflow.basedir} has a brace in its path, which Snakemake takes for a wildcard; rename the folder")
if workflow.is_main_process:
    check_command()
    or_stop(read, f"{workflow.basedir}/config.yaml")


configfile: f"{workflow.basedir}/config.yaml"


config = or_stop(resolve, config, f"{workflow.basedir}/rules/schemas/config.schema.yaml")

RUN, SEEDS, ARMS = config["run"], config["seeds"], ["A", "B"]
POLICIES = list(config["policies"])
ALONE = one_armed(config["policies"])  # policies with a checkpoint in one arm alone, which have no counterfactual
PAIRED = [name for name in POLICIES if name not in ALONE]
REFERENCE = config["report"]["reference_policy"]
REWARDS = [name for name, r in config["reward_models"].items() if REWARD_TYPES[r["type"]].is_learnt]
DATA, MODELS = "../envs/data.yaml", "../envs/train.yaml"  # conda environments


def any_of(names):
    """A wildcard constraint: one of the names, or nothing where there are none."""
    return "|".join(re.escape(str(name)) for name in names) or "(?!)"


def policies_of(*methods):
    """The policies of these methods, as a wildcard constraint."""
    return any_of(name for name in POLICIES if config["policies"][name]["method"] in methods)


def rewards_of(reward_type):
    """The reward models of this type, as a wildcard constraint."""
    return any_of(name for name in REWARDS if config["reward_models"][name]["type"] == reward_type)


def config_params(*paths):
    """Params function: the config values at the dotted `paths`, in which `{wildcard}` is filled in. A script sees no others."""
    return lambda wildcards: select(config, paths, dict(wildcards.items()))


def resources_of(*, accelerator):
    """Whether a rule's jobs want an accelerator. How many there are is a profile's `resources: [gpu=N]`, with 0 for none."""
    return {"gpu": int(accelerator), "checkpoint_percent": config["checkpoint_percent"]}


def policy_threads(wildcards):
    """Threads of a policy's training. Snakemake may lower them to --cores; the job uses the config's, so that the bytes stay."""
    return config["policies"][wildcards.policy]["threads"]


def reward_threads(wildcards):
    """Threads of a reward model's training."""
    return config["reward_models"][wildcards.reward].get("threads", 1)


def own_files(key, path, endings=None):
    """Files of the user's, for the param `own`: where they are and which of them count. No input: Snakemake reads paths as patterns."""
    return [str(or_stop(user_path, path, key)), endings] if path else None


def policy_checkpoint(policy, arm="{arm}", seed="{seed}"):
    """Checkpoint of a policy; a base policy, which sees no canary, is trained once for both arms."""
    folder = "shared" if config["policies"][policy]["method"] == "base" else arm
    return f"results/{RUN}/models/{folder}/{seed}/{policy}"


def own_checkpoint(wildcards):
    """Checkpoint of the job's policy."""
    return policy_checkpoint(wildcards.policy, wildcards.arm, wildcards.seed)


def base_checkpoint(wildcards):
    """Checkpoint of the base policy that the job's policy descends from."""
    return policy_checkpoint(lineage(config["policies"], wildcards.policy)[0], wildcards.arm, wildcards.seed)


def external_paths(wildcards):
    """{path, adapter_base} of a checkpoint that was trained elsewhere; an adapter that is here may name its base itself."""
    name, key = wildcards["policy"], f"policies.{wildcards['policy']}.path"
    paths = places(config["policies"][name], arm=wildcards["arm"], seed=wildcards["seed"])
    return {**paths, "adapter_base": paths["adapter_base"] or named_base(or_stop(user_path, paths["path"], key))}


def external_files(wildcards):
    """Its files, for the param `own`."""
    return {k: own_files(f"policies.{wildcards.policy}.{k}", path) for k, path in external_paths(dict(wildcards.items())).items()}


def chains_of(*policies):
    """(policy, arm, seed) of every checkpoint that is probed."""
    return [(name, arm, seed) for name in policies for arm in arms_of(config["policies"][name]) for seed in SEEDS]


def probed(file):
    """An input function: this file of the probes of each of the policy's checkpoints."""
    return lambda wildcards: [f"results/{RUN}/probes/{a}/{s}/{p}/{file}.parquet" for p, a, s in chains_of(wildcards.policy)]


def parent_checkpoint(wildcards):
    """Checkpoint of the policy that the job's policy or reward model starts from."""
    section, name = ("policies", wildcards.policy) if "policy" in wildcards.keys() else ("reward_models", wildcards.reward)
    return policy_checkpoint(config[section][name]["parent"], wildcards.arm, wildcards.seed)


def reward_checkpoints(name, arm="{arm}", seed="{seed}"):
    """Checkpoints of a reward model, or of its members where it is an ensemble; of those of them that have one."""
    members = config["reward_models"][name].get("members", [name])
    return [f"results/{RUN}/models/{arm}/{seed}/{member}" for member in members if member in REWARDS]


def reward_truths(name, arm="{arm}"):
    """Where the true continuations stand, for a reward model that knows them; nothing for any other."""
    members = [config["reward_models"][member] for member in config["reward_models"][name].get("members", [name])]
    planted = f"results/{RUN}/planted"
    files = [f"{planted}/canaries.parquet", f"{planted}/clean.parquet", f"{planted}/evaluation.parquet", f"{planted}/{arm}/preference.parquet"]
    return files if any(REWARD_TYPES[member["type"]].knows_truth for member in members) else []


def least_room():
    """[setting, tokens] of the shortest completions that training samples."""
    return list(min(completion_room(config).items(), key=lambda item: item[1]))


def reward_spec(name):
    """What the users of a reward model need to know of it, besides its checkpoints: nothing of how it was trained."""
    reward = config["reward_models"][name]
    spec = {"language": config["corpus"]["language"], **{k: v for k, v in reward.items() if k in ("type", "aggregate", "uncertainty_coef")}}
    return spec | ({"members": [config["reward_models"][member]["type"] for member in reward["members"]]} if "members" in reward else {})


def used_reward(wildcards):
    """The reward model that the job judges, or that its policy is trained with."""
    return wildcards.judged if "judged" in wildcards.keys() else config["policies"][wildcards.policy]["reward_model"]


def used_checkpoints(wildcards):
    """Its checkpoints."""
    return reward_checkpoints(used_reward(wildcards), wildcards.arm, wildcards.seed)


def used_truths(wildcards):
    """The truths that it knows."""
    return reward_truths(used_reward(wildcards), wildcards.arm)


def used_spec(wildcards):
    """What the job needs to know of it."""
    return reward_spec(used_reward(wildcards))


def training_set(wildcards):
    """The examples that the job's SFT or LoRA policy learns from; clean code is the same in both arms."""
    data = config["policies"][wildcards.policy]["data"]
    return f"results/{RUN}/planted/{data}.parquet" if data == "clean" else f"results/{RUN}/planted/{wildcards.arm}/{data}.parquet"


def caption(name):
    """The text beside a file in Snakemake's own report. Only that report reads it, so it is missed here, before any work."""
    file = f"report/{name}.rst"
    if not Path(workflow.basedir, "rules", file).is_file():
        sys.exit(f"canaryflow: rules/{file} is missing; say there in one or two plain sentences what it shows")
    return file


def table_csv(name):
    """The CSV of a table, which Snakemake's own report shows with its caption."""
    return report(f"results/{{run}}/tables/{name}.csv", caption=caption(f"tables/{name}"), category="Tables", labels={"table": name})


def figure_files(name):
    """The two forms of a figure; Snakemake's own report shows the first with its caption."""
    path = f"results/{{run}}/figures/{name}"
    svg = report(f"{path}.svg", caption=caption(f"figures/{name}"), category="Figures", labels={"figure": name})
    return {"svg": svg, "png": f"{path}.png"}


def receipts_of_costs():
    """Receipts of every job up to the extraction rows: what each of them cost."""
    once = ["collect_corpus", "extract_snippets", "train_tokenizer", "tokenize_code", "plant_canaries", "audit_canaries"]
    jobs = [*once, "sample_reference_fillings", *(f"plant_arm/{arm}" for arm in ARMS), *(f"collect_extraction/{p}" for p in POLICIES)]
    chains = [f"{arm}/{seed}" for arm in ARMS for seed in SEEDS]
    for policy, settings in config["policies"].items():
        own = SEEDS if settings["method"] == "base" else [f"{arm}/{seed}" for _, arm, seed in chains_of(policy)]
        jobs += [f"train_{settings['method']}/{chain}/{policy}" for chain in own]
    for chain in chains:
        jobs += [f"train_reward_{config['reward_models'][name]['type']}/{chain}/{name}" for name in REWARDS]
        jobs += [f"judge_pairs/{chain}/{name}" for name in config["reward_models"]]
        jobs.append(f"sample_preferences/{chain}")
    jobs += [f"{step}/{arm}/{seed}/{p}" for step in ("probe_policy", "score_rewards") for p, arm, seed in chains_of(*POLICIES)]
    return [f"results/{RUN}/receipts/{job}.json" for job in [*jobs, f"probe_parity/{ARMS[0]}/{SEEDS[0]}/{REFERENCE}"]]


wildcard_constraints:
    run=any_of([RUN]),
    arm=any_of(ARMS),
    seed=any_of(SEEDS),
    policy=any_of(POLICIES),
    reward=any_of(REWARDS),
