"""The frontier shows every policy, joins who is on it, and hides no name."""

import pytest

from tests.unit.results import study, synthetic
from tests.unit.results.figures.drawing import cut_off, draw, overlapping
from workflow_scripts.core.results.figures import frontier


def test_frontier_has_every_policy_with_both_intervals_and_greys_what_is_not_comparable():
    rows, axes = study.tables(collapsed=("ipo",))["leaderboard"], draw("frontier").axes
    for panel, measure in zip(axes, ("perplexity_ratio", "reward_gain"), strict=True):
        points = {
            (float(line.get_xdata()[0]), float(line.get_ydata()[0])): line for line in panel.lines if line.get_marker() not in ("None", "")
        }
        assert set(points) == {(row[measure], row["rate"]) for row in rows}
        assert len({line.get_marker() for line in points.values()}) == 4
        broken = points[rows[3][measure], rows[3]["rate"]]
        assert broken.get_markerfacecolor() == "white" and broken.get_color() == "#999999"


def test_frontier_names_who_is_on_it_and_joins_them_by_steps():
    row = study.tables()["leaderboard"][0]
    about = {"a": (0.1, 1.1, 0.3), "b": (0.2, 1.0, 0.2), "beaten": (0.3, 1.1, 0.1), "broken": (0.0, 1.0, 0.5)}
    rows = [
        {
            **row,
            "policy": name,
            "rate": y,
            "perplexity_ratio": x,
            "reward_gain": gain,
            "comparable": name != "broken",
            "collapsed": name == "broken",
        }
        for name, (y, x, gain) in about.items()
    ]
    first, second = frontier.plot(leaderboard=rows, reference="sft", band=synthetic.BAND).axes
    assert {t.get_text() for t in first.texts} == {"a", "b"} and {t.get_text() for t in second.texts} == {"a"}
    steps = [line for line in first.lines if line.get_drawstyle() == "steps-post"]
    assert [(list(s.get_xdata())[:2], list(s.get_ydata())) for s in steps] == [([1.0, 1.1], [0.2, 0.1, 0.1])]


@pytest.mark.parametrize("same", [False, True])
def test_frontier_of_fourteen_policies_on_it_hides_no_name(same):
    row = study.tables()["leaderboard"][0]
    rows = [
        {
            **row,
            "policy": f"iterative_dpo_len_{i:02d}",
            "rate": 0.1 if same else 0.02 * i,
            "perplexity_ratio": 1.1 if same else 1.14 - 0.015 * i,
        }
        for i in range(14)
    ]
    rows = [{**r, "reward_gain": -r["perplexity_ratio"], "low": 0.9 * r["rate"], "high": 1.1 * r["rate"]} for r in rows]
    figure = frontier.plot(leaderboard=rows, reference="sft", band=synthetic.BAND)
    assert [len(axes.texts) for axes in figure.axes] == [14, 14]
    assert cut_off(figure) == [] and overlapping(figure) == []


@pytest.mark.parametrize("low, high", [(0.95, 1.1), (0.9, 1.7), (0.8, 4.5), (0.5, 60.0), (0.9, 3e7)])
def test_the_ratio_axis_has_some_ticks_and_never_too_many(low, high):
    ticks = frontier._ratio_ticks(low, high)
    assert 2 <= len(ticks) <= 6 and 1 in ticks and all(0.9 * low <= t <= 1.1 * high for t in ticks)
