"""Rewards of held-out pairs, and what the gate makes of them: content passes, the end token and length do not."""

import pandas as pd
import pytest
import torch

from workflow_scripts.core.probing.judged_pairs import judge
from workflow_scripts.core.results.tables.columns import MATCHED
from workflow_scripts.core.results.tables.reward_accuracy import summarize


def pairs(number: int, end: int) -> list[dict]:
    """Pairs of equal length in which the chosen completion holds token 60; every fifth rejected one is longer, every seventh stands in."""
    return [
        dict(
            source_id=str(i),
            prompt_ids=[1, 10 + i % 50],
            chosen_ids=[60, 20 + i % 9, end],
            rejected_ids=[61, 20 + i % 9, *([30] if i % 5 == 0 else []), end],
            substituted=i % 7 == 0,
        )
        for i in range(number)
    ]


def rows_of(function, number: int, fim) -> pd.DataFrame:
    reward = lambda packed: torch.tensor([float(function(ids)) for _, ids in packed.continuations()])  # noqa: E731
    rows = judge(reward=reward, pairs=pairs(number, fim.end), fim=fim, device="cpu", batch_size=16, desc=None)
    return pd.DataFrame(rows)


REWARDS = {
    "content": (lambda ids: 60 in ids, True),
    "end token": (lambda ids: ids[-1] == 0, False),
    "length": (lambda ids: -len(ids), False),
    "the wrong content": (lambda ids: 61 in ids, False),
}


@pytest.mark.parametrize("name", REWARDS)
def test_only_content_passes_the_gate(name, small):
    function, passes = REWARDS[name]
    fim = small[1]
    rows = rows_of(function if name != "end token" else lambda ids: ids[-1] == fim.end, 70, fim)
    table = {r["pairs"]: r for r in summarize(judged={("rm", "A"): rows}, confidence=0.95)}
    assert table[MATCHED]["passes"] is passes and table["all"]["passes"] is None
    assert [table[name]["n"] + table[name]["ties"] for name in ("all", "sampled", "substituted", MATCHED)] == [70, 60, 10, 56]
    if table[MATCHED]["n"]:
        assert table[MATCHED]["length_auc"] == 0.5 > table["all"]["length_auc"]


def test_ties_say_nothing(small):
    """A computed reward that gives both completions of most pairs the same is judged by the others."""
    rows = rows_of(lambda ids: 60 in ids, 70, small[1]).copy()
    rows.loc[rows.index >= 20, ["chosen_reward", "rejected_reward"]] = 1.0
    row = {r["pairs"]: r for r in summarize(judged={("parses", "A"): rows}, confidence=0.95)}["all"]
    assert (row["n"], row["ties"], row["accuracy"]) == (20, 50, 1.0)
    rows[["chosen_reward", "rejected_reward"]] = 1.0
    row = {r["pairs"]: r for r in summarize(judged={("parses", "A"): rows}, confidence=0.95)}[MATCHED]
    assert (row["n"], row["accuracy"], row["passes"]) == (0, None, False)


def test_effect_of_the_end_token(small):
    fim = small[1]
    rows = rows_of(lambda ids: 3.0 * (ids[-1] == fim.end) + (60 in ids), 70, fim)
    assert (rows.reward_ended - rows.reward_open == 3).all()
    row = summarize(judged={("rm", "A"): rows}, confidence=0.95)[0]
    assert row["end_effect"] == pytest.approx(3 / 0.5)


def test_a_pair_of_equal_completions_tells_nothing(small):
    fim = small[1]
    same = [dict(p, rejected_ids=p["chosen_ids"]) for p in pairs(3, fim.end)]
    assert judge(reward=None, pairs=same, fim=fim, device="cpu", batch_size=16, desc=None) == []
    table = summarize(judged={("rm", "A"): rows_of(len, 5, fim).iloc[:0]}, confidence=0.95)
    assert [r["n"] for r in table] == [0, 0, 0, 0] and table[3]["passes"] is False
