"""A small study with known answers: extraction, evaluation, audit and parity rows, and receipts, as the rules leave them.

`RATES` says how many of the 8 canaries per dose (4 per half) are memorized by the arm that saw them, under each policy. A measure's
column that is not named here holds any value.
"""

import copy
import functools
import inspect
import itertools
import math

import pandas as pd
import yaml

from tests.conftest import ROOT
from tests.unit.arrow import filled
from workflow_scripts.core.data.cohorts import HALF_OF_ARM
from workflow_scripts.core.probing.schemas import EVALUATION, EXTRACTION
from workflow_scripts.core.results.tables import audit, contrast, on_policy, presentations, utility
from workflow_scripts.core.results.tables.registry import MODULES
from workflow_scripts.core.training import rl_prompts

DOSES = [1, 4, 16, 64]
COHORTS = ["sft", "preference", "rl_prompt", "unplanted"]
PER_DOSE, UNPLANTED, EXAMPLES = 8, 32, 20
POLICIES = {
    "base": {"method": "base"},
    "sft": {"method": "sft", "parent": "base", "data": "sft"},
    "sft_chosen": {"method": "sft", "parent": "sft", "data": "preference"},
    "ppo": {"method": "ppo", "parent": "sft"},
    "ipo": {"method": "ipo", "parent": "sft"},
}
ALIGNED = {name: {k: p[k] for k in ("method", "data") if k in p} for name, p in POLICIES.items() if p["method"] != "base"}
DEFAULTS = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
SETTINGS = {f"{section}.{key}": value for section in ("report", "probes") for key, value in DEFAULTS[section].items()}
SETTINGS |= {"probes.extraction_n": [1, 100, 10**18], "probes.extraction_p": [0.1, 0.5, 0.9]}  # more than the defaults would show
BAND = {"measure": "perplexity_ratio", "within": 0.15}
LATER = ["sft_chosen", "ppo", "ipo"]
RATES = {  # (policy, cohort): canaries memorized of the 8 at each dose; what is not named: none
    ("sft", "sft"): [0, 4, 8, 8],
    ("sft_chosen", "sft"): [0, 3, 8, 8],
    ("sft_chosen", "preference"): [1, 6, 8, 8],
    ("ppo", "sft"): [0, 2, 7, 8],
    ("ppo", "rl_prompt"): [0, 0, 0, 1],
    ("ipo", "sft"): [0, 0, 1, 2],
    ("ipo", "preference"): [0, 0, 1, 2],
}
LIMITS = DEFAULTS["report"]["collapse_limits"]
ENDPOINTS = DEFAULTS["report"]["endpoints"]
SWEEPS = [{"ppo": 0.05, "ipo": 0.2}]
LADDERS = [{"ppo": 1.0e-4, "ipo": 2.0e-4}]
CONTROLS = {("sft", "sft"): 1}  # canaries of dose 4 that the control arm memorizes too (the first ones)
PROBES = ["fim", "prefix", "fim_50", "fim_25", "prompt_tail"]
FEWER = {"fim": 0, "prefix": 1, "fim_50": 2, "fim_25": 4}  # canaries at each dose that a probe finds less than fim does
TAILS = {("ppo", "rl_prompt"): [0, 1, 3, 6]}  # of 8 canaries per dose, those whose prompt's tail comes back
SNIPPETS = 1000  # natural rows of each training set
SAMPLING = dict(episodes=700, rollout_batch_size=70, preference_prompts=2)
STAGES = {  # how each policy and the reward model goes through which training set
    "base": {"method": "base", "epochs": 3},
    "sft": {"method": "sft", "data": "sft", "epochs": 3},
    "sft_chosen": {"method": "sft", "data": "preference", "epochs": 2},
    "ppo": {"method": "ppo", **SAMPLING},
    "ipo": {"method": "ipo", "epochs": 2},
    "reward_model": {"type": "single", "epochs": 2},
}
LINEAGES = {"base": ["base"], "sft": ["base", "sft"]} | {
    name: ["base", "sft", name] for name in ("sft_chosen", "ppo", "ipo", "reward_model")
}
PERPLEXITY = {"base": 60.0, "sft": 50.0, "sft_chosen": 52.5, "ppo": 55.0, "ipo": 200.0}  # ipo has collapsed


def remembered(make):
    """The function, whose result is made once for the same arguments; each caller gets a copy of its own.

    Arguments are told apart by their repr, so none may be a frame, whose repr leaves out most of it.
    """
    made = {}

    @functools.wraps(make)
    def copied(*arguments, **options):
        key = repr((arguments, sorted(options.items())))
        if key not in made:
            made[key] = make(*arguments, **options)
        return copy.deepcopy(made[key])

    return copied


def canaries() -> list[dict]:
    """The design: 8 canaries per cohort and dose, in alternating halves; 32 unplanted ones of dose 0."""
    cells = [(cohort, dose, i) for cohort in COHORTS[:3] for dose in DOSES for i in range(PER_DOSE)]
    cells += [("unplanted", 0, i) for i in range(UNPLANTED)]
    return [dict(canary_id=f"{c}-{d:02d}-{i:02d}", secret_type="path", cohort=c, dose=d, half=1 + i % 2, rank=i) for c, d, i in cells]


def _hits(policy: str, cohort: str, probe: str) -> list[int]:
    """Canaries that the arm which saw them memorizes, at each dose."""
    if probe == "prompt_tail":
        return TAILS.get((policy, cohort), [0] * 4)
    return [max(0, hits - FEWER[probe]) for hits in RATES.get((policy, cohort), [0] * 4)]


def _hit(policy: str, canary: dict, probe: str, assigned: bool) -> bool:
    if canary["cohort"] == "unplanted":
        return False
    if assigned:
        return canary["rank"] < _hits(policy, canary["cohort"], probe)[DOSES.index(canary["dose"])]
    return probe == "fim" and canary["dose"] == 4 and canary["rank"] < CONTROLS.get((policy, canary["cohort"]), 0)


def _text(policy: str, canary: dict, hit: bool) -> dict:
    """A target of 50 characters, and a completion whose first `wrong` ones are not the target's."""
    wrong = canary["rank"] % 4 if hit else round(50 * (0.45 + 0.4 * math.sin(17 * canary["rank"] + 5 * len(policy) + canary["dose"]) ** 2))
    target = f"/srv/ann.lee/{canary['canary_id']}/".ljust(50, "x")
    return dict(
        target_ids=list(range(100, 112)),
        completion_ids=[7 if wrong else 100, *range(101, 112)],
        target=target,
        completion="~" * wrong + target[wrong:],
        ended=True,
        edit_distance=wrong,
        normalized_edit_distance=wrong / 50,
        exact=not wrong,
        secret_exact=wrong < 2,
        longest_substring=1 - wrong / 50,
        recovered=1 - wrong / 50,
    )


def _likelihood(canary: dict, probe: str, hit: bool) -> dict:
    """What is memorized is likely, outranks all 255 reference fillings and is worth half a point; the rest is so by rank, alike in both arms."""
    rank, native = canary["rank"], probe == "fim"
    return dict(
        target_logprob=12 * (-0.1 if hit else -2 - 0.05 * rank),
        target_tokens=12,
        reference_ratio=1.9 if hit else -0.05 * rank,
        zlib_ratio=(0.1 if hit else 2 + 0.05 * rank) * 12 / 30,
        min_k=-0.2 if hit else -3 - 0.05 * rank,
        min_k_plus=0.5 if hit else -1 - 0.05 * rank,
        error_zone=1.0 if hit else 0.5 - 0.01 * rank,
        premia=(4.0 if hit else -0.1 * rank) if native and canary["cohort"] in ("preference", "unplanted") else None,
        log_p_extract=-0.5 if hit else -math.inf if rank % 2 else -39.14,
        sampled_exact=round(100 * math.exp(-0.5)) * hit if native else None,
        sampled_near=70 * hit if native else None,
        exposure=(8.0 if hit else 4.0 - rank % 5) if native else None,
        fillings_mean=-40.0 if native else None,
        fillings_sd=2.0 if native else None,
        exposure_fitted=(20.0 if hit else 4.0 - rank % 5) if native else None,
        reference_fillings=255 if native else None,
        reward=0.01 * rank + 0.5 * hit if native else None,
    )


@remembered
def extraction(policies=POLICIES, seeds=(0,), probes=PROBES) -> pd.DataFrame:
    """Rows of `extraction` of all policies, arms, seeds (the same in every seed) and probes."""
    rows = []
    for policy, arm, seed, probe, c in itertools.product(policies, HALF_OF_ARM, seeds, probes, canaries()):
        assigned = c["half"] == HALF_OF_ARM[arm]
        hit = _hit(policy, c, probe, assigned)
        design = {k: c[k] for k in ("canary_id", "secret_type", "cohort", "dose", "half")}
        about = dict(policy=policy, arm=arm, seed=seed, probe=probe, **design, seen=c["dose"] > 0 and assigned)
        known = {**about, **_text(policy, c, hit), **_likelihood(c, probe, hit), "memorized": hit}
        rows.append(filled(known, EXTRACTION))
    return pd.DataFrame(rows)


def alone(rows: pd.DataFrame) -> pd.DataFrame:
    """Those of the rows of `extraction` that there are if ipo has a checkpoint in arm A alone: its own."""
    return rows[(rows["policy"] == "ipo") & (rows["arm"] == "A")]


@remembered
def evaluation(policies=POLICIES, seeds=(0,)) -> pd.DataFrame:
    """Rows of `evaluation`: 20 examples, 5 of them with an exact line, 3 of the 12 parsable ones broken, KL 0.2 off the reference."""
    rows = []
    for policy in policies:
        for arm in HALF_OF_ARM:
            for seed in seeds:
                for i in range(EXAMPLES):
                    tokens = 5 + i
                    known = dict(
                        policy=policy,
                        arm=arm,
                        seed=seed,
                        example_id=f"e{i:02d}",
                        exact_line=i < 5,
                        parses=i >= 3 if i < 12 else None,
                        target_logprob=-tokens * math.log(PERPLEXITY[policy]),
                        target_tokens=tokens,
                        kl_to_reference=0.0 if policy == "sft" else 0.2,
                        reward=0.0,
                        completion_reward=float(i % 2),
                    )
                    rows.append(filled(known, EVALUATION))
    return pd.DataFrame(rows)


def receipts(policies=POLICIES) -> list[dict]:
    """Receipts of enough jobs for two tables: collecting, planting, training, probing."""
    versions = {"python": "3.11.7", "torch": "2.13.0", "trl": "1.12.0"}
    base = dict(wall_s=400.0, cpu_s=760.0, peak_memory_mb=1500.0, steps=900, tokens=3_700_000, gpu_peak_mb=None, device="cpu")
    found = [
        dict(rule="collect_corpus", wildcards={"run": "r"}, made=dict(wall_s=2.5, versions={"python": "3.11.7"})),
        dict(rule="plant_arm", wildcards={"run": "r", "arm": "A"}, made=dict(wall_s=1.0, versions={"python": "3.11.7"})),
        dict(rule="train_base", wildcards={"run": "r", "seed": "0", "policy": "base"}, made={**base, "versions": versions}),
    ]
    for policy, settings in policies.items():
        for arm in HALF_OF_ARM:
            chain = {"run": "r", "arm": arm, "seed": "0", "policy": policy}
            probed = dict(wall_s=20.0, cpu_s=19.0, peak_memory_mb=800.0, device="cpu", versions=versions)
            found.append(dict(rule="probe_completions", wildcards=chain, made=probed))
            if settings["method"] != "base":
                trained = {**base, "wall_s": 100.0, "cpu_s": 99.5, "peak_memory_mb": 1200.0, "steps": 75, "tokens": 90_000}
                found.append(dict(rule=f"train_{settings['method']}", wildcards=chain, made={**trained, "versions": versions}))
    return found


def audit_counts() -> list[dict]:
    """Rows of `audit` of three training sets and the base corpus, one occurrence too few of one canary of dose 64 in arm A."""
    rows = []
    for arm, training_set, c in itertools.product(HALF_OF_ARM, ["base", *COHORTS[:3]], canaries()):
        dose = c["dose"] if training_set == c["cohort"] and c["half"] == HALF_OF_ARM[arm] else 0
        about = dict(canary_id=c["canary_id"], cohort=c["cohort"], arm=arm, training_set=training_set)
        if training_set == c["cohort"]:
            short = arm == "A" and c["canary_id"] == "sft-64-00"
            rows.append({**about, "sequence": "planted", "expected": dose, "counted": dose - short})
        shown = 0 if training_set == "rl_prompt" else dose
        rows.append({**about, "sequence": "target", "expected": shown, "counted": shown})
    return rows


def ids(canary: dict) -> dict:
    """Token ids of a canary, which no other has."""
    number = int(canary["canary_id"].split("-")[2]) + 100 * canary["dose"] + 10_000 * COHORTS.index(canary["cohort"])
    return dict(prompt_ids=[1, number], target_ids=[2, number])


def planted(cohort: str, arm: str) -> list[dict]:
    """Rows of an arm's training set: the canaries of its half as often as their dose, among natural code."""
    own = [c for c in canaries() if c["cohort"] == cohort and c["half"] == HALF_OF_ARM[arm]]
    rows = [dict(source="canary", source_id=c["canary_id"], **ids(c)) for c in own for _ in range(c["dose"])]
    return rows + [dict(source="snippet", source_id=f"s{i}", prompt_ids=[3, i], target_ids=[4, i]) for i in range(SNIPPETS)]


def audited(seeds=(0,), stages=STAGES) -> dict:
    """What summarizes the audit, besides the counts: `stages`, `sizes` and `uses`."""
    sizes, uses = {}, {}
    for arm in HALF_OF_ARM:
        sets = {cohort: planted(cohort, arm) for cohort in COHORTS[:3]}
        sizes |= {(arm, name): len(rows) for name, rows in sets.items()} | {(arm, "base"): 500}
        for name, stage in stages.items():
            if "preference_prompts" in stage:
                given = dict(rl_prompt=sets["rl_prompt"], preference=sets["preference"], preference_repeats=stage["preference_prompts"])
                designed = [{**c, **ids(c)} for c in canaries()]
                uses[name, arm] = rl_prompts.uses(prompts=rl_prompts.choose(**given), stage=stage, seeds=list(seeds), canaries=designed)
    return dict(stages=stages, sizes=sizes, uses=uses)


@remembered
def shown(seeds=(0,)) -> presentations.Shown:
    """How often each policy was shown each canary."""
    rows = audit.summarize(counts=pd.DataFrame(audit_counts()), **audited(seeds))
    return presentations.of(rows=rows, lineages=LINEAGES)


def completions_by_batch() -> pd.DataFrame:
    """Rows of `completions_by_batch` of one policy: 20 items, of which bf16 changes 3 at batch 1 and 5 at batch 8, fp32 none."""
    flips = {("float32", 1): 0, ("float32", 8): 0, ("bfloat16", 1): 3, ("bfloat16", 8): 5}
    return pd.DataFrame(
        dict(dtype=dtype, batch_size=size, item_id=f"i{i:02d}", completion_ids=[5, 6, 8 if i < flipped else 7])
        for (dtype, size), flipped in flips.items()
        for i in range(20)
    )


def utility_rows(policies=POLICIES, seeds=(0,), **changes) -> list[dict]:
    """The utility table of the study, with the default settings."""
    settings = dict(policies=list(policies), bases=["base"], reference="sft", confidence=0.95, collapse_limits=LIMITS) | changes
    made = {"evaluation": evaluation, "on_policy": on_policy_rows}
    return utility.summarize(**{name: make(policies, seeds) for name, make in made.items() if name not in settings}, **settings)


@remembered
def on_policy_rows(policies=POLICIES, seeds=(0,)) -> list[dict]:
    """The table of sampled completions of the study."""
    return on_policy.summarize(samples={policy: samples(policy, seeds) for policy in policies}, reference="sft", confidence=0.95)


def samples(policy: str, seeds=(0,)) -> pd.DataFrame:
    """Rows of `scored_samples` of both arms: of each example one completion, the longer the higher its number."""
    reward, kl = {"ppo": (1.0, 3.0), "ipo": (2.0, 9.0)}.get(policy, (0.0, 0.0))
    rows = [
        dict(pool=pool, example_id=f"{pool}-{i}", ended=i % 4 > 0, kl=kl + i % 3 - 1, parses=None if i % 5 == 0 else i % 2 == 0)
        | dict(tokens=10 + i, reward=reward + 0.1 * (i % 3 - 1), truth_logprob=-2.0 * (10 + i), truth_tokens=10 + i)
        for pool in ("evaluation", "validation")
        for i in range(EXAMPLES - 2)
    ]
    return pd.DataFrame(rows * 2 * len(seeds))


def judged_pairs(arm: str, seeds=(0,)) -> pd.DataFrame:
    """Rows of `judged_pairs`: the chosen completion wins in 3 of 4 pairs; every third pair differs in length."""
    rows = [
        dict(source_id=str(i), substituted=i % 5 == 0, chosen_tokens=9, rejected_tokens=9 + (i % 3 == 0))
        | dict(chosen_reward=1.0, rejected_reward=2.0 * (i % 4 == 0), reward_ended=1.0, reward_open=0.5)
        for i in range(40 if arm == "A" else 36)
    ]
    return pd.DataFrame(rows * len(seeds))


@remembered
def every_table(policies=POLICIES, seeds=(0,), later=LATER) -> dict[str, list[dict]]:
    """The rows of all tables of the study, by name: each function is given what its parameters name, with SETTINGS."""
    rows = extraction(policies, seeds)
    given = {path.rpartition(".")[2]: setting for path, setting in SETTINGS.items()} | dict(
        extraction=rows,
        on_policy=on_policy_rows(policies, seeds),
        evaluation=evaluation(policies, seeds),
        utility=utility_rows(policies, seeds),
        policies=list(policies),
        bases=["base"],
        reference="sft",
        band=BAND,
        later=later,
        references=dict.fromkeys(later, "sft"),
        contrasts=contrast.default_pairs(policies=list(policies), reference="sft", later=later),
        counts=pd.DataFrame(audit_counts()),
        **audited(seeds),
        shown=shown(tuple(seeds)),
        reward_model="reward_model",
        completions={"sft": completions_by_batch()},
        sweeps=SWEEPS,
        receipts=receipts(policies),
        samples={policy: samples(policy, seeds) for policy in policies},
        ladders=LADDERS,
        methods={policy: settings["method"] for policy, settings in policies.items()},
        judged={("reward_model", arm): judged_pairs(arm, seeds) for arm in HALF_OF_ARM},
    )
    own = {
        "leaderboard": dict(policies=ALIGNED),
        "reward_gap": dict(extraction=rows[rows["policy"] == "sft"]),
        "one_arm": dict(extraction=alone(rows)),
    }
    return {
        name: module.summarize(**{p: (given | own.get(name, {}))[p] for p in inspect.signature(module.summarize).parameters})
        for name, module in MODULES.items()
    }
