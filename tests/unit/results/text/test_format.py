"""Numbers as people read them."""

import pytest

from workflow_scripts.core.results.text import format as formats


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, "–"),
        (0.0, "0 %"),
        (0.004, "0.4 %"),
        (0.781, "78 %"),
        (0.996, "99.6 %"),
        (1.0, "100 %"),
        (0.01, "1 %"),
        (0.0004, "< 0.1 %"),
        (0.0098, "1 %"),
        (0.9996, "> 99.9 %"),
    ],
)
def test_percent_never_rounds_to_none_or_all(share, text):
    assert formats.percent(share) == text


def test_other_numbers_as_text():
    assert formats.interval(None, None) == formats.number(None) == formats.abbreviated(None) == formats.duration(None) == "–"
    assert (formats.p_value(0.0004), formats.p_value(0.0312)) == ("< 0.001", "0.031")
    assert (formats.abbreviated(950), formats.abbreviated(3_712_345)) == ("950", "3.7 M")
    assert (formats.duration(42), formats.duration(720), formats.duration(11_520)) == ("42 s", "12 min", "3.2 h")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.52, "+52 points"), (-0.03, "−3 points"), (0.0, "0 points"), (0.004, "+0.4 points"), (0.01, "+1 point"), (-0.5, "−50 points")],
)
def test_points(value, text):
    assert formats.points(float("inf"), sign=False) == "over 100 points"
    assert formats.points(value) == text
    assert formats.points(value, sign=False) == text.lstrip("+−")
