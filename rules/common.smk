"""The checked config, names of stages and paths, and small helpers: what the other files here use.

Needs: config.yaml and overlays.  Makes: nothing.  Steps: check the config, constrain the wildcards, define helpers.
"""

import gc
import re
import sys
from pathlib import Path

from snakemake.utils import update_config

gc.freeze()  # what Snakemake has loaded stays; looking through it for garbage takes a fifth of a dry run
PROJECT = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent  # here, also where another workflow uses this one as a module
if not Path(PROJECT, "workflow_scripts").is_dir():
    sys.exit(f"canaryflow: {PROJECT} is no folder on this machine; clone the project, and name its Snakefile in the module")
sys.path.insert(0, str(PROJECT))  # the modules beside this Snakefile, and not another checkout's that PYTHONPATH names

from workflow_scripts.core.config.elsewhere import one_armed
from workflow_scripts.core.config.files import read
from workflow_scripts.core.config.layout import ARMS, SHARED, Layout
from workflow_scripts.core.config.outside import EXTRACTED, Outside, or_stop
from workflow_scripts.core.config.references import lineage, memory_reference, sweeps
from workflow_scripts.core.config.resolve import resolve
from workflow_scripts.core.data.sources.packages import versions
from workflow_scripts.core.estimate.requests import Requests
from workflow_scripts.core.freshness import snakemake_adapter as adapter
from workflow_scripts.core.freshness.reconcile import reconcile
from workflow_scripts.core.job import select
from workflow_scripts.core.methods import REWARD_TYPES, learning_from
from workflow_scripts.overlays import check_command

if not Path(sys.modules["workflow_scripts"].__file__).is_relative_to(PROJECT.resolve()):
    sys.exit(f"canaryflow: {sys.modules['workflow_scripts'].__file__} is of another checkout; run snakemake in the folder of its Snakefile")
if {*"{}"} & {*str(PROJECT)}:
    sys.exit(f"canaryflow: {PROJECT} has a brace in its path, which Snakemake takes for a wildcard; rename the folder")
if adapter.is_module(workflow):  # which reads no configfile
    overlay, config = config, or_stop(read, f"{PROJECT}/config.yaml")
    update_config(config, overlay)
elif workflow.is_main_process:
    check_command(workflow.overwrite_configfiles)
    or_stop(read, f"{PROJECT}/config.yaml")


configfile: f"{PROJECT}/config.yaml"


config = or_stop(resolve, config, f"{PROJECT}/rules/schemas/config.schema.yaml")

layout = Layout(config)  # where the run keeps what
outside = Outside(config, layout)  # what it reads of the user's
RUN, SEEDS = config["run"], config["seeds"]
POLICIES = list(config["policies"])
ALONE = one_armed(config["policies"])  # policies with a checkpoint in one arm alone, which have no counterfactual
PAIRED = [name for name in POLICIES if name not in ALONE]
REFERENCE = config["report"]["reference_policy"]
REQUESTS = or_stop(Requests, config, cards=adapter.accelerators(workflow))
DATA, MODELS = "../envs/data.yaml", "../envs/train.yaml"  # conda environments


def any_of(names):
    """A wildcard constraint: one of the names, or nothing where there are none."""
    return "|".join(re.escape(str(name)) for name in names) or "(?!)"


def policies_of(*methods):
    """The policies of these methods, as a wildcard constraint."""
    return any_of(name for name in POLICIES if config["policies"][name]["method"] in methods)


def rewards_of(reward_type):
    """The reward models of this type, as a wildcard constraint."""
    return any_of(name for name in layout.learnt if config["reward_models"][name]["type"] == reward_type)


def config_params(*paths):
    """Params function: the config values at the dotted `paths`, in which `{wildcard}` is filled in. A script sees no others."""
    return lambda wildcards: select(config, paths, dict(wildcards.items()))


def resources_of(rule):
    """What jobs with a model ask for: memory and time by core/estimate, and an accelerator for each worker, of which a profile's `resources: [gpu=N]`
    says how many there are, with 0 for none.
    """
    same_result = {"checkpoint_percent": config["checkpoint_percent"], "cuda_graphs": int(config["cuda_graphs"])}
    return {**same_result, **REQUESTS.of(rule)}


def threads_of(rule):
    """Threads of a rule's jobs. Snakemake may lower them to --cores; the job uses the config's, so that the bytes stay."""
    return lambda wildcards: REQUESTS.threads(rule, wildcards)


def caption(name):
    """The text beside a file in Snakemake's own report. Only that report reads it, so it is missed here, before any work."""
    file = f"report/{name}.rst"
    if not Path(PROJECT, "rules", file).is_file():
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


wildcard_constraints:
    run=any_of([RUN]),
    arm=any_of(ARMS),
    seed=any_of(SEEDS),
    policy=any_of(POLICIES),
    reward=any_of(layout.learnt),
