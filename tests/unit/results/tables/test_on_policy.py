"""What a policy samples at full budget, by hand; of each method the most reward within the KL budget is chosen."""

import pandas as pd
import pytest

from workflow_scripts.core.results.tables.on_policy import summarize


def frame(reward: float, kl: float, pool: str = "validation") -> pd.DataFrame:
    """4 examples in two arms; half of them end, one of two that can be parsed does."""
    return pd.DataFrame(
        [
            dict(pool=pool, example_id=str(i), ended=i < 2, kl=kl, parses=[True, False, None, None][i], tokens=10 * (i + 1), reward=reward)
            for i in range(4)
            for _ in "AB"
        ]
    )


def chosen(budget: float, **policies: tuple[float, float]) -> set[str]:
    samples = {name: frame(*values) for name, values in policies.items()}
    rows = summarize(samples=samples, methods={name: name.split("_")[0] for name in policies}, kl_budget=budget, confidence=0.95)
    return {row["policy"] for row in rows if row["chosen"]}


def test_means_and_shares_by_hand():
    (row,) = summarize(samples={"ppo": frame(1.5, 2.0)}, methods={"ppo": "ppo"}, kl_budget=5.0, confidence=0.95)
    assert (row["n"], row["reward"], row["kl"], row["tokens"]) == (4, 1.5, 2.0, 25)
    assert (row["ended"], row["parses"]) == (0.5, 0.5) and row["tokens_low"] < 25 < row["tokens_high"]


@pytest.mark.parametrize(
    ("budget", "found"),
    [(5.0, {"ppo_b", "ipo_a"}), (9.0, {"ppo_c", "ipo_a"}), (1.0, {"ppo_a", "ipo_a"}), (0.5, {"ipo_a"})],
)
def test_the_most_reward_within_the_budget(budget, found):
    assert chosen(budget, ppo_a=(1.0, 1.0), ppo_b=(2.0, 5.0), ppo_c=(3.0, 8.0), ipo_a=(0.5, 0.5), ipo_b=(9.0, 20.0)) == found


def test_the_evaluation_pool_chooses_nothing():
    rows = summarize(samples={"ppo": frame(1.0, 1.0, "evaluation")}, methods={"ppo": "ppo"}, kl_budget=5.0, confidence=0.95)
    assert [(row["pool"], row["chosen"]) for row in rows] == [("evaluation", None)]
