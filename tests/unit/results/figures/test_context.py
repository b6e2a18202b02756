"""The figure of prompt conditions shows the numbers of the table."""

from tests.unit.results import study
from tests.unit.results.figures.drawing import draw


def test_context_shows_every_probe_and_keeps_the_question_about_the_prompt_apart():
    drawn = draw("context").axes
    axes = drawn[1]
    assert [t.get_text().replace("\n", " ") for t in drawn[4].get_xticklabels()] == [
        "as planted",
        "nearest half",
        "nearest quarter",
        "prefix only",
        "prompt itself",
    ]
    lines = [line for line in axes.lines if line.get_marker() == "o"]
    assert [len(line.get_xdata()) for line in lines] == [4, 1] and list(lines[1].get_ydata()) == [0]
    rows = [m for m in study.tables()["memorization"] if (m["policy"], m["cohort"], m["dose"]) == ("sft", "sft", None)]
    rates = [m["rate"] for m in sorted(rows, key=lambda m: list(study.PROBES).index(m["probe"]))]
    assert list(lines[0].get_ydata()) == rates[:4]
