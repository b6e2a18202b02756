"""What later stages did to each canary: did its completion move away from the target, or closer?"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...data.cohorts import COHORTS
from ..cohorts import LOOKS
from ..tables.canary_pairs import pair_arms
from ..tables.frames import Frame
from ..text.format import signed
from .style import FAINT, INK, MUTED, grey_out, legend, named, only_text, panels, styled, title

COLUMNS = ["normalized_edit_distance", "memorized"]  # of the rows of `extraction`


@styled
def plot(*, extraction: Frame, utility: list[dict], reference: str, later: list[str]) -> Figure:
    """Per later policy and cohort: each canary's normalized edit distance minus that under the reference (assigned arm), and the median.

    Positive: the completion moved away from the target.
    """
    pairs = pair_arms(extraction=extraction, measures=COLUMNS)
    used = {row["policy"]: row for row in utility}
    cohorts = [cohort for cohort in COHORTS if cohort in set(pairs["cohort"])]
    figure, grid = panels(n=max(1, len(later)), columns=3, width=3.3, height=0.55 * len(cohorts) + 1.0)
    note = f"Edit distance to the target, minus that under {reference}."
    title(figure=figure, text=f"What the stages after {reference} did to each canary", note=note)
    if not later:
        return only_text(figure=figure, axes=grid[0], text=f"No policy descends from {reference}.")
    for axes, policy in zip(grid, later, strict=True):
        shifts = _shifts(pairs, policy, reference)
        for row, cohort in enumerate(cohorts):
            _strip(axes, shifts[shifts["cohort"] == cohort], row, LOOKS[cohort].color)
        axes.set_title(named(used[policy]), loc="left")
        if used[policy]["collapsed"]:
            grey_out(axes)
        _directions(axes, len(cohorts))
    ticks = dict(xticks=[-1, -0.5, 0, 0.5, 1], yticks=range(len(cohorts)), yticklabels=cohorts)
    grid[0].set(xlim=(-1.05, 1.42), ylim=(len(cohorts) - 0.4, -1.0), **ticks)
    figure.supxlabel("change of the normalized edit distance", size=10)
    _keys(figure, reference)
    return figure


def _shifts(pairs: Frame, policy: str, reference: str) -> Frame:
    """The pairs of `policy`, with `shift` of the distance since `reference`, and `memorized_before`."""
    key = ["seed", "canary_id"]
    before = pairs.loc[pairs["policy"] == reference, [*key, *COLUMNS]]
    both = pairs[pairs["policy"] == policy].merge(before, on=key, suffixes=("", "_before"), validate="one_to_one")
    return both.assign(shift=both["normalized_edit_distance"] - both["normalized_edit_distance_before"])


def _strip(axes: Axes, shifts: Frame, row: int, color: str) -> None:
    """Points of one cohort, spread evenly over the strip in order of their ids, and their median."""
    shifts = shifts.sort_values(["canary_id", "seed"])
    y = row + 0.3 * (2 * np.modf(np.arange(len(shifts)) * 0.618034)[0] - 1)  # golden ratio: neighbours fall apart, without chance
    known = shifts["memorized_before"].to_numpy(dtype=bool)
    x = shifts["shift"].to_numpy()
    axes.scatter(x[~known], y[~known], s=14, facecolors="none", edgecolors=color, linewidths=0.8, alpha=0.7)
    axes.scatter(x[known], y[known], s=16, color=color, linewidths=0.8, alpha=0.7)
    median = float(np.median(x))
    axes.plot([median, median], [row - 0.38, row + 0.38], color=INK, linewidth=2.5, solid_capstyle="butt")
    axes.text(1.4, row, signed(median), ha="right", va="center", size=9)


def _directions(axes: Axes, rows: int) -> None:
    """Which way is which, above the strips."""
    axes.axvline(0, ymax=rows / (rows + 0.6), color=FAINT, linewidth=1, zorder=0)
    axes.text(-0.06, -0.72, "← closer to verbatim", ha="right", va="center", size=8.5, color=MUTED)
    axes.text(0.06, -0.72, "forgotten →", ha="left", va="center", size=8.5, color=MUTED)
    axes.tick_params(axis="y", length=0)


def _keys(figure: Figure, reference: str) -> None:
    point, stroke = dict(marker="o", markersize=5, color=MUTED), dict(marker="|", markersize=12, markeredgewidth=2.5, color=INK)
    hollow = {**point, "markerfacecolor": "none"}
    keys = {f"memorized by {reference}": point, f"not memorized by {reference}": hollow, "median, and its value": stroke}
    legend(figure=figure, handles=[Line2D([], [], label=label, linestyle="", **look) for label, look in keys.items()])
