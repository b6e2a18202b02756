"""The default learning rates are those that the committed ladders choose (docs/tuning.md)."""

import pandas as pd
import pytest
import yaml

from tests.conftest import ROOT
from workflow_scripts.core.methods import METHODS

LADDERS = pd.read_csv(ROOT / "docs/tuning.csv")
DEFAULTS = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))["methods"]
OVERLAY = yaml.safe_load((ROOT / "experiments/tuning.yaml").read_text(encoding="utf-8"))["policies"]


@pytest.mark.parametrize("method", [name for name in METHODS if name != "external"])
def test_the_default_is_the_rung_that_was_chosen(method):
    rates = LADDERS[(LADDERS.method == method) & LADDERS.chosen].learning_rate
    assert [*rates] == [DEFAULTS[method]["learning_rate"]]


def test_the_table_is_that_of_the_overlay():
    rates = {name: policy.get("learning_rate", DEFAULTS[policy["method"]]["learning_rate"]) for name, policy in OVERLAY.items()}
    assert rates.items() <= dict(zip(LADDERS.policy, LADDERS.learning_rate, strict=True)).items()
