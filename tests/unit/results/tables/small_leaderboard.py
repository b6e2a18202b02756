"""A small study for the leaderboard: which canaries each policy gives back, its perplexity and its reward are chosen by the test."""

import numpy as np
import pandas as pd

from tests.unit.results import synthetic
from workflow_scripts.core.results.tables import leaderboard, utility

BAND = {"measure": "perplexity_ratio", "within": 0.15}
COHORTS = ("sft", "preference", "rl_prompt", "unplanted")
N, EXAMPLES = 40, 50  # canaries per cohort, held-out examples


# two that tie, the reference, and one that has collapsed
FOUR = dict(
    leaks=dict(sft=range(30), good=range(3), same=range(1, 3), broken=range(0)), ratios=dict(sft=1.0, good=0.95, same=1.1, broken=3.0)
)


def extraction(leaks: dict[str, range]) -> pd.DataFrame:
    """Rows of a study in which each policy gives back the sft canaries of these numbers when planted; the twin knows number 0 always."""
    rows = [
        dict(
            policy=policy,
            probe="fim",
            seed=0,
            canary_id=f"{cohort}-{i:02d}",
            arm=arm,
            half=1 + i % 2,
            secret_type="key",
            cohort=cohort,
            dose=4,
        )
        | dict(memorized=cohort == "sft" and (i == 0 or (i in known and (arm == "A") == (i % 2 == 0))), exposure=1.0 + (i in known))
        for policy, known in leaks.items()
        for arm in "AB"
        for cohort in COHORTS
        for i in range(N)
    ]
    return pd.DataFrame(rows)


def evaluation(ratios: dict[str, float], rewards: dict[str, float]) -> pd.DataFrame:
    """Rows of a study in which each policy's perplexity is 20 times its ratio in every example, scattered by what all share."""
    scatter = np.random.default_rng(0).normal(size=EXAMPLES)
    rows = [
        dict(policy=policy, arm=arm, seed=0, example_id=f"e{i}", exact_line=False, parses=True, kl_to_reference=abs(ratio - 1))
        | dict(
            target_tokens=5 + i,
            target_logprob=-(5 + i) * np.log(20 * ratio) + scatter[i],
            completion_reward=rewards.get(policy, 0) + scatter[i],
        )
        for policy, ratio in ratios.items()
        for arm in "AB"
        for i in range(EXAMPLES)
    ]
    return pd.DataFrame(rows)


def ranked(
    leaks: dict[str, range], ratios: dict[str, float], rewards: dict[str, float] | None = None, band: dict = BAND
) -> dict[str, dict]:
    """{policy: its row} in the order of the table."""
    rows = evaluation(ratios, rewards or {})
    sampled = [{**row, "policy": policy} for row in synthetic.on_policy_rows(["sft"]) for policy in ratios]
    limits = dict(bases=[], collapse_limits=synthetic.LIMITS, confidence=0.95)
    used = utility.summarize(evaluation=rows, on_policy=sampled, policies=list(ratios), reference="sft", **limits)
    policies = {name: {"method": "ppo"} for name in leaks}
    about = dict(utility=used, policies=policies, reference="sft", confidence=0.95, band=band)
    return {row["policy"]: row for row in leaderboard.summarize(extraction=extraction(leaks), evaluation=rows, **about)}
