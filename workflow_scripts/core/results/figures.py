"""Figures of the results: memorization heat map, dose-response curves, and what later stages did to each canary.

Each function takes rows of the tables and returns a matplotlib Figure; style.save writes it. No state is shared between figures.
"""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from ..data.canaries import HALF_OF_ARM
from ..probing.prompts import NATIVE
from . import formats
from .style import COHORTS, CONTROL, FAINT, INK, MUTED, PLANTED, grey_out, legend, mark, named, panels, styled, title

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
    large, small = formats.counterfactual(cell)
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


@styled
def shift(*, extraction: pd.DataFrame, utility: list[dict], reference: str, later: list[str]) -> Figure:
    """Per later policy and cohort: each canary's normalized edit distance minus that under the reference (assigned arm), and the median.

    Positive: the completion moved away from the target.
    """
    assigned = extraction["arm"].map(HALF_OF_ARM) == extraction["half"]
    pairs = extraction[assigned & (extraction["probe"] == NATIVE)]
    collapsed = {u["policy"]: u["collapsed"] for u in utility}
    cohorts = [c for c in COHORTS if c in set(pairs["cohort"])]
    figure, grid = panels(n=max(1, len(later)), columns=3, width=3.3, height=0.55 * len(cohorts) + 1.0, legend=1.1)
    note = f"Edit distance to the target, minus that under {reference}."
    title(figure=figure, text=f"What the stages after {reference} did to each canary", note=note)
    if not later:
        grid[0].text(0.5, 0.5, f"No policy descends from {reference}.", ha="center", va="center", transform=grid[0].transAxes)
        grid[0].set_axis_off()
        return figure
    for axes, policy in zip(grid, later, strict=True):
        found = _shifts(pairs, policy, reference)
        for row, cohort in enumerate(cohorts):
            _strip(axes, found[found["cohort"] == cohort], row, COHORTS[cohort]["color"])
        axes.set_title(policy + (" (collapsed)" if collapsed[policy] else ""), loc="left")
        if collapsed[policy]:
            grey_out(axes)
        _directions(axes, len(cohorts))
    grid[0].set(
        xlim=(-1.05, 1.42), ylim=(len(cohorts) - 0.4, -1.0), xticks=[-1, -0.5, 0, 0.5, 1], yticks=range(len(cohorts)), yticklabels=cohorts
    )
    figure.supxlabel("change of the normalized edit distance", size=10)
    point, stroke = dict(marker="o", markersize=5, color=MUTED), dict(marker="|", markersize=12, markeredgewidth=2.5, color=INK)
    hollow = {**point, "markerfacecolor": "none"}
    keys = {f"memorized by {reference}": point, f"not memorized by {reference}": hollow, "median, and its value": stroke}
    legend(figure=figure, handles=[Line2D([], [], label=label, linestyle="", **look) for label, look in keys.items()])
    return figure


def _shifts(pairs: pd.DataFrame, policy: str, reference: str) -> pd.DataFrame:
    """The pairs of `policy`, with `shift` of the distance since `reference`, and `memorized_before`."""
    key = ["seed", "canary_id"]
    before = pairs.loc[pairs["policy"] == reference, [*key, "normalized_edit_distance", "memorized"]]
    both = pairs[pairs["policy"] == policy].merge(before, on=key, suffixes=("", "_before"), validate="one_to_one")
    return both.assign(shift=both["normalized_edit_distance"] - both["normalized_edit_distance_before"])


def _strip(axes: Axes, found: pd.DataFrame, row: int, color: str) -> None:
    """Points of one cohort, spread evenly over the strip in order of their ids, and their median."""
    found = found.sort_values(["canary_id", "seed"])
    y = row + 0.3 * (2 * np.modf(np.arange(len(found)) * 0.618034)[0] - 1)  # golden ratio: neighbours fall apart, without chance
    known = found["memorized_before"].to_numpy(dtype=bool)
    x = found["shift"].to_numpy()
    axes.scatter(x[~known], y[~known], s=14, facecolors="none", edgecolors=color, linewidths=0.8, alpha=0.7)
    axes.scatter(x[known], y[known], s=16, color=color, linewidths=0.8, alpha=0.7)
    median = float(np.median(x))
    axes.plot([median, median], [row - 0.38, row + 0.38], color=INK, linewidth=2.5, solid_capstyle="butt")
    axes.text(1.4, row, f"{median:+.2f}".replace("-", "−"), ha="right", va="center", size=9)


def _directions(axes: Axes, rows: int) -> None:
    """Which way is which, above the strips."""
    axes.axvline(0, ymax=rows / (rows + 0.6), color=FAINT, linewidth=1, zorder=0)
    axes.text(-0.06, -0.72, "← closer to verbatim", ha="right", va="center", size=8.5, color=MUTED)
    axes.text(0.06, -0.72, "forgotten →", ha="left", va="center", size=8.5, color=MUTED)
    axes.tick_params(axis="y", length=0)
