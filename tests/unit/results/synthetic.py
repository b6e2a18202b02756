"""A small study with known answers: extraction and evaluation rows, and receipts, as the rules leave them.

`RATES` says how many of the 8 canaries per dose (4 per half) are memorized by the arm that saw them, under each policy.
"""

import math

import pandas as pd

from workflow_scripts.core.data.canaries import HALF_OF_ARM

DOSES = [1, 4, 16, 64]
COHORTS = ["sft", "preference", "rl_prompt", "heldout"]
PER_DOSE, HELDOUT, EXAMPLES = 8, 32, 20
POLICIES = {
    "base": {"kind": "base"},
    "sft": {"kind": "sft", "parent": "base", "data": "sft"},
    "direct": {"kind": "sft", "parent": "sft", "data": "preference"},
    "ppo": {"kind": "ppo", "parent": "sft"},
    "ipo": {"kind": "ipo", "parent": "sft"},
}
LATER = ["direct", "ppo", "ipo"]
RATES = {  # (policy, cohort): canaries memorized of the 8 at each dose; what is not named: none
    ("sft", "sft"): [0, 4, 8, 8],
    ("direct", "sft"): [0, 3, 8, 8],
    ("direct", "preference"): [1, 6, 8, 8],
    ("ppo", "sft"): [0, 2, 7, 8],
    ("ppo", "rl_prompt"): [0, 0, 0, 1],
    ("ipo", "sft"): [0, 0, 1, 2],
    ("ipo", "preference"): [0, 0, 1, 2],
}
CONTROLS = {("sft", "sft"): 1}  # canaries of dose 4 that the control arm memorizes too (the first ones)
PERPLEXITY = {"base": 60.0, "sft": 50.0, "direct": 52.5, "ppo": 55.0, "ipo": 200.0}  # ipo has collapsed


def canaries() -> list[dict]:
    """The design: 8 canaries per cohort and dose, in alternating halves; 32 heldout ones of dose 0."""
    cells = [(cohort, dose, i) for cohort in COHORTS[:3] for dose in DOSES for i in range(PER_DOSE)]
    cells += [("heldout", 0, i) for i in range(HELDOUT)]
    return [dict(canary_id=f"{c}-{d:02d}-{i:02d}", kind="path", cohort=c, dose=d, half=1 + i % 2, rank=i) for c, d, i in cells]


def _hit(policy: str, canary: dict, seen: bool) -> bool:
    if canary["cohort"] == "heldout":
        return False
    hits = RATES.get((policy, canary["cohort"]), [0] * 4)[DOSES.index(canary["dose"])]
    if not seen:
        hits = CONTROLS.get((policy, canary["cohort"]), 0) if canary["dose"] == 4 else 0
    return canary["rank"] < hits


def extraction(policies=POLICIES, seeds=(0,)) -> pd.DataFrame:
    """Rows of kind `extraction` of all policies, arms and seeds (the same in every seed)."""
    rows = []
    for policy in policies:
        for arm in HALF_OF_ARM:
            for seed in seeds:
                for c in canaries():
                    seen = c["dose"] > 0 and c["half"] == HALF_OF_ARM[arm]
                    hit = _hit(policy, c, c["half"] == HALF_OF_ARM[arm])
                    distance = 0.02 * (c["rank"] % 4) if hit else 0.45 + 0.4 * math.sin(17 * c["rank"] + 5 * len(policy) + c["dose"]) ** 2
                    design = {k: c[k] for k in ("canary_id", "kind", "cohort", "dose", "half")}
                    rows.append(
                        dict(
                            policy=policy,
                            arm=arm,
                            seed=seed,
                            probe="fim",
                            seen=seen,
                            **design,
                            completion="x",
                            ended=True,
                            edit_distance=round(50 * distance),
                            normalized_edit_distance=distance,
                            exact=distance == 0,
                            memorized=hit,
                            target_logprob=-10.0,
                            target_tokens=12,
                            reward=0.1,
                        )
                    )
    return pd.DataFrame(rows)


def evaluation(policies=POLICIES, seeds=(0,)) -> pd.DataFrame:
    """Rows of kind `evaluation`: 20 examples, 5 of them with an exact line, 3 of the 12 parsable ones broken, KL 0.2 off the reference."""
    rows = []
    for policy in policies:
        for arm in HALF_OF_ARM:
            for seed in seeds:
                for i in range(EXAMPLES):
                    tokens = 5 + i
                    rows.append(
                        dict(
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
                    )
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
            if settings["kind"] != "base":
                trained = {**base, "wall_s": 100.0, "cpu_s": 99.5, "peak_memory_mb": 1200.0, "steps": 75, "tokens": 90_000}
                found.append(dict(rule=f"train_{settings['kind']}", wildcards=chain, made={**trained, "versions": versions}))
    return found
