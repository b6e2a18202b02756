"""The jobs of the tiny run and what each of them reads. Nothing here asks the rules: stages up to the rows are written down by hand,
tables and figures read what the parameters of their functions name.
"""

import inspect
from fnmatch import fnmatchcase

from tests.unit.results.figures.drawing import FIGURES
from workflow_scripts.core.results.tables.registry import MODULES

ARMS = ("A", "B")
POLICIES = {  # name: (method, parent), as in config.yaml
    "base": ("base", None),
    "sft": ("sft", "base"),
    "sft_chosen": ("sft", "sft"),
    "ppo": ("ppo", "sft"),
    "ipo": ("ipo", "sft"),
}
OF_RUN = {table: module for table, module in MODULES.items() if table != "one_arm"}  # that one needs a policy of one arm alone
TABLES = {f"summarize_{table}": {*inspect.signature(module.summarize).parameters} for table, module in OF_RUN.items()}
PLOTS = {f"plot_{figure}": {*inspect.signature(plot).parameters} for figure, plot in FIGURES.items()}
# patterns: the tables that hold intervals, those of every policy, the figures of either or of rows; the ladder is of none, as no two
# policies differ in their learning rate alone
OF_INTERVALS = " ".join(table for table, takes in TABLES.items() if "confidence" in takes)
OF_POLICIES = " ".join(sorted(TABLES.keys() - {"summarize_parity", "summarize_reward_accuracy", "summarize_ladder"}))
OF_TABLES = " ".join(figure for figure, takes in PLOTS.items() if takes & {"extraction", *MODULES})


def dag(policies: dict = POLICIES, *, seeds=(0,), sampler: str = "sft", reward_parent: str = "sft", reference: str = "sft") -> dict:
    """{job: the jobs whose artifacts it reads}. A job is its rule and its wildcards without the run: train_ppo-A-0-ppo."""
    chains = [(arm, seed) for arm in ARMS for seed in seeds]
    snippets, words, canaries, audit = "extract_snippets", "train_tokenizer", "plant_canaries", "audit_canaries"
    code = "tokenize_code"

    def model(policy: str, arm: str, seed: int) -> str:
        method = policies[policy][0]
        return f"train_base-{seed}-{policy}" if method == "base" else f"train_{method}-{arm}-{seed}-{policy}"

    def root(policy: str) -> str:
        parent = policies[policy][1]
        return root(parent) if parent else policy

    reads = {"collect_corpus": set(), snippets: {"collect_corpus"}, words: {snippets}, canaries: {snippets, words}, "plot_workflow": set()}
    reads[code] = {snippets, words}
    reads |= {f"plant_arm-{arm}": {snippets, words, canaries} for arm in ARMS}
    reads["sample_reference_fillings"] = {snippets, canaries, words}
    reads[audit] = {canaries, code, *(f"plant_arm-{arm}" for arm in ARMS)}
    for arm, seed in chains:
        sets, pairs, judge = f"plant_arm-{arm}", f"sample_preferences-{arm}-{seed}", f"train_reward_single-{arm}-{seed}-reward_model"
        reads[pairs] = {model(sampler, arm, seed), words, sets, code, canaries}
        reads[judge] = {model(reward_parent, arm, seed), words, pairs}
        reads[f"judge_pairs-{arm}-{seed}-reward_model"] = {pairs, judge, words}
        for policy, (method, parent) in policies.items():
            made, chain = model(policy, arm, seed), f"{arm}-{seed}-{policy}"
            if method == "base":
                reads[made] = {code, words}
            else:
                start = model(parent, arm, seed)
                reads[made] = {"sft": {audit, start, words, sets}, "ppo": {start, judge, words, sets}, "ipo": {start, words, pairs}}[method]
            probe, beside = (f"probe_policy-shared-{seed}-{policy}", ARMS[0]) if method == "base" else (f"probe_policy-{chain}", arm)
            asked = {"sample_reference_fillings", *(f"sample_preferences-{either}-{seed}" for either in ARMS)}
            reads[probe] = {
                made,
                model(root(policy), arm, seed),
                model(reference, beside, seed),
                words,
                canaries,
                code,
                *asked,
            }
            reads[f"score_rewards-{chain}"] = {judge, words, canaries, code, probe}
    for policy in policies:
        scored = {f"score_rewards-{arm}-{seed}-{policy}" for arm, seed in chains}
        probed = set().union(*({job for job in reads[score] if job.startswith("probe_policy")} for score in scored))
        reads[f"collect_extraction-{policy}"] = {canaries, *scored, *probed}
    parity = f"probe_parity-A-{seeds[0]}-{reference}"
    reads[parity] = {model(reference, "A", seeds[0]), words, canaries, code}
    paid, rows = set(reads) - {"plot_workflow"}, {f"collect_extraction-{policy}" for policy in policies}
    made_by = {"extraction": rows, "evaluation": rows, "shown": {"summarize_audit"}, **{table: {f"summarize_{table}"} for table in MODULES}}
    reads |= {job: set().union(*(made_by.get(name, ()) for name in takes)) for job, takes in {**TABLES, **PLOTS}.items()}
    reads["summarize_cost"] = paid
    aligned = {f"collect_extraction-{policy}" for policy, (method, _) in policies.items() if method != "base"}
    reads["summarize_leaderboard"] = {*aligned, "summarize_utility"}
    reads["summarize_reward_gap"] = {f"collect_extraction-{reference}", "summarize_audit"}
    reads["summarize_audit"] = {audit, canaries, code, *(f"plant_arm-{arm}" for arm in ARMS)}
    reads["summarize_on_policy"] = {f"score_rewards-{arm}-{seed}-{policy}" for arm, seed in chains for policy in policies}
    reads["summarize_ladder"] = set()
    reads["summarize_reward_accuracy"] = {f"judge_pairs-{arm}-{seed}-reward_model" for arm, seed in chains}
    reads["summarize_parity"] = {parity}
    reads["render_report"] = {*TABLES, *paid, *PLOTS, *rows}
    reads["render_summary"] = {*TABLES, "extract_snippets", words}
    return reads


def matching(reads: dict, patterns: str) -> set[str]:
    """The jobs that one of the space-separated patterns names; every pattern must name one."""
    found = {pattern: {job for job in reads if fnmatchcase(job, pattern)} for pattern in patterns.split()}
    assert all(found.values()), found
    return set().union(*found.values())


def closure(reads: dict, stale: set[str]) -> set[str]:
    """`stale` and every job that depends on one of them."""
    found = set(stale)
    while more := {job for job, parents in reads.items() if job not in found and parents & found}:
        found |= more
    return found


def behind(reads: dict, patterns: str) -> set[str]:
    """The jobs that run when those named by the patterns are stale: they, and what depends on them."""
    return closure(reads, matching(reads, patterns))


def before(reads: dict, patterns: str) -> set[str]:
    """The jobs named by the patterns, and those that they depend on."""
    found = matching(reads, patterns)
    while more := set().union(*(reads[job] for job in found)) - found:
        found |= more
    return found
