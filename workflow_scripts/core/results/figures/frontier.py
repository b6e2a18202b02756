"""The leakage-utility frontier: every policy of the leaderboard, and the comparable ones that no other beats in both."""

import itertools
import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import ConnectionPatch

from ..tables.comparability import limits
from ..tables.pareto import is_on_front
from ..text.format import percent
from .style import INK, MUTED, legend, styled, title

_MARKERS = [  # of the policies: markers alone tell twelve apart, colours other than the cohorts' help
    dict(marker=marker, color=color)
    for marker, color in zip("os^Dv*PX<>ph", itertools.cycle(("#222222", "#cc79a7", "#e69f00", "#56b4e9")), strict=False)
]
_PANEL, _LINE = (3.5, 3.3), 0.17  # inches: a panel, and a line of the names beside it
_BAND, _OUTSIDE = "#eef3f8", "#999999"


@styled
def plot(*, leaderboard: list[dict], reference: str, band: dict) -> Figure:
    """Leakage upwards; perplexity ratio to the right in the first panel, reward gained in the second, all with intervals.

    The front is that of the comparable policies; their names stand in a column beside the panel, where none can hide another.
    """
    keys = [Line2D([], [], linestyle="", label=_label(row), **_marker(i, row)) for i, row in enumerate(leaderboard)]
    names = 0.55 + 0.085 * min(24, max(len(row["policy"]) for row in leaderboard))  # inches beside each panel
    width = 0.75 + 2 * (_PANEL[0] + names)
    columns = max(1, min(len(keys), int(width / (0.75 + 0.08 * max(len(key.get_label()) for key in keys)))))
    head = 0.75 + 0.24 * -(-len(keys) // columns)
    side = max(_PANEL[1], 0.9 + _LINE * sum(row["comparable"] for row in leaderboard))
    figure = Figure(figsize=(width, head + side))
    note = "Lower leaks less. Utility is better to the left in the first panel, to the right in the second."
    title(figure=figure, text="What does leaking less cost?", note=note)
    for place, (measure, better) in enumerate({"perplexity_ratio": -1, "reward_gain": 1}.items()):
        left = 0.7 + place * (_PANEL[0] + names)
        axes = figure.add_axes((left / width, 0.55 / (head + side), _PANEL[0] / width, (side - 0.65) / (head + side)))
        _leakage_scale(axes, leaderboard, is_first=place == 0)
        for i, row in enumerate(leaderboard):
            _point(axes, row, measure, _marker(i, row))
        _utility_scale(axes, leaderboard, measure, reference, band)
        _front(axes, [row for row in leaderboard if row["comparable"]], measure, better)
    legend(figure=figure, handles=keys, columns=columns)
    return figure


def _label(row: dict) -> str:
    return row["policy"] + ("" if row["comparable"] else f" ({'collapsed' if row['collapsed'] else 'outside'})")


def _marker(place: int, row: dict) -> dict:
    """Marker and colour of a policy: from the thirteenth on half filled; grey and hollow if it is not comparable."""
    look = {**_MARKERS[place % len(_MARKERS)], "markersize": 7.5}
    if not row["comparable"]:
        return {**look, "color": _OUTSIDE, "markerfacecolor": "white"}
    return look if place < len(_MARKERS) else {**look, "fillstyle": "left"}


def _point(axes: Axes, row: dict, measure: str, look: dict) -> None:
    """One policy in one panel, with both its intervals."""
    reach = lambda name, value: [[max(0, value - row[f"{name}low"])], [max(0, row[f"{name}high"] - value)]]  # noqa: E731
    x, y = row[measure], row["rate"]
    axes.errorbar(x, y, xerr=reach(f"{measure}_", x), yerr=reach("", y), elinewidth=1, linestyle="", zorder=3, **look)


def _leakage_scale(axes: Axes, rows: list[dict], *, is_first: bool) -> None:
    """The axis of leakage, the same in both panels and labelled in the first."""
    top = 1.04 * max(0.1, *(row["high"] for row in rows))
    axes.set(ylim=(-0.04 * top, top))
    axes.set_yticks(np.arange(0, top, next(step for step in (0.02, 0.05, 0.1, 0.2) if top / step <= 6)))
    axes.yaxis.set_major_formatter(lambda share, _: percent(round(share, 6)))
    axes.tick_params(labelleft=is_first)
    if is_first:
        axes.set_ylabel("leakage: counterfactual rate")


def _utility_scale(axes: Axes, rows: list[dict], measure: str, reference: str, band: dict) -> None:
    """The axis of utility: ratios on a log scale with the band shaded, reward as it is."""
    values = [row[f"{measure}{end}"] for row in rows for end in ("", "_low", "_high")]
    if measure == "reward_gain":
        low, high = min(0.0, *values), max(0.0, *values)
        room = 0.08 * max(high - low, 0.1)
        axes.set(xlim=(low - room, high + room), xlabel=f"mean reward gained over {reference}")
        axes.locator_params(axis="x", nbins=5)
        axes.axvline(0, color=MUTED, linewidth=1, zorder=0)
        return
    low, high = min(0.9, *values), max(1.2, *values)
    axes.set_xscale("log")
    axes.set(xlim=(low / 1.03, high * 1.03), xticks=_ratio_ticks(low, high), xlabel=f"held-out perplexity over that of {reference}")
    axes.set_xticks([], minor=True)
    axes.xaxis.set_major_formatter(lambda ratio, _: f"× {ratio:g}")
    if band["measure"] == measure:
        axes.axvspan(*limits(band), color=_BAND, zorder=-1)


def _ratio_ticks(low: float, high: float) -> list[float]:
    """Round ratios within the range: the finest set that does not crowd the axis."""
    finest = {
        0.3: (0.8, 0.9, 1, 1.1, 1.2),
        0.9: (0.6, 0.8, 1, 1.2, 1.5, 1.9),
        2.0: (0.5, 1, 1.5, 2, 3, 5),
        6.0: (0.1, 0.3, 1, 3, 10, 30, 100),
    }
    span = math.log(high / low)
    ticks = next((ticks for widest, ticks in finest.items() if span < widest), [10.0**i for i in range(-2, 30, 2)])
    return [tick for tick in ticks if low / 1.05 <= tick <= high * 1.05]


def _front(axes: Axes, rows: list[dict], measure: str, better: int) -> None:
    """The front as a step line to the side where utility is worse, and the names of who is on it; `better` is 1 where more is."""
    if not rows:
        return
    costs = np.array([[row["rate"], -better * row[measure]] for row in rows])
    front = [row for row, is_on in zip(rows, is_on_front(costs), strict=True) if is_on]
    steps = sorted(front, key=lambda row: -better * row[measure])
    worst = axes.get_xlim()[0 if better == 1 else 1]
    x, y = [row[measure] for row in steps] + [worst], [row["rate"] for row in steps]
    axes.step(x, [*y, y[-1]], where="post", color=INK, linewidth=1.2, alpha=0.6, zorder=2)
    _names(axes, sorted(front, key=lambda row: row["rate"]), measure)


def _names(axes: Axes, rows: list[dict], measure: str) -> None:
    """Names in a column right of the panel, as close to their height as room allows, each with a thin line to its point."""
    low, high = axes.get_ylim()
    line = _LINE / (axes.get_position().height * axes.figure.get_figheight()) * (high - low)
    heights = [row["rate"] for row in rows]
    for i in range(1, len(heights)):
        heights[i] = max(heights[i], heights[i - 1] + line)
    for i in range(len(heights) - 1, -1, -1):
        heights[i] = min(heights[i], (high if i == len(heights) - 1 else heights[i + 1]) - line)
    beside = axes.get_yaxis_transform()
    for row, height in zip(rows, heights, strict=True):
        axes.text(1.04, height, row["policy"], transform=beside, size=min(9, 9 * 24 / len(row["policy"])), va="center")
        ends = dict(xyA=(1.03, height), coordsA=beside, xyB=(row[measure], row["rate"]), coordsB=axes.transData)
        axes.figure.add_artist(ConnectionPatch(**ends, color=MUTED, linewidth=0.6, linestyle=":", zorder=1))
