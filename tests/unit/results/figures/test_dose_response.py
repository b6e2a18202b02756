"""Dose-response curves show the numbers of the table."""

from tests.unit.results import study
from tests.unit.results.figures.drawing import draw


def test_dose_response_has_a_panel_per_policy_with_the_rates_of_the_table():
    axes = [a for a in draw("dose_response").axes if a.get_visible()]
    assert [a.get_title(loc="left") for a in axes] == ["base", "sft", "sft_chosen", "ppo", "ipo (collapsed)"]
    rows = [m for m in study.tables()["memorization"] if (m["policy"], m["cohort"], m["probe"]) == ("sft", "sft", "fim") and m["dose"]]
    by_marker = {line.get_marker(): line for line in axes[1].lines}
    assert list(by_marker["o"].get_ydata()) == [m["rate"] for m in rows] and list(by_marker["s"].get_ydata()) == [0, 0, 0, 0]
    assert axes[1].get_xscale() == "log" and list(axes[1].get_xticks()) == list(study.DOSES)
