"""Leakage against KL: one curve per method with several strengths, one point for the others."""

from tests.unit.results import study
from tests.unit.results.figures.drawing import cut_off, draw, overlapping, texts

POLICIES = study.POLICIES | {"ppo_kl_1": {"method": "ppo", "parent": "sft"}}


def curves(figure, place: int) -> list[list[float]]:
    return [
        list(line.get_xdata())
        for line in figure.axes[place].lines
        if line.get_marker() == "None" and len(line.get_xdata()) > 1 and line.get_linestyle() == "-"
    ]


def test_policies_of_one_method_are_joined_by_rising_kl():
    figure = draw("strength", POLICIES, collapsed=())
    assert len(figure.axes) == 3 and {"sft", "sft on pairs", "ppo", "ipo"} <= set(texts(figure))
    assert all(curves(figure, place) == [[4.5, 7.5]] for place in range(3))
    assert cut_off(figure) == [] and overlapping(figure) == []


def test_without_several_strengths_there_are_points_alone():
    assert all(curves(draw("strength"), place) == [] for place in range(3))


def test_no_two_methods_look_alike():
    names = ("dpo", "slic", "rloo", "rrhf", "iterative_dpo", "drift", "lora", "other")
    figure = draw("strength", POLICIES | {name: {"method": name, "parent": "sft"} for name in names}, collapsed=())
    looks = [(line.get_marker(), line.get_color()) for line in figure.legends[0].get_lines()]
    assert len(looks) == len({*looks}) >= 11
