"""The heat map shows the numbers of the table."""

import matplotlib

from tests.unit.results import study
from tests.unit.results.figures.drawing import draw, texts


def test_heat_map_says_rate_count_and_interval_and_marks_what_collapsed():
    shown = texts(draw("memorization"))
    assert "58 %" in shown and "37/64, 45–70 %" in shown and shown.count("0/64, 0–6 %") == 14
    assert "ipo\ncollapsed" in shown and "× 4.21" in shown and set(study.COHORTS) <= set(shown)
    hatched = [p for p in draw("memorization").findobj(matplotlib.patches.Rectangle) if p.get_hatch()]
    assert len(hatched) == 4
