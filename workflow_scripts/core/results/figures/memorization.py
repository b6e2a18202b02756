"""Heat map: how much of the data of each stage every policy gives back, beside its utility. The headline figure."""

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ...data.cohorts import COHORTS
from ..cohorts import LOOKS
from ..tables.memorization import measured, overall
from ..text.format import rate_and_count
from .style import INK, MUTED, styled, title

_CELL, _LABEL, _HEAD = (1.62, 0.66), 1.75, 1.25  # inches: a cell of the heat map, its row labels, title and column heads
_GREY = "#e6e6e6"


@styled
def plot(*, memorization: list[dict], utility: list[dict]) -> Figure:
    """Heat map policy x cohort of the counterfactual rate over all doses; the last column is utility, and collapsed rows are hatched."""
    cells = {(row["policy"], row["cohort"]): row for row in overall(memorization)}
    cohorts = [cohort for cohort in COHORTS if any(cohort == present for _, present in cells)]
    utility = measured(utility, memorization)
    figure, axes = _canvas(rows=len(utility), columns=len(cohorts) + 1)
    for column, cohort in enumerate(cohorts):
        _head(axes, column, cohort, LOOKS[cohort].planted)
    _head(axes, len(cohorts), "perplexity", "held-out, × reference")
    for row, policy in enumerate(utility):
        name, color = (policy["policy"] + "\ncollapsed", MUTED) if policy["collapsed"] else (policy["policy"], INK)
        axes.text(-0.06, row + 0.5, name, ha="right", va="center", size=min(11, 190 / len(policy["policy"])), color=color)
        for column, cohort in enumerate(cohorts):
            _cell(axes, row, column, cells[policy["policy"], cohort], policy["collapsed"])
        _write(axes, row, len(cohorts), f"{policy['perplexity']:.1f}", f"× {policy['perplexity_ratio']:.2f}", size=12, color=MUTED)
    note = (
        "Canaries that the arm which saw them gives back and the other arm does not: share, count and exact interval, by place of planting."
    )
    title(figure=figure, text="How much of the planted data comes back", note=note)
    return figure


def _canvas(*, rows: int, columns: int) -> tuple[Figure, Axes]:
    """A figure with room for so many cells, labels and a title."""
    width, height = _LABEL + _CELL[0] * columns, _HEAD + _CELL[1] * rows
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((_LABEL / width, 0.1 / height, 1 - _LABEL / width - 0.005, _CELL[1] * rows / height))
    axes.set(xlim=(0, columns), ylim=(rows, 0), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return figure, axes


def _head(axes: Axes, column: int, name: str, note: str) -> None:
    axes.text(column + 0.5, -0.38, name, ha="center", va="bottom", size=11, weight="bold")
    axes.text(column + 0.5, -0.1, note, ha="center", va="bottom", size=8.5, color=MUTED)


def _cell(axes: Axes, row: int, column: int, cell: dict, collapsed: bool) -> None:
    """One cell: the rate in large figures, counts and interval in small ones; white text where the shade is dark."""
    rate = cell["counterfactual_rate"]
    shade = _GREY if collapsed else matplotlib.colormaps["Blues"](0.04 + 0.86 * rate)
    edge = dict(edgecolor="#c4c4c4", hatch="///") if collapsed else dict(edgecolor="white")
    axes.add_patch(Rectangle((column, row), 1, 1, facecolor=shade, linewidth=2, **edge))
    color = MUTED if collapsed else "white" if rate > 0.75 else INK
    box = dict(facecolor=_GREY, edgecolor="none", pad=1.5) if collapsed else None
    _write(axes, row, column, *rate_and_count(cell, "counterfactual_"), size=15, weight="bold", color=color, bbox=box)


def _write(axes: Axes, row: int, column: int, large: str, small: str, *, size: float, weight: str = "normal", **look) -> None:
    """A large text in a cell, over a small one."""
    axes.text(column + 0.5, row + 0.36, large, ha="center", va="center", size=size, weight=weight, **look)
    axes.text(column + 0.5, row + 0.74, small, ha="center", va="center", size=9, **look)
