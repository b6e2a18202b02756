"""The reward gap of synthetic rows: built-in values come out."""

import numpy as np
import pytest

from tests.unit.results import synthetic
from tests.unit.results.tables.brute_force import area
from workflow_scripts.core.results.tables import reward_gap


def test_reward_gap_of_known_rows():
    rows = reward_gap.summarize(
        extraction=synthetic.extraction(["sft"]), shown=synthetic.shown(), reward_model="reward_model", confidence=0.95
    )
    found = {(r["cohort"], r["dose"]): r for r in rows}
    assert len(found) == len(rows) == 3 * 5 + 2
    base = [0.01 * i for i in range(8)]
    for dose, hits in zip(synthetic.DOSES, synthetic.RATES["sft", "sft"], strict=True):
        known = 1 if dose == 4 else 0
        seen, unseen = ([x + 0.5 * (i < n) for i, x in enumerate(base)] for n in (hits, known))
        row = found["sft", dose]
        wanted = (np.mean(seen), np.mean(unseen), np.mean(seen) - np.mean(unseen), area(seen, unseen))
        assert (row["n"], *(row[k] for k in ("mean", "control", "difference", "auc"))) == pytest.approx((8, *wanted))
        assert row["difference_low"] <= row["difference"] <= row["difference_high"]
    nothing = found["preference", None]
    assert (nothing["difference"], nothing["auc"]) == (0, 0.5)
