"""Pairs of arms: nothing is dropped in silence, and other probes count in no table but memorization."""

import pandas as pd
import pytest

from tests.unit.results import synthetic
from workflow_scripts.core.results.tables import canary_pairs, memorization, metrics, persistence
from workflow_scripts.core.results.text import headline


def test_a_canary_without_its_twin_and_one_that_is_there_twice_are_errors():
    extraction = synthetic.extraction(policies=["sft"])
    with pytest.raises(ValueError, match="1 canaries were not probed in both arms, first sft-01-00 under sft"):
        canary_pairs.pair_arms(extraction=extraction.iloc[1:], measures=["memorized"])
    with pytest.raises(ValueError, match="unique"):
        canary_pairs.pair_arms(extraction=pd.concat([extraction, extraction.iloc[:1]]), measures=["memorized"])


def test_a_measure_that_is_missing_is_an_error_and_not_left_out_of_the_mean():
    extraction = synthetic.extraction(policies=["sft"], seeds=(0, 1), probes=["fim"])
    extraction.loc[7, "exposure"] = None
    with pytest.raises(ValueError, match="exposure is missing in 1 rows"):
        canary_pairs.pair_arms(extraction=extraction, measures=["memorized", "exposure"])


def test_other_probes_count_in_no_table_but_memorization():
    native, every = synthetic.extraction(probes=["fim"]), synthetic.extraction()
    both = [canary_pairs.pair_arms(extraction=rows, measures=["memorized", "recovered"]) for rows in (native, every)]
    assert both[0].to_dict("records") == both[1].to_dict("records") and len(both[0]) == 128 * 5
    rows = [
        memorization.summarize(extraction=rows, shown=synthetic.shown(), utility=synthetic.utility_rows(), confidence=0.95)
        for rows in (native, every)
    ]
    assert len(rows[1]) == 5 * len(rows[0])
    for function in (headline.headline, metrics.metrics):
        assert function(memorization=rows[0], utility=synthetic.utility_rows()) == function(
            memorization=rows[1], utility=synthetic.utility_rows()
        )
    settings = dict(
        shown=synthetic.shown(), utility=synthetic.utility_rows(), references=dict.fromkeys(synthetic.LATER, "sft"), confidence=0.95
    )
    assert persistence.summarize(extraction=native, **settings) == persistence.summarize(extraction=every, **settings)
