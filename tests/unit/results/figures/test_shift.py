"""Shifts are positive where a canary was forgotten."""

from tests.unit.results import study
from tests.unit.results.figures.drawing import draw, texts


def test_shift_is_positive_where_a_canary_was_forgotten():
    figure = draw("shift")
    axes = {a.get_title(loc="left"): a for a in figure.axes if a.get_visible()}
    assert list(axes) == ["sft_chosen", "ppo", "ipo (collapsed)"]
    filled = {name: a.collections[1].get_offsets() for name, a in axes.items()}  # the sft cohort's, memorized by sft
    assert [len(points) for points in filled.values()] == [20, 20, 20]
    assert (filled["ppo"][:, 0] > 0.3).sum() == 3 and (filled["ppo"][:, 0] < 0).sum() == 0
    assert (filled["ipo (collapsed)"][:, 0] > 0.3).sum() == 17
    assert (axes["sft_chosen"].collections[2].get_offsets()[:, 0] < -0.3).sum() == 23  # preference canaries that sft_chosen has learnt
    assert "forgotten →" in texts(figure) and "← closer to verbatim" in texts(figure)


def test_shift_without_later_policies_says_so():
    assert "No policy descends from sft." in texts(draw("shift", {k: study.POLICIES[k] for k in ("base", "sft")}))
