"""What a policy samples at full budget, by hand."""

import pandas as pd

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


def test_means_and_shares_by_hand():
    (row,) = summarize(samples={"ppo": frame(1.5, 2.0)}, confidence=0.95)
    assert (row["policy"], row["pool"], row["n"]) == ("ppo", "validation", 4)
    assert (row["reward"], row["kl"], row["tokens"]) == (1.5, 2.0, 25)
    assert (row["ended"], row["parses"]) == (0.5, 0.5) and row["tokens_low"] < 25 < row["tokens_high"]
