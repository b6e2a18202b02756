"""The headline and the metrics are the numbers of the tables."""

import pytest

from tests.unit.results import synthetic
from workflow_scripts.core.results.tables import memorization, metrics
from workflow_scripts.core.results.text import headline


def given() -> dict:
    """The two tables of the synthetic study."""
    utility = synthetic.utility_rows()
    rows = memorization.summarize(
        extraction=synthetic.extraction(probes=["fim"]), utility=utility, shown=synthetic.shown(), confidence=0.95
    )
    return dict(memorization=rows, utility=utility)


def test_headline_says_rate_count_interval_and_utility():
    rows = headline.headline(**given())
    assert [r["policy"] for r in rows] == ["base", "sft", "sft_chosen", "ppo", "ipo (collapsed)"]
    assert rows[1]["sft"] == "59 % (19/32, 41–76 %)" and rows[1]["unplanted"] == "0 % (0/32, 0–11 %)"
    assert rows[4]["held-out perplexity"] == "200.0 (× 4.00)"


def test_metrics_are_the_numbers_of_the_headline():
    found = metrics.metrics(**given())
    assert list(found) == ["base", "sft", "sft_chosen", "ppo", "ipo"]
    assert found["sft"]["memorized"]["sft"] == pytest.approx(19 / 32) and found["ipo"]["perplexity"] == pytest.approx(200)
    assert all(isinstance(v, float) for policy in found.values() for v in (*policy["memorized"].values(), policy["mean_reward"]))
