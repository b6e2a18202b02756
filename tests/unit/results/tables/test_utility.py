"""Utility of synthetic held-out rows with known answers."""

import math

import pytest

from tests.unit.results import synthetic
from workflow_scripts.core.results.tables import memorization, persistence, statistics, utility


def test_collapse_is_flagged_by_the_ratio_and_carried_everywhere():
    rows = {r["policy"]: r for r in synthetic.utility_rows()}
    assert [p for p, r in rows.items() if r["collapsed"]] == ["ipo"]
    assert rows["ipo"]["perplexity_ratio"] == pytest.approx(4.0) and rows["sft"]["perplexity_ratio"] == 1.0
    assert not any(r["collapsed"] for r in synthetic.utility_rows(collapse_limits=synthetic.LIMITS | {"perplexity_ratio": 4.01}))
    assert not any(r["collapsed"] for r in synthetic.utility_rows(collapse_limits=dict.fromkeys(synthetic.LIMITS)))
    common = dict(extraction=synthetic.extraction(), shown=synthetic.shown(), utility=list(rows.values()), confidence=0.95)
    references = dict.fromkeys(synthetic.LATER, "sft")
    for table in (memorization.summarize(**common), persistence.summarize(**common, references=references)):
        assert {r["policy"] for r in table if r["collapsed"]} == {"ipo"}


def test_utility_of_known_rows():
    row = {r["policy"]: r for r in synthetic.utility_rows()}["ppo"]
    assert (row["n"], row["tokens"], row["n_parsable"]) == (20, sum(range(5, 25)), 12)
    assert row["perplexity"] == pytest.approx(55.0) and (row["perplexity_low"], row["perplexity_high"]) == pytest.approx((55.0, 55.0))
    assert (row["exact_line_rate"], row["parse_rate"], row["mean_reward"]) == (0.25, 0.75, 0.5)
    assert row["kl_to_reference"] == pytest.approx(0.2)
    assert (row["exact_line_low"], row["exact_line_high"]) == statistics.clopper_pearson(hits=5, n=20, confidence=0.95)
    assert (row["parse_low"], row["parse_high"]) == statistics.clopper_pearson(hits=9, n=12, confidence=0.95)
    assert row["mean_reward_low"] < 0.5 < row["mean_reward_high"]


def test_perplexity_weighs_tokens_not_examples():
    evaluation = synthetic.evaluation(policies=["sft"])
    evaluation["target_logprob"] = -evaluation["target_tokens"] * [
        math.log(8) if i == "e19" else math.log(2) for i in evaluation["example_id"]
    ]
    row = synthetic.utility_rows(["sft"], evaluation=evaluation)[0]
    assert row["perplexity"] == pytest.approx(2 ** ((3 * 24 + 266) / 290))
    assert 1.999 < row["perplexity_low"] < row["perplexity"] < row["perplexity_high"] < 8


def test_arms_and_seeds_of_an_example_are_one_unit():
    once, thrice = synthetic.utility_rows()[3], synthetic.utility_rows(seeds=(0, 1, 2))[3]
    assert {k: thrice[k] for k in once} == pytest.approx(once)


@pytest.mark.parametrize("column", utility.COLUMNS)
def test_utility_needs_every_column_that_is_read_for_it(column):
    with pytest.raises(KeyError, match=column):
        synthetic.utility_rows(["sft"], evaluation=synthetic.evaluation(["sft"])[utility.COLUMNS].drop(columns=column))


def test_where_nothing_can_parse_the_rate_is_missing():
    evaluation = synthetic.evaluation(policies=["sft"]).assign(parses=None)
    row = synthetic.utility_rows(["sft"], evaluation=evaluation)[0]
    assert row["n_parsable"] == 0 and row["parse_rate"] is row["parse_low"] is row["parse_high"] is None


def test_a_policy_without_rows_is_an_error():
    with pytest.raises(ValueError, match="under dpo"):
        synthetic.utility_rows(["sft", "dpo"], evaluation=synthetic.evaluation(["sft"]), on_policy=synthetic.on_policy_rows())


def sampled(**changes) -> dict:
    """The row of ppo, whose row of `on_policy` has these changes."""
    rows = [row | (changes if row["policy"] == "ppo" else {}) for row in synthetic.on_policy_rows()]
    return {row["policy"]: row for row in synthetic.utility_rows(on_policy=rows)}["ppo"]


@pytest.mark.parametrize(
    ("column", "within", "beyond", "by"),
    [
        ("tokens", 1.49, 1.51, "length"),
        ("tokens", 0.68, 0.66, "length"),
        ("ended", -0.19, -0.21, "share ended"),
        ("parses", -0.19, -0.21, "share that parses"),
        ("reward", -0.99, -1.01, "reward"),
    ],
)
def test_every_part_of_utility_can_collapse_and_is_named(column, within, beyond, by):
    """Length as a multiple of the reference's, shares as differences from it, the reward in its standard deviations."""
    reference = next(row for row in synthetic.on_policy_rows() if (row["policy"], row["pool"]) == ("sft", "evaluation"))
    unit = reference["reward_sd"] if column == "reward" else 1.0
    at = lambda x: reference[column] * x if column == "tokens" else reference[column] + x * unit  # noqa: E731
    assert (sampled(**{column: at(within)})["collapsed"], sampled(**{column: at(within)})["collapsed_by"]) == (False, None)
    row = sampled(**{column: at(beyond)})
    assert (row["collapsed"], row["collapsed_by"], row[f"sampled_{column}"]) == (True, by, at(beyond))


def test_several_reasons_are_named_together_and_what_was_not_measured_is_none():
    assert sampled(tokens=1.0, ended=0.0)["collapsed_by"] == "length, share ended"
    assert sampled(parses=None)["collapsed_by"] is None
    assert sampled(tokens=0.0)["collapsed_by"] == "length"
