"""Figures of the table `memorization`: heat map and dose-response curves.

Each function takes rows of the tables and returns a matplotlib Figure; style.save writes it. No state is shared between figures.
"""

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from ..probing.prompts import NATIVE
from . import formats
from .looks import COHORTS, PLANTED
from .style import CONTROL, INK, MUTED, grey_out, legend, mark, named, panels, styled, title

_CELL, _LABEL = (1.62, 0.66), 1.75  # inches: a cell of the heat map, its row labels
_DODGE = 0.16  # octaves between the cohorts' markers of one dose


@styled
def memorization(*, memorization: list[dict], utility: list[dict]) -> Figure:
    """Heat map policy x cohort of the counterfactual rate over all doses; the last column is utility, and collapsed rows are hatched."""
    cells = {(m["policy"], m["cohort"]): m for m in memorization if m["dose"] is None and m["probe"] == NATIVE}
    cohorts = [c for c in COHORTS if any(c == cohort for _, cohort in cells)]
    width, height = _LABEL + _CELL[0] * (len(cohorts) + 1), 1.45 + _CELL[1] * len(utility)
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((_LABEL / width, 0.1 / height, 1 - _LABEL / width - 0.005, _CELL[1] * len(utility) / height))
    axes.set(xlim=(0, len(cohorts) + 1), ylim=(len(utility), 0), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    for column, cohort in enumerate(cohorts):
        _head(axes, column, cohort, COHORTS[cohort]["planted"])
    _head(axes, len(cohorts), "perplexity", "held-out, × reference")
    for row, policy in enumerate(utility):
        name, color = (policy["policy"] + "\ncollapsed", MUTED) if policy["collapsed"] else (policy["policy"], INK)
        axes.text(-0.06, row + 0.5, name, ha="right", va="center", size=min(11, 190 / len(policy["policy"])), color=color)
        for column, cohort in enumerate(cohorts):
            _cell(axes, row, column, cells[policy["policy"], cohort], policy["collapsed"])
        axes.text(len(cohorts) + 0.5, row + 0.36, f"{policy['perplexity']:.1f}", ha="center", va="center", size=12, color=MUTED)
        axes.text(len(cohorts) + 0.5, row + 0.74, f"× {policy['perplexity_ratio']:.2f}", ha="center", va="center", size=9, color=MUTED)
    note = "Memorized by the arm that saw the canary and not by the other: share, count, exact interval. Columns: where they were planted."
    title(figure=figure, text="How much of the planted data comes back", note=note)
    return figure


def _head(axes: Axes, column: int, name: str, note: str) -> None:
    axes.text(column + 0.5, -0.38, name, ha="center", va="bottom", size=11, weight="bold")
    axes.text(column + 0.5, -0.1, note, ha="center", va="bottom", size=8.5, color=MUTED)


def _cell(axes: Axes, row: int, column: int, cell: dict, collapsed: bool) -> None:
    """One cell: the rate in large figures, counts and interval in small ones; lighter text from the shade where dark is hard to read."""
    rate = cell["counterfactual_rate"]
    shade = "#e6e6e6" if collapsed else matplotlib.colormaps["Blues"](0.04 + 0.86 * rate)
    hatch = dict(hatch="///") if collapsed else {}
    axes.add_patch(Rectangle((column, row), 1, 1, facecolor=shade, edgecolor="white" if not collapsed else "#c4c4c4", linewidth=2, **hatch))
    color = MUTED if collapsed else "white" if rate > 0.75 else INK
    box = dict(facecolor="#e6e6e6", edgecolor="none", pad=1.5) if collapsed else None
    large, small = formats.rate(cell, "counterfactual_")
    axes.text(column + 0.5, row + 0.36, large, ha="center", va="center", size=15, weight="bold", color=color, bbox=box)
    axes.text(column + 0.5, row + 0.74, small, ha="center", va="center", size=9, color=color, bbox=box)


@styled
def dose_response(*, memorization: list[dict], utility: list[dict]) -> Figure:
    """One panel per policy: memorized rate of the assigned canaries by dose, a line per planted cohort, and the controls in grey."""
    memorization = [m for m in memorization if m["probe"] == NATIVE]
    figure, grid = panels(n=len(utility), columns=4 if len(utility) > 6 else 3, width=3.1, height=2.5, legend=1.1)
    doses = sorted({m["dose"] for m in memorization if m["dose"]})
    for axes, policy in zip(grid, utility, strict=True):
        rows = [m for m in memorization if m["policy"] == policy["policy"] and m["dose"] and m["cohort"] in PLANTED]
        _controls(axes, rows, doses)
        for place, cohort in enumerate(PLANTED):
            _curve(axes, sorted((m for m in rows if m["cohort"] == cohort), key=lambda m: m["dose"]), cohort, place - 1)
        if axes.get_subplotspec().is_first_col():
            axes.set_ylabel("memorized")
        axes.set_title(named(policy), loc="left")
        if policy["collapsed"]:
            grey_out(axes)
    grid[0].set_xscale("log", base=2)
    grid[0].set(xticks=doses, xlim=(doses[0] / 1.5, doses[-1] * 1.5), yticks=[0, 0.5, 1], ylim=(-0.04, 1.04))
    grid[0].set_xticks([], minor=True)
    grid[0].xaxis.set_major_formatter(lambda dose, _: f"{dose:g}")
    grid[0].yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    figure.supxlabel("dose: times the canary was planted", size=10)
    title(
        figure=figure,
        text="How often must a canary be planted to come back?",
        note="Canaries of the arm that saw them; bars are exact intervals.",
    )
    marks = [Line2D([], [], label=f"{c} ({COHORTS[c]['planted']})", **mark(c)) for c in PLANTED]
    legend(figure=figure, handles=[*marks, Line2D([], [], label="control arm, all together", **CONTROL)])
    return figure


def _curve(axes: Axes, rows: list[dict], cohort: str, place: int) -> None:
    """Rate and interval against dose; cohorts stand a little apart, so that bars at the same rate do not hide each other."""
    x = [m["dose"] * 2 ** (place * _DODGE) for m in rows]
    rate = np.array([m["rate"] for m in rows])
    bars = [rate - [m["low"] for m in rows], [m["high"] for m in rows] - rate]
    axes.errorbar(x, rate, yerr=np.maximum(bars, 0), elinewidth=1, **mark(cohort))


def _controls(axes: Axes, rows: list[dict], doses: list[int]) -> None:
    """The other arm's rate, all planted cohorts together."""
    at = {dose: [m for m in rows if m["dose"] == dose] for dose in doses}
    known = [dose for dose in doses if at[dose]]
    axes.plot(known, [sum(m["control_hits"] for m in at[d]) / sum(m["n"] for m in at[d]) for d in known], zorder=0, **CONTROL)
