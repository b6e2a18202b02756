"""Which rung of a ladder the rule chooses, for each kind of method, on the validation pool alone."""

import math

import pandas as pd
import pytest

from tests.unit.results.synthetic import LIMITS
from workflow_scripts.core.results.tables.ladder import summarize


def frame(*, reward: float = 0.0, kl: float = 0.0, perplexity: float = 10.0, spread: float = 0.0, ended: bool = True) -> pd.DataFrame:
    """4 examples of the validation pool, half of them `spread` nats likelier and half less likely; in the evaluation pool all is otherwise."""
    common = dict(ended=ended, parses=None, tokens=5, truth_tokens=7)
    return pd.DataFrame(
        [
            dict(
                pool="validation",
                example_id=str(i),
                reward=reward,
                kl=kl,
                truth_logprob=-7 * math.log(perplexity) + spread * (-1) ** i,
                **common,
            )
            | (dict(pool="evaluation", reward=-reward, kl=-kl, truth_logprob=-1.0) if other else {})
            for i in range(4)
            for other in (False, True)
        ]
    )


def rungs(method: str, *, budget: float = 5.0, **policies: dict) -> list[dict]:
    ladder = {name: rate for rate, name in enumerate(policies, 1)}
    return summarize(
        samples={"sft": frame(), **{name: frame(**values) for name, values in policies.items()}},
        ladders=[ladder],
        methods=dict.fromkeys(policies, method),
        reference="sft",
        kl_budget=budget,
        collapse_limits=LIMITS,
        confidence=0.95,
    )


def chosen(*args, **options) -> list[str]:
    return [row["policy"] for row in rungs(*args, **options) if row["chosen"]]


def test_values_are_those_of_the_validation_pool():
    row = rungs("ppo", a=dict(reward=1.5, kl=2.0, perplexity=12.0))[0]
    assert (row["n"], row["reward"], row["kl"], row["learning_rate"]) == (4, 1.5, 2.0, 1) and row["perplexity"] == pytest.approx(12.0)


@pytest.mark.parametrize(("budget", "found"), [(5.0, ["b"]), (9.0, ["c"]), (1.0, ["a"]), (0.5, [])])
@pytest.mark.parametrize("method", ["ppo", "ipo", "rrhf", "iterative_dpo"])
def test_the_most_reward_within_the_budget(method, budget, found):
    assert chosen(method, budget=budget, a=dict(reward=1, kl=1), b=dict(reward=2, kl=5), c=dict(reward=3, kl=8)) == found


def test_a_rung_that_has_collapsed_is_not_chosen():
    rows = rungs("ppo", a=dict(reward=1, kl=1), b=dict(reward=2, kl=2, ended=False), c=dict(reward=3, kl=3, perplexity=16))
    assert [(row["collapsed_by"], row["chosen"]) for row in rows] == [(None, True), ("share ended", False), ("perplexity", False)]


def test_the_highest_rate_within_five_percent_of_the_lowest_perplexity():
    values = dict(a=dict(perplexity=10), b=dict(perplexity=10.2), c=dict(perplexity=10.49), d=dict(perplexity=10.6))
    assert chosen("sft", **values) == ["c"]
    assert chosen("sft", **values | dict(c=dict(perplexity=10.49, spread=1.0))) == ["b"]  # within 5 % by chance, perhaps


def test_base_has_the_lowest_perplexity():
    assert chosen("base", a=dict(perplexity=10.1), b=dict(perplexity=10), c=dict(perplexity=10.1)) == ["b"]
