"""Dose-response curves: how often must a canary be planted to come back?"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...data.cohorts import PLANTED
from ...probing.prompts import NATIVE
from ..tables.memorization import measured
from ..text.format import percent
from .style import CONTROL, cohort_legend, mark, policy_panels, styled, title

_DODGE = 0.16  # octaves between the cohorts' markers of one dose


@styled
def plot(*, memorization: list[dict], utility: list[dict]) -> Figure:
    """One panel per policy: memorized rate of the assigned canaries by dose, a line per planted cohort, and the controls in grey."""
    rows = [row for row in memorization if row["probe"] == NATIVE and row["dose"] and row["cohort"] in PLANTED]
    doses = sorted({row["dose"] for row in rows})
    figure, panels = policy_panels(utility=measured(utility, memorization), width=3.1, height=2.5, label="memorized", ticks=(0, 0.5, 1))
    for axes, policy in panels:
        own = [row for row in rows if row["policy"] == policy["policy"]]
        _controls(axes, own, doses)
        for place, cohort in enumerate(PLANTED):
            _curve(axes, sorted((row for row in own if row["cohort"] == cohort), key=lambda row: row["dose"]), cohort, place - 1)
    first = panels[0][0]
    first.set_xscale("log", base=2)
    first.set(xticks=doses, xlim=(doses[0] / 1.5, doses[-1] * 1.5))
    first.set_xticks([], minor=True)
    first.xaxis.set_major_formatter(lambda dose, _: f"{dose:g}")
    first.yaxis.set_major_formatter(lambda share, _: percent(share))
    figure.supxlabel("dose: how often the canary was planted", size=10)
    note = "Canaries of the arm that saw them; bars are exact intervals."
    title(figure=figure, text="How often must a canary be planted to come back?", note=note)
    cohort_legend(figure)
    return figure


def _curve(axes: Axes, rows: list[dict], cohort: str, place: int) -> None:
    """Rate and interval against dose; cohorts stand a little apart, so that bars at the same rate do not hide each other."""
    doses = [row["dose"] * 2 ** (place * _DODGE) for row in rows]
    rates = np.array([row["rate"] for row in rows])
    bars = [rates - [row["low"] for row in rows], [row["high"] for row in rows] - rates]
    axes.errorbar(doses, rates, yerr=np.maximum(bars, 0), elinewidth=1, **mark(cohort))


def _controls(axes: Axes, rows: list[dict], doses: list[int]) -> None:
    """The other arm's rate, all planted cohorts together."""
    at = {dose: [row for row in rows if row["dose"] == dose] for dose in doses}
    known = [dose for dose in doses if at[dose]]
    axes.plot(known, [sum(r["control_hits"] for r in at[d]) / sum(r["n"] for r in at[d]) for d in known], zorder=0, **CONTROL)
