"""Forest plot: which of two policies gives back more of the same canaries?"""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ...data.cohorts import PLANTED
from ..cohorts import LOOKS
from ..text.format import p_equals, points
from .style import INK, MUTED, cohort_label, legend, only_text, panels, styled, title

_ROW, _NARROW_ROW, _MANY = 0.42, 0.26, 30  # inches per pair of policies, and where there are many of them
_APART = 0.3  # from the row's middle, where the arms' marks stand
_UNDETECTABLE = "#e4e4e4"  # where a difference is smaller than this run can detect


@styled
def plot(*, contrast: list[dict]) -> Figure:
    """Differences in the counterfactual extraction rate, one panel per planted cohort; grey: too small for this run to detect."""
    rows = [row for row in contrast if row["measure"] == "memorized"]
    cohorts = [cohort for cohort in PLANTED if any(row["cohort"] == cohort for row in rows)]
    pairs = list(dict.fromkeys((row["policy"], row["other"]) for row in rows))
    height = (_ROW if len(pairs) <= _MANY else _NARROW_ROW) * max(1, len(pairs)) + 0.75
    figure, grid = panels(n=max(1, len(cohorts)), columns=3, width=3.5, height=height)
    note = "Difference in the share memorized, seen − unseen, and Holm-corrected p."
    title(figure=figure, text="Which of two policies gives back more of the same canaries?", note=note)
    if not rows:
        return only_text(figure=figure, axes=grid[0], text="There are no two policies to compare.")
    for axes, cohort in zip(grid, cohorts, strict=True):
        _panel(axes, {(row["policy"], row["other"]): row for row in rows if row["cohort"] == cohort}, pairs, cohort)
    _scale(grid[0], rows, pairs)
    figure.supxlabel("percentage points: left of 0 the first policy gives back less, right of 0 more", size=10)
    keys = [
        Line2D([], [], color=INK, marker="o", linewidth=1.6, label="difference and interval"),
        Line2D([], [], color=MUTED, marker="v", markersize=3.5, linestyle="", label="arm A (below: B)"),
        Patch(facecolor=_UNDETECTABLE, label="smaller than this run can detect"),
    ]
    legend(figure=figure, handles=keys)
    return figure


def _scale(axes: Axes, rows: list[dict], pairs: list[tuple]) -> None:
    """The axes that all panels share."""
    reach = max(0.25, *(min(1.0, abs(row[k])) for row in rows for k in ("difference_low", "difference_high", "minimum_detectable")))
    labels = [f"{policy} − {other}" for policy, other in pairs]
    axes.set(xlim=(-1.08 * reach, 1.9 * reach), ylim=(len(pairs) - 0.4, -0.6), yticks=range(len(pairs)))
    axes.set_yticklabels(labels, size=min(10, 260 / max(map(len, labels))))
    axes.xaxis.set_major_formatter(lambda share, _: points(share, unit=""))
    step = next(step for step in (0.1, 0.2, 0.25, 0.5, 1.0) if reach / step <= 2.6)  # few round marks on both sides of 0
    axes.set_xticks([i * step for i in range(-int(reach / step), int(reach / step) + 1)])


def _panel(axes: Axes, rows: dict[tuple, dict], pairs: list[tuple], cohort: str) -> None:
    """The contrasts of one cohort: band of what cannot be detected, interval, and p beside it; grey and hollow where a policy collapsed."""
    axes.axvline(0, color=MUTED, linewidth=1, zorder=1)
    for place, pair in enumerate(pairs):
        if not (row := rows.get(pair)):
            continue
        reach, color = min(1.0, row["minimum_detectable"]), MUTED if row["collapsed"] else LOOKS[cohort].color
        axes.barh(place, 2 * reach, left=-reach, height=0.62, color=_UNDETECTABLE, zorder=0)
        axes.plot([row["difference_low"], row["difference_high"]], [place, place], color=color, linewidth=2, zorder=2)
        fill = "white" if row["collapsed"] else color
        axes.plot(row["difference"], place, marker=LOOKS[cohort].marker, color=color, markerfacecolor=fill, markersize=7, zorder=3)
        for mark, name, side in (("v", "difference_a", -1), ("^", "difference_b", 1)):
            if row[name] is not None:
                axes.plot(
                    row[name], place + side * _APART, marker=mark, color=MUTED, markersize=3.5, markeredgewidth=0, linestyle="", zorder=3
                )
        text = "collapsed" if row["collapsed"] else p_equals(row["p"] if row["p_holm"] is None else row["p_holm"])
        axes.text(0.985, place, text, transform=axes.get_yaxis_transform(), ha="right", va="center", size=8.5, color=MUTED)
    axes.set_title(cohort_label(cohort), loc="left", size=10)
    axes.tick_params(axis="y", length=0)
