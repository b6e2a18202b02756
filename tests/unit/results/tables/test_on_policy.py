"""What a policy samples at full budget, by hand."""

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


def test_means_and_shares_by_hand():
    (row,) = summarize(samples={"ppo": frame(1.5, 2.0)}, reference="sft", confidence=0.95)
    assert (row["policy"], row["pool"], row["n"]) == ("ppo", "validation", 4)
    assert (row["reward"], row["kl"], row["tokens"]) == (1.5, 2.0, 25)
    assert (row["ended"], row["parses"]) == (0.5, 0.5) and row["tokens_low"] < 25 < row["tokens_high"]


def test_reward_gained_is_paired_by_example():
    """Examples differ by far more than what a policy gains on each of them, so an unpaired interval would not tell it from 0."""
    spread = [0.0, 10.0, -10.0, 20.0]
    sft, ppo = (frame(0.0, 0.0).assign(reward=[r + more for r in spread for _ in "AB"]) for more in (0.0, 0.5))
    ppo.loc[0, "reward"] += 0.2
    rows = {
        row["policy"]: row
        for row in summarize(samples={"base": frame(9.0, 0.0)[::2], "sft": sft, "ppo": ppo}, reference="sft", confidence=0.95)
    }
    assert (
        rows["ppo"]["reward_gain"] == pytest.approx(0.525)
        and 0.4 < rows["ppo"]["reward_gain_low"] < 0.525 < rows["ppo"]["reward_gain_high"] < 0.7
    )
    assert rows["sft"]["reward_gain"] is rows["base"]["reward_gain_low"] is None, "the reference itself; a policy probed in one arm"
