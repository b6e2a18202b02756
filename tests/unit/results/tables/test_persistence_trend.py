"""The trend over KL coefficients on rows with known answers, and its slope against statsmodels."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from tests.unit.results import synthetic
from workflow_scripts.core.config.references import sweeps
from workflow_scripts.core.results.tables import persistence_trend as trend

COEFS = {"weak": 0.05, "middle": 0.1, "strong": 0.2}
KEPT = {"weak": 2, "middle": 5, "strong": 8}  # of the 8 canaries of dose 64


def rows(coefs=COEFS) -> list[dict]:
    """The table of three policies that keep more of dose 64 the larger their coefficient, and all of dose 16."""
    known = synthetic.extraction(policies=["sft"], probes=["fim"])
    later = []
    for policy, kept in KEPT.items():
        rank = known["canary_id"].str[-2:].astype(int)
        lost = (known["cohort"] == "sft") & (known["dose"] == 64) & (rank >= kept)
        later.append(known.assign(policy=policy, memorized=known["memorized"] & ~lost))
    return trend.summarize(
        extraction=pd.concat([known, *later]),
        utility=[dict(policy=policy, collapsed=False) for policy in ("sft", *KEPT)],
        shown=synthetic.shown(),
        sweeps=[coefs],
        references=dict.fromkeys(KEPT, "sft"),
        confidence=0.95,
    )


def test_doses_stand_apart_and_the_slope_is_per_doubling():
    found = {(row["cohort"], row["dose"]): row for row in rows()}
    assert list(found) == [("sft", 4), ("sft", 16), ("sft", 64)]  # sft memorizes nothing of dose 1, nor of other cohorts
    steep, flat = found["sft", 64], found["sft", 16]
    assert (steep["policies"], steep["still_memorized"], steep["memorized_by_reference"]) == ("weak, middle, strong", "2, 5, 8", 8)
    assert (steep["scale"], steep["slope"]) == ("log2", pytest.approx(3 / 8)) and steep["slope_low"] > 0 and steep["p"] < 0.05
    assert (flat["slope"], flat["p"]) == (0, 1) and flat["slope_low"] < 0 < flat["slope_high"]


def test_a_coefficient_of_zero_makes_the_slope_one_per_step():
    row = next(row for row in rows({"weak": 0.0, "middle": 0.1, "strong": 0.9}) if row["dose"] == 64)
    assert (row["scale"], row["slope"]) == ("rank", pytest.approx(3 / 8))
    assert trend.scaled([0.0, 0.1, 0.1, 5.0])[1].tolist() == [0, 1, 1, 2]


def test_the_slope_is_that_of_statsmodels_with_errors_by_canary():
    rng, x, n = np.random.default_rng(0), np.log2([0.02, 0.05, 0.2, 1.0]), 40
    kept = rng.random((4, n, 1)) < (rng.uniform(0.1, 0.6, n) + 0.06 * (x[:, None] - x.mean()))[..., None]
    found = trend.slope(kept=kept, before=np.ones((n, 1), dtype=bool), x=x, strata=np.zeros(n, dtype=int), confidence=0.95)
    model = sm.OLS(kept[..., 0].astype(float).ravel(), sm.add_constant(np.repeat(x, n)))
    fit = model.fit(cov_type="cluster", cov_kwds=dict(groups=np.tile(np.arange(n), 4), use_correction=False))
    assert found.value == pytest.approx(fit.params[1])
    assert found.error == pytest.approx(fit.bse[1], rel=0.1)  # two further canaries, and n - 1


def test_policies_that_differ_in_one_setting_alone_form_a_sweep():
    policies = {
        "base": {"method": "base"},
        "ppo": {"method": "ppo", "parent": "sft", "kl_coef": 0.05, "episodes": 8},
        "more": {"method": "ppo", "parent": "sft", "kl_coef": 0.2, "episodes": 8},
        "same": {"method": "ppo", "parent": "sft", "kl_coef": 0.2, "episodes": 8},
        "longer": {"method": "ppo", "parent": "sft", "kl_coef": 0.4, "episodes": 16},
        "rloo": {"method": "rloo", "parent": "sft", "kl_coef": 0.1, "episodes": 8},
    }
    assert sweeps(policies, "kl_coef", {}) == [{"ppo": 0.05, "more": 0.2, "same": 0.2}]
    assert sweeps({name: policies[name] for name in ("more", "same")}, "kl_coef", {}) == []
    assert sweeps(policies, "kl_coef", {"same": "trl"}) == [{"ppo": 0.05, "more": 0.2}], "another trainer is another difference"
