"""What runs after what a user did, and nothing else: each scenario starts from the finished tiny run.

The jobs that are expected come from tests/workflow/stages.py, written by hand: those that the scenario makes stale itself, and all
that depend on them. Tables of scenarios: title: (what it makes stale itself, what the run says about it, what the user does).
"""

import os
import re
import shutil

import pytest

from tests.workflow import stages
from tests.workflow.scenarios import CONFIG, CORE, KL, RATE, RESULTS, SCRIPTS, TINY, both, edit, note, remove, rows

LETTERS = """import pyarrow as pa

COLUMNS = {"letters": pa.int32()}
ROLES = ("canary",)


def measure(answer):
    return dict(letters=len(answer.completion))
"""
MEASURES = ("code", "completion", "divergence", "exposure", "extraction", "likelihood", "overlap")
PROBING = ("answer", "schemas", "policy", *(f"measures/{name}" for name in MEASURES))
DAG = stages.dag()


@pytest.fixture
def outcome(repository):
    """What a dry run says after a change in a copy of the finished repository."""

    def of(change):
        change(repository)
        return repository.run("--dry-run")

    return of


def expect(run, jobs, says=""):
    """A dry run lists exactly these jobs, and says why."""
    assert run.status == 0, run.said[-6000:]
    assert run.jobs == jobs
    assert any(says in line for line in run.said.splitlines() if " is stale: " in line or not says), run.said


# -------------------------------------------------------------------------------------------------------------------- settings

SETTINGS = {
    "KL penalty of one policy": (
        "train_ppo-*",
        "train_ppo-tiny-B-0-ppo is stale: config policies.ppo.kl_coef: 0.05 -> 0.1",
        edit(CONFIG, "ppo: {method: ppo, parent: sft}", "ppo: {method: ppo, parent: sft, kl_coef: 0.1}"),
    ),
    "confidence of the intervals": (
        stages.OF_INTERVALS,
        "summarize_utility-tiny is stale: config report.confidence: 0.95 -> 0.9",
        edit(CONFIG, "confidence: 0.95", "confidence: 0.9"),
    ),
    "when a completion counts as memorized": (
        "probe_policy-* collect_extraction-*",
        "config probes.memorized_distance: 0.1 -> 0.2",
        edit(CONFIG, "memorized_distance: 0.1", "memorized_distance: 0.2"),
    ),
    "temperature of the preference pairs": (
        "sample_preferences-*",
        "config preferences.temperature: 1.0 -> 0.7",
        edit(CONFIG, "is rejected\n  temperature: 1.0", "is rejected\n  temperature: 0.7"),
    ),
    "width of the model": ("train_base-*", "config model.hidden: 32 -> 48", edit(TINY, "hidden: 32", "hidden: 48")),
    "seed of the corpus": (
        "extract_snippets",
        "config corpus.seed: 0 -> 1",
        edit(CONFIG, "  seed: 0\n  split_by", "  seed: 1\n  split_by"),
    ),
    "doses of the canaries": ("plant_canaries", "config canaries.doses: [1, 4] -> [1, 2]", edit(TINY, "doses: [1, 4]", "doses: [1, 2]")),
    "weight decay of SFT": (
        "train_sft-*",
        "config policies.sft_chosen.weight_decay: 0.0 -> 0.1",
        edit(CONFIG, "learning_rate: 5.0e-4, data: sft}", "learning_rate: 5.0e-4, data: sft, weight_decay: 0.1}"),
    ),
    "when a policy counts as collapsed": (
        "summarize_utility summarize_ladder plot_frontier",
        "config report.collapse_limits.perplexity_ratio: 1.5 -> 2.0",
        edit(CONFIG, "perplexity_ratio: 1.5 ", "perplexity_ratio: 2.0 "),
    ),
    "batch size of the probes": (
        "probe_policy-* judge_pairs-* score_rewards-*",
        "score_rewards-tiny-B-0-ipo is stale: config probes.batch_size: 256 -> 32",
        edit(CONFIG, "in bf16\n  batch_size: 256 ", "in bf16\n  batch_size: 32 "),
    ),
    "prompt conditions": (
        "probe_policy-*",
        'config probes.prompts: ["fim", "fim_no_end", "fim_no_suffix", "fim_50"] -> ["fim", "prefix"]',
        edit(CONFIG, "prompts: [fim, fim_no_end, fim_no_suffix, fim_50]", "prompts: [fim, prefix]"),
    ),
    "number of reference fillings": (
        "sample_reference_fillings",
        "config probes.reference_fillings: 7 -> 9",
        edit(TINY, "reference_fillings: 7", "reference_fillings: 9"),
    ),
    "n of the (n, p) extraction": (
        "summarize_extraction_probability",
        "config probes.extraction_n",
        edit(CONFIG, "extraction_n: [1, 10, 100, 1000, 10000]", "extraction_n: [1, 10]"),
    ),
    "which policies are contrasted": (
        "summarize_contrast",
        'config report.contrasts: null -> [["ipo", "ppo"]]',
        edit(CONFIG, "contrasts: null ", "contrasts: [[ipo, ppo]] "),
    ),
    "learning rate of the reward model": (
        "train_reward_single-*",
        "config reward_models.reward_model.learning_rate: 0.001 -> 0.002",
        edit(CONFIG, *RATE),
    ),
    "vocabulary": ("train_tokenizer", "config model.vocabulary: 512 -> 520", edit(TINY, "vocabulary: 512", "vocabulary: 520")),
    "licence of the corpus": ("collect_corpus", 'config corpus.licence: null -> "MIT"', edit(CONFIG, "licence: null", "licence: MIT")),
    "share of holes in base training": (
        "tokenize_code plant_canaries plant_arm-* sample_reference_fillings",
        "config examples.fim_rate",
        edit(CONFIG, "fim_rate: 0.5", "fim_rate: 0.6"),
    ),
    "KL penalty of the method ppo": (
        "train_ppo-*",
        "train_ppo-tiny-A-0-ppo is stale: config policies.ppo.kl_coef: 0.05 -> 0.1",
        edit(CONFIG, *KL),
    ),
    "beta of IPO": (
        "train_ipo-*",
        "config policies.ipo.beta: 0.5 -> 0.6",
        edit(CONFIG, "beta: 0.5}   # beta is", "beta: 0.6}   # beta is"),
    ),
    "threads of SFT, which its bytes depend on": (
        "train_sft-*",
        "config policies.sft.threads: 1 -> 2",
        edit(CONFIG, "learning_rate: 5.0e-4, data: sft}", "learning_rate: 5.0e-4, data: sft, threads: 2}"),
    ),
    "batch size of all methods that have none of their own": (
        "train_sft-* train_ipo-* train_reward_single-*",
        "config policies.ipo.batch_size: 16 -> 8",
        edit(CONFIG, "batch_size: 16\n  weight_decay", "batch_size: 8\n  weight_decay"),
    ),
    "version of a library that counts": (
        "*",
        "version of python: ",
        both(edit(CONFIG, "rerun_on_version_of: []", "rerun_on_version_of: [python]"), lambda r: other_python(r)),
    ),
}


def other_python(repository):
    """The receipts are of a run with another Python."""
    for path in (repository.folder / RESULTS / "receipts").rglob("*.json"):
        path.write_text(path.read_text().replace('"python": "3.', '"python": "2.'))


@pytest.mark.parametrize(("stale", "says", "change"), rows(SETTINGS, always=4))
def test_setting(outcome, stale, says, change):
    expect(outcome(change), stages.behind(DAG, stale), says)


# ------------------------------------------------------------------------------------------------------------------------ code

CODE = {
    "a measure more": (
        "probe_policy-*",
        "module core/probing/measures/letters.py",
        lambda r: r.write(f"{CORE}/probing/measures/letters.py", LETTERS),
    ),
    "script of a figure": ("plot_shift", "plot_shift-tiny is stale: script plot_shift.py", note(f"{SCRIPTS}/plot_shift.py")),
    "module of PPO": ("train_ppo-*", "train_ppo-tiny-A-0-ppo is stale: module core/training/ppo.py", note(f"{CORE}/training/ppo.py")),
    "module of all trainers by epochs": (
        "train_base-* train_sft-* train_reward_single-* train_ipo-*",
        "module core/training/trainer.py",
        note(f"{CORE}/training/trainer.py"),
    ),
    "words of the canaries, three imports away": (
        "plant_canaries sample_reference_fillings summarize_secret_types render_*",
        "summarize_secret_types-tiny is stale: module core/data/words.py",
        note(f"{CORE}/data/words.py"),
    ),
    "module that every stage uses": ("*", "plot_workflow-tiny is stale: module core/parquet.py", note(f"{CORE}/parquet.py")),
    "an import more": (
        "plot_shift",
        "plot_shift-tiny is stale: module core/results/fresh.py; script plot_shift.py",
        lambda r: (
            r.write(f"{CORE}/results/fresh.py", "X = 1\n"),
            r.append(f"{SCRIPTS}/plot_shift.py", "from workflow_scripts.core.results import fresh  # noqa: E402,F401\n"),
        ),
    ),
    "a module deleted": ("train_ipo-*", "module core/training/ipo.py is gone", remove(f"{CORE}/training/ipo.py")),
    "the page's template": (
        "render_report",
        f"input {CORE}/results/pages/templates/report.html.j2 has other content",
        lambda r: r.append(f"{CORE}/results/pages/templates/report.html.j2", "<!-- end -->\n"),
    ),
    "script of PPO": ("train_ppo-*", "train_ppo-tiny-A-0-ppo is stale: script train_ppo.py", note(f"{SCRIPTS}/train_ppo.py")),
    "script of the probes": ("probe_policy-*", "script probe_policy.py", note(f"{SCRIPTS}/probe_policy.py")),
    "a measure": (
        "probe_policy-*",
        "module core/probing/measures/overlap.py",
        note(f"{CORE}/probing/measures/overlap.py"),
    ),
    "more modules than anybody wants to read about": (
        "probe_*",
        "; and 2 more changes",
        lambda r: [r.append(f"{CORE}/probing/{name}.py") for name in PROBING],
    ),
    "one table": (
        "summarize_recovery render_*",
        "summarize_recovery-tiny is stale: module core/results/tables/recovery.py",
        note(f"{CORE}/results/tables/recovery.py"),
    ),
    "module of IPO": ("train_ipo-*", "module core/training/ipo.py", note(f"{CORE}/training/ipo.py")),
    "module of the drawing style": (
        "plot_*",
        "plot_shift-tiny is stale: module core/results/figures/style.py",
        note(f"{CORE}/results/figures/style.py"),
    ),
    "module of the statistics": (
        f"{stages.OF_INTERVALS} {stages.OF_TABLES} render_*",
        "summarize_contrast-tiny is stale: module core/results/tables/statistics.py",
        note(f"{CORE}/results/tables/statistics.py"),
    ),
    "a package's __init__": (
        f"probe_* judge_pairs-* {stages.OF_INTERVALS} render_*",
        "module core/probing/__init__.py",
        note(f"{CORE}/probing/__init__.py"),
    ),
    "a module in front of a library": (
        "extract_snippets",
        "module datasketch.py",
        lambda r: r.write(f"{SCRIPTS}/datasketch.py", "raise ImportError\n"),
    ),
}


@pytest.mark.parametrize(("stale", "says", "change"), rows(CODE, always=5))
def test_code(outcome, stale, says, change):
    expect(outcome(change), stages.behind(DAG, stale), says)


# ----------------------------------------------------------------------------------------------------------------------- rules

REPORT = "rules/report.smk"
MANIFEST = 'manifest="results/{run}/corpus/manifest.json",'
RULES = {
    "a param more": (
        "plot_shift",
        "plot_shift-tiny is stale: param dpi: none -> 99",
        edit(REPORT, "        later=LATER,\n", "        later=LATER,\n        dpi=99,\n"),
    ),
    "a param's value": (
        "plot_workflow",
        "plot_workflow-tiny is stale: param policies.base.method",
        edit(REPORT, "{k: p[k] for k in DRAWN if k in p}", "{k: p[k].upper() for k in DRAWN if k in p}"),
    ),
    "a config value less": (
        "collect_extraction-*",
        "config probes.memorized_distance: 0.1 -> none",
        edit("rules/extract.smk", 'config=config_params("probes.memorized_distance"),', "config={},"),
    ),
    "an input more": (
        "plot_memorization",
        f"plot_memorization-tiny is stale: input cost: {RESULTS}/tables/cost.parquet is new",
        edit(REPORT, '"memorization": (["memorization", "utility"], []),', '"memorization": (["memorization", "utility", "cost"], []),'),
    ),
    "an input renamed": (
        "render_report",
        f"input about: {RESULTS}/corpus/manifest.json is new",
        edit(REPORT, f"{MANIFEST}\n        versions", f"{MANIFEST.replace('manifest', 'about', 1)}\n        versions"),
    ),
    "inputs in another order": (
        "render_report",
        "render_report-tiny is stale: input figures: its files are in another order",
        edit(
            REPORT,
            'figures=expand("results/{{run}}/figures/{figure}.svg", figure=FIGURES)',
            'figures=expand("results/{{run}}/figures/{figure}.svg", figure=FIGURES[::-1])',
        ),
    ),
    "an output more": (
        "plot_shift",
        f"output pdf: {RESULTS}/figures/shift.pdf is new",
        edit(REPORT, '**figure_files("shift"),', '**figure_files("shift"),\n        pdf="results/{run}/figures/shift.pdf",'),
    ),
    "another script": (
        "plot_shift",
        f"script: {SCRIPTS}/plot_shift.py -> {SCRIPTS}/plot_other_shift.py",
        both(
            lambda r: shutil.copy(r.folder / SCRIPTS / "plot_shift.py", r.folder / SCRIPTS / "plot_other_shift.py"),
            edit(REPORT, "../workflow_scripts/plot_shift.py", "../workflow_scripts/plot_other_shift.py"),
        ),
    ),
}


@pytest.mark.parametrize(("stale", "says", "change"), rows(RULES, always=3))
def test_rule(outcome, stale, says, change):
    expect(outcome(change), stages.behind(DAG, stale), says)


# ------------------------------------------------------------------------------------------------------------------- artifacts


def flip_a_byte(path):
    """Another content of the same size, with the times that it had."""

    def change(repository):
        file = repository.folder / path
        stat, data = file.stat(), bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    return change


def replace_folder(path, other):
    return lambda r: (shutil.rmtree(r.folder / path), shutil.copytree(r.folder / other, r.folder / path))


def rewrite(job, change):
    """The text of a job's receipt changed."""
    return lambda r: r.receipt(job).write_text(change(r.receipt(job).read_text()))


CONFLICT = "<<<<<<< HEAD\n{0}=======\n{0}>>>>>>> other\n"
ARTIFACTS = {
    "weights damaged, size and time as before": (
        "train_ppo-A-0-ppo",
        f"train_ppo-tiny-A-0-ppo is stale: output {RESULTS}/models/A/0/ppo is not what the job wrote",
        flip_a_byte(f"{RESULTS}/models/A/0/ppo/model.safetensors"),
    ),
    "a table corrected by hand": (
        "summarize_utility",
        f"output {RESULTS}/tables/utility.csv is not",
        lambda r: r.append(f"{RESULTS}/tables/utility.csv", "me,0\n"),
    ),
    "a file less in a checkpoint": (
        "train_sft-B-0-sft_chosen",
        f"output {RESULTS}/models/B/0/sft_chosen is not",
        remove(f"{RESULTS}/models/B/0/sft_chosen/config.json"),
    ),
    "receipt deleted": (
        "train_ppo-A-0-ppo",
        "train_ppo-tiny-A-0-ppo is stale: it has no valid receipt",
        lambda r: r.receipt("train_ppo-A-0-ppo").unlink(),
    ),
    "receipt with conflict markers": (
        "summarize_utility",
        "it has no valid receipt",
        rewrite("summarize_utility", lambda text: text.replace(' "code": {\n', CONFLICT.format(' "code": {\n'))),
    ),
    "receipt that lost most of it in a merge": (
        "probe_policy-B-0-sft",
        "it has no valid receipt",
        rewrite("probe_policy-B-0-sft", lambda text: '{"version": 2, "rule": "probe_policy"}'),
    ),
    "receipt of the other arm": (
        "train_reward_single-A-0-reward_model",
        'train_reward_single-tiny-A-0-reward_model is stale: wildcard arm: "B" -> "A"',
        lambda r: shutil.copy(r.receipt("train_reward_single-B-0-reward_model"), r.receipt("train_reward_single-A-0-reward_model")),
    ),
    "a checkpoint deleted that an edit needs": (
        "train_sft-A-0-sft train_ppo-*",
        "train_ppo-tiny-A-0-ppo is stale: config policies.ppo.kl_coef",
        both(edit(CONFIG, *KL), remove(f"{RESULTS}/models/A/0/sft")),
    ),
    "the other arm's weights": (
        "train_ipo-A-0-ipo",
        f"output {RESULTS}/models/A/0/ipo is not",
        replace_folder(f"{RESULTS}/models/A/0/ipo", f"{RESULTS}/models/B/0/ipo"),
    ),
    "a file more in the tokenizer": (
        "train_tokenizer",
        f"output {RESULTS}/tokenizer is not",
        lambda r: r.write(f"{RESULTS}/tokenizer/notes.txt", "mine"),
    ),
    "rows cut off": (
        "collect_extraction-sft",
        f"output {RESULTS}/extraction/sft.parquet is not",
        lambda r: os.truncate(r.folder / RESULTS / "extraction/sft.parquet", 1000),
    ),
    "receipt deleted, and all dated to the future": (
        "plot_shift",
        "plot_shift-tiny is stale: it has no valid receipt",
        lambda r: (r.receipt("plot_shift").unlink(), [os.utime(path, (4e9, 4e9)) for path in (r.folder / "results").rglob("*")]),
    ),
    "receipt cut off": ("plot_shift", "it has no valid receipt", rewrite("plot_shift", lambda text: text[: len(text) // 2])),
    "receipt that lost a hash in a merge": (
        "summarize_persistence",
        "it has no valid receipt",
        rewrite("summarize_persistence", lambda text: re.sub(r'(persistence.csv": )"\w+"', r"\1null", text)),
    ),
    "receipts all deleted": ("*", "it has no valid receipt", remove(f"{RESULTS}/receipts")),
}


@pytest.mark.parametrize(("stale", "says", "change"), rows(ARTIFACTS, always=3))
def test_artifact(outcome, stale, says, change):
    expect(outcome(change), stages.behind(DAG, stale), says)


DELETED = {
    "a figure": ("plot_shift", remove(f"{RESULTS}/figures/shift.svg")),
    "the page": ("render_report", remove(f"{RESULTS}/report.html")),
    "one of two tables": ("summarize_cost", remove(f"{RESULTS}/tables/cost.csv")),
    "all": ("*", remove("results")),
}


@pytest.mark.parametrize(("stale", "change"), rows(DELETED, always=2))
def test_deleted_result(outcome, stale, change):
    expect(outcome(change), stages.behind(DAG, stale))


# -------------------------------------------------------------------------------------------------------------------- policies

IPO = "  ipo: {method: ipo, parent: sft}\n"
PPO = "  ppo: {method: ppo, parent: sft}\n"
CHOSEN = "  sft_chosen: {method: sft, parent: sft, data: preference}\n"


def policies(**changes):
    """The policies with these entries changed, added or (None) removed."""
    return {name: entry for name, entry in {**stages.POLICIES, **changes}.items() if entry}


POLICIES = {
    "added": (
        stages.dag(policies(ppo_kl_0_1=("ppo", "sft"))),
        "*-ppo_kl_0_1 summarize_audit plot_workflow",
        edit(CONFIG, IPO, IPO + "  ppo_kl_0_1: {method: ppo, parent: sft, kl_coef: 0.1}\n"),
    ),
    "removed": (stages.dag(policies(ipo=None)), f"{stages.OF_POLICIES} plot_workflow plot_shift", edit(CONFIG, IPO, "")),
    "renamed": (
        stages.dag(policies(ppo=None, tuned=("ppo", "sft"))),
        "*-tuned summarize_audit plot_workflow",
        edit(CONFIG, PPO, "  tuned: {method: ppo, parent: sft}\n"),
    ),
    "of another method": (
        stages.dag(policies(ipo=("sft", "sft"))),
        "train_sft-*-ipo summarize_audit plot_workflow",
        edit(CONFIG, IPO, "  ipo: {method: sft, parent: sft}\n"),
    ),
    "that samples the pairs": (
        stages.dag(sampler="sft_chosen"),
        "sample_preferences-* plot_workflow",
        edit(CONFIG, "sampler: sft", "sampler: sft_chosen"),
    ),
    "trained with a second seed": (
        stages.dag(seeds=(0, 1)),
        "*-1 *-1-* collect_extraction-* summarize_audit",
        edit(CONFIG, "seeds: [0] ", "seeds: [0, 1] "),
    ),
    "set to null": (stages.dag(policies(ipo=None)), f"{stages.OF_POLICIES} plot_workflow plot_shift", edit(CONFIG, IPO, "  ipo: null\n")),
    "of another parent": (
        stages.dag(policies(sft_chosen=("sft", "base"))),
        "train_sft-*-sft_chosen summarize_reward_gap plot_workflow",
        edit(CONFIG, CHOSEN, "  sft_chosen: {method: sft, parent: base, data: preference}\n"),
    ),
    "on other data": (
        DAG,
        "train_sft-*-sft_chosen summarize_audit plot_workflow",
        edit(CONFIG, CHOSEN, "  sft_chosen: {method: sft, parent: sft, data: sft}\n"),
    ),
    "that the reward model starts from": (
        stages.dag(reward_parent="sft_chosen"),
        "train_reward_single-* plot_workflow",
        edit(CONFIG, "{type: single, parent: sft}   # parent:", "{type: single, parent: sft_chosen}   # parent:"),
    ),
    "that is the reference": (
        stages.dag(reference="sft_chosen"),
        "probe_policy-* probe_parity-A-0-sft_chosen summarize_utility summarize_ladder summarize_contrast summarize_reward_gap plot_shift",
        edit(CONFIG, "reference_policy: sft ", "reference_policy: sft_chosen "),
    ),
}


@pytest.mark.parametrize(("reads", "stale", "change"), rows(POLICIES, always=3))
def test_policy(outcome, reads, stale, change):
    expect(outcome(change), stages.behind(reads, stale))


def test_overlay_adds_a_policy(repository):
    sweep = {"ppo_kl_0.1": {"method": "ppo", "parent": "sft", "kl_coef": 0.1}}
    reads = stages.dag(policies(**{"ppo_kl_0.1": ("ppo", "sft")}))
    assert repository.plan(overlay={"policies": sweep}) == stages.behind(reads, "*-ppo_kl_0.1 summarize_audit plot_workflow")
    assert repository.plan() == set()


def test_reward_variants_leave_what_exists_untouched(repository):
    variants = {
        "rm_2": {"type": "single", "parent": "sft", "seed": 1},
        "soft": {"type": "smoothed", "parent": "sft"},
        "length": {"type": "length_only"},
        "worst": {"type": "ensemble", "members": ["reward_model", "rm_2"], "aggregate": "worst"},
    }
    policy = {"method": "ppo", "parent": "sft", "reward_model": "worst"}
    planned = repository.plan(overlay={"reward_models": variants, "policies": {"ppo_worst": policy}})
    made = {job for job in planned if job.startswith(("train_", "sample_", "probe_", "score_", "collect_", "plant_"))}
    chains = [f"{rule}-{arm}-0-ppo_worst" for rule in ("train_ppo", "probe_policy", "score_rewards") for arm in "AB"]
    of_rewards = {"rm_2": "train_reward_single", "soft": "train_reward_smoothed", "length": "train_reward_length_only"}
    assert made == {"collect_extraction-ppo_worst", *chains, *(f"{r}-{arm}-0-{name}" for name, r in of_rewards.items() for arm in "AB")}
    assert repository.plan() == set()


def test_another_judge_scores_again_and_trains_nothing_that_exists(repository):
    planned = repository.plan(overlay={"reward_models": {"length": {"type": "length_only"}}, "report": {"reward_model": "length"}})
    judged = {job for job in DAG if job.startswith("score_rewards-")}
    trained = {job for job in planned if job.startswith(("train_", "sample_", "probe_"))}
    assert judged <= planned and trained == {f"train_reward_length_only-{arm}-0-length" for arm in "AB"}


@pytest.mark.slow
def test_another_aggregate_retrains_those_who_use_the_ensemble_and_none_of_its_members(repository):
    def overlay(aggregate: str) -> dict:
        ensemble = {"type": "ensemble", "members": ["reward_model", "rm_2"], "aggregate": aggregate}
        rewards = {"rm_2": {"type": "single", "parent": "sft", "seed": 1}, "both": ensemble}
        return {"reward_models": rewards, "policies": {"ppo_both": {"method": "ppo", "parent": "sft", "reward_model": "both"}}}

    target = f"{RESULTS}/models/A/0/ppo_both"
    assert repository.execute(target, overlay=overlay("mean")) == {"train_reward_single-A-0-rm_2", "train_ppo-A-0-ppo_both"}
    assert repository.plan(target, overlay=overlay("mean")) == set()
    assert repository.plan(target, overlay=overlay("worst")) == {"train_ppo-A-0-ppo_both"}


def test_another_run_is_made_from_scratch(repository):
    assert repository.plan(overlay={"run": "other"}) == set(DAG)


# --------------------------------------------------------------------------------------------------------- targets and forcing


def test_single_target(repository):
    repository.edit(CONFIG, "confidence: 0.95", "confidence: 0.9")
    repository.edit(CONFIG, *KL)
    ppo = stages.behind(DAG, "train_ppo-*") | stages.behind(DAG, "summarize_utility")
    assert repository.plan(f"{RESULTS}/extraction/ipo.parquet") == set()
    assert repository.plan(f"{RESULTS}/probes/A/0/ppo/rewards.parquet") == ppo & stages.before(DAG, "score_rewards-A-0-ppo")
    assert repository.plan(f"{RESULTS}/tables/utility.csv", f"{RESULTS}/figures/workflow.svg") == ppo & stages.before(
        DAG, "summarize_utility"
    )


def test_forced_rule(repository):
    assert repository.plan("--forcerun", "plot_shift") == stages.behind(DAG, "plot_shift")
    assert repository.plan("--forceall") == set(DAG)


@pytest.mark.slow
def test_until_and_omit(repository):
    repository.append(f"{CORE}/training/ppo.py")
    ppo = stages.behind(DAG, "train_ppo-*")
    before_rows = {j for j in ppo if j.startswith(("train_ppo", "probe_", "score_"))}
    assert repository.plan("--until", "score_rewards") == before_rows
    assert repository.plan("--omit-from", "collect_extraction") == {*before_rows, "summarize_on_policy"}  # reads the scored samples alone
