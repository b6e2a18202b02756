"""The forest plot shows the numbers of the table, and says so where there are none."""

from tests.unit.results import study
from tests.unit.results.figures.drawing import cut_off, draw, texts
from workflow_scripts.core.results.figures import contrast


def test_contrasts_show_interval_p_and_what_this_run_cannot_detect():
    figure = draw("contrast", collapsed=())
    axes = [a for a in figure.axes if a.get_visible()]
    assert [a.get_title(loc="left").split()[0] for a in axes] == list(study.COHORTS[:3])
    assert [t.get_text() for t in axes[0].get_yticklabels()] == ["ppo − sft_chosen", "ipo − sft_chosen", "ipo − ppo"]
    rows = [c for c in study.tables()["contrast"] if (c["cohort"], c["measure"]) == ("preference", "memorized")]
    points = [line.get_xdata()[0] for line in axes[1].lines if line.get_marker() == "s"]
    bars = [tuple(line.get_xdata()) for line in axes[1].lines if len(line.get_xdata()) == 2][1:]
    assert points == [r["difference"] for r in rows] and bars == [(r["difference_low"], r["difference_high"]) for r in rows]
    bands = [(p.get_x(), p.get_width()) for p in axes[1].patches]
    assert bands == [(-0.11, 0.22)] * 3 and {"p = 0.001", "p = 1.000"} <= set(texts(figure))
    assert texts(draw("contrast")).count("collapsed") == 2 * 3


def test_a_contrast_that_no_difference_could_show_in_still_has_a_figure():
    rows = [{**row, "minimum_detectable": float("inf")} for row in study.tables()["contrast"]]
    figure = contrast.plot(contrast=rows)
    assert cut_off(figure) == [] and figure.axes[0].patches[0].get_width() == 2


def test_contrasts_of_one_policy_say_that_there_are_none():
    assert "There are no two policies to compare." in texts(contrast.plot(contrast=[]))
