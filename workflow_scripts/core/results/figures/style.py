"""The look that all figures share, and the only function that writes them: the same figure gives the same bytes.

Text is drawn as outlines of matplotlib's own font, so a figure looks the same everywhere; names are never read as mathematics.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...data.cohorts import PLANTED
from ..cohorts import LOOKS

_WIDEST_TITLE = 6.6  # inches that a title and its note may take, also above a single panel
INK, MUTED, FAINT = "#222222", "#666666", "#d9d9d9"
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "xtick.color": INK,
    "ytick.color": INK,
    "hatch.color": "#cdcdcd",
    "hatch.linewidth": 1.0,
    "svg.fonttype": "path",
    "svg.hashsalt": "canaryflow",
    "savefig.dpi": 160,
    "savefig.facecolor": "white",
}
CONTROL = dict(color="#cccccc", linewidth=3.5)  # broad enough to show beneath a curve at the same height

styled = matplotlib.rc_context(STYLE)  # decorator: draw under STYLE, and leave the reader's own settings alone


@styled
def save(figure: Figure, *paths) -> None:
    """Write a figure as SVG or PNG, by the suffix of each path, without date."""
    for path in paths:
        figure.savefig(path, metadata={"Date": None} if Path(path).suffix == ".svg" else None)


def panels(*, n: int, columns: int, width: float, height: float, legend: float = 1.1) -> tuple[Figure, list[Axes]]:
    """A figure with n panels (inches each) that share their axes, and a strip of `legend` inches above them."""
    columns = min(n, columns)
    rows = -(-n // columns)
    figure = Figure(figsize=(max(_WIDEST_TITLE, width * columns + 0.9), height * rows + legend), layout="constrained")
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - legend / (height * rows + legend)), w_pad=0.08, h_pad=0.08)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for empty in grid[n:]:
        empty.set_visible(False)
    for above in grid[max(0, n - columns) : n]:
        above.tick_params(labelbottom=True)  # the last panel of every column, also where the one below it is empty
    return figure, list(grid[:n])


def policy_panels(
    *, utility: list[dict], width: float, height: float, label: str, ticks: Sequence[float] | None = None
) -> tuple[Figure, list[tuple[Axes, dict]]]:
    """A figure with a panel per policy, (axes, row of `utility`); the panel of a collapsed policy is grey.

    `label` names the vertical axis, which all share; with `ticks` it reaches from the first to the last of them, else over the data.
    """
    figure, grid = panels(n=len(utility), columns=4 if len(utility) > 6 else 3, width=width, height=height)
    for axes, policy in zip(grid, utility, strict=True):
        axes.set_title(named(policy), loc="left")
        if axes.get_subplotspec().is_first_col():
            axes.set_ylabel(label)
        if policy["collapsed"]:
            grey_out(axes)
    if ticks:
        room = 0.04 * (ticks[-1] - ticks[0])
        grid[0].set(yticks=ticks, ylim=(ticks[0] - room, ticks[-1] + room))
    return figure, list(zip(grid, utility, strict=True))


def title(*, figure: Figure, text: str, note: str) -> None:
    """What the figure shows, in bold at its top left, and how to read it, in grey below."""
    height = figure.get_figheight()
    figure.text(0.012, 1 - 0.09 / height, text, weight="bold", size=13, va="top")
    figure.text(0.012, 1 - 0.36 / height, note, color=MUTED, size=10, va="top")


def only_text(*, figure: Figure, axes: Axes, text: str) -> Figure:
    """The figure with a text instead of a panel: there is nothing to show."""
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)
    axes.set_axis_off()
    return figure


def grey_out(axes: Axes) -> None:
    """Mark the panel of a policy whose utility collapsed."""
    axes.set_facecolor("#efefef")
    axes.add_patch(matplotlib.patches.Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, hatch="///", linewidth=0, zorder=0))


def mark(cohort: str) -> dict:
    """A cohort's line and marker."""
    look = LOOKS[cohort]
    return dict(color=look.color, marker=look.marker, linestyle=look.linestyle, markersize=6, linewidth=1.6)


def cohort_label(cohort: str) -> str:
    """A cohort with the place where its canaries were planted."""
    return f"{cohort} ({LOOKS[cohort].planted})"


def legend(*, figure: Figure, handles: list[Line2D], columns: int | None = None) -> None:
    """The keys below the title, in `columns`, or else in as few lines as the figure's width allows; panels make room for them."""
    where = (0.005, 1 - 0.58 / figure.get_figheight())
    look = dict(frameon=False, fontsize=9, handlelength=2.6, columnspacing=1.4)
    renderer = FigureCanvasAgg(figure).get_renderer()  # to measure; `save` draws with the one of its format
    for lines in range(1, len(handles) + 1):
        ncols = columns or -(-len(handles) // lines)
        keys = figure.legend(handles=handles, loc="upper left", bbox_to_anchor=where, ncols=ncols, **look)
        box = keys.get_window_extent(renderer)
        if columns or ncols == 1 or box.x1 <= figure.bbox.x1:
            break
        keys.remove()
    if engine := figure.get_layout_engine():
        *corner, height = engine.get()["rect"]
        engine.set(rect=(*corner, min(height, box.y0 / figure.bbox.y1)))


def cohort_legend(figure: Figure) -> None:
    """The keys of the planted cohorts and of the control arm."""
    handles = [Line2D([], [], label=cohort_label(cohort), **mark(cohort)) for cohort in PLANTED]
    legend(figure=figure, handles=[*handles, Line2D([], [], label="control arm, all cohorts together", **CONTROL)])


def named(policy: dict) -> str:
    """A policy of the utility table, as figures call it."""
    return policy["policy"] + (" (collapsed)" if policy["collapsed"] else "")


def rate_curve(axes: Axes, points: list[tuple[float, dict, str]], *, marker: str, color: str, linewidth: float) -> None:
    """Rates of (x, row of a table, prefix of its columns) with their intervals, joined; hollow where a policy collapsed."""
    rates = [(x, *(row[f"{prefix}{name}"] for name in ("rate", "low", "high")), row["collapsed"]) for x, row, prefix in points]
    axes.plot([x for x, *_ in rates], [rate for _, rate, *_ in rates], color=color, linewidth=linewidth, zorder=1)
    for x, rate, low, high, collapsed in rates:
        look = dict(marker=marker, color=color, markerfacecolor="white" if collapsed else color, markersize=6, elinewidth=1)
        axes.errorbar(x, rate, yerr=[[rate - low], [high - rate]], **look)
