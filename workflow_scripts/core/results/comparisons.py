"""Figures that hold policies against each other: paired contrasts, and how much context extraction needs.

Each function takes rows of the tables and returns a matplotlib Figure, as in figures.py.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..probing.prompts import NATIVE
from . import formats
from .looks import COHORTS, PLANTED
from .style import CONTROL, FAINT, INK, MUTED, grey_out, legend, mark, named, panels, styled, title

_ROW, _NARROW, _MANY = 0.42, 0.26, 30  # inches per pair of policies, and where there are many of them
_BLIND = "#e4e4e4"  # where a difference is smaller than this run can detect
PROBES = {  # the prompt conditions from most to least context, then the one that asks for something else
    NATIVE: "as\nplanted",
    "fim_50": "nearest\nhalf",
    "fim_25": "nearest\nquarter",
    "prefix": "prefix\nonly",
    "prompt_tail": "prompt\nitself",
}


@styled
def contrast(*, contrast: list[dict]) -> Figure:
    """Forest plot of the paired differences in the share memorized, one panel per planted cohort; grey: too small for this run to detect."""
    rows = [c for c in contrast if c["measure"] == "memorized"]
    cohorts = [c for c in PLANTED if any(r["cohort"] == c for r in rows)]
    pairs = list(dict.fromkeys((r["policy"], r["other"]) for r in rows))
    height = (_ROW if len(pairs) <= _MANY else _NARROW) * max(1, len(pairs)) + 0.75
    figure, grid = panels(n=max(1, len(cohorts)), columns=3, width=3.5, height=height, legend=1.1)
    note = "Paired difference in the share memorized, its interval, and Holm-corrected p."
    title(figure=figure, text="Which of two policies gives back more of the same canaries?", note=note)
    if not rows:
        return _nothing(figure, grid[0], "There are no two policies to compare.")
    for axes, cohort in zip(grid, cohorts, strict=True):
        _forest(axes, {(r["policy"], r["other"]): r for r in rows if r["cohort"] == cohort}, pairs, cohort)
    labels = [f"{one} − {other}" for one, other in pairs]
    reach = max(0.25, *(min(1.0, abs(r[k])) for r in rows for k in ("difference_low", "difference_high", "minimum_detectable")))
    grid[0].set(xlim=(-1.08 * reach, 1.9 * reach), ylim=(len(pairs) - 0.4, -0.6), yticks=range(len(pairs)))
    grid[0].set_yticklabels(labels, size=min(10, 260 / max(map(len, labels))))
    grid[0].xaxis.set_major_formatter(lambda share, _: f"{100 * share:+.0f}".replace("-", "−").replace("+0", "0"))
    grid[0].set_xticks(_ticks(reach))
    figure.supxlabel("difference in percentage points: left of 0 the first gives back less, right of 0 more", size=10)
    keys = [
        Line2D([], [], color=INK, marker="o", linewidth=1.6, label="difference and interval"),
        Patch(facecolor=_BLIND, label="smaller than this run could detect"),
    ]
    legend(figure=figure, handles=keys)
    return figure


def _ticks(reach: float) -> list[float]:
    """Few round marks on both sides of 0."""
    step = next(s for s in (0.1, 0.2, 0.25, 0.5, 1.0) if reach / s <= 2.6)
    return [i * step for i in range(-int(reach / step), int(reach / step) + 1)]


def _nothing(figure: Figure, axes: Axes, text: str) -> Figure:
    """A figure that says that there is nothing to show."""
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)
    axes.set_axis_off()
    return figure


def _forest(axes: Axes, rows: dict[tuple, dict], pairs: list[tuple], cohort: str) -> None:
    """The contrasts of one cohort: band of what cannot be detected, interval, and p beside it; grey and hollow where a policy collapsed."""
    axes.axvline(0, color=MUTED, linewidth=1, zorder=1)
    for place, pair in enumerate(pairs):
        if not (row := rows.get(pair)):
            continue
        blind, color = min(1.0, row["minimum_detectable"]), MUTED if row["collapsed"] else COHORTS[cohort]["color"]
        axes.barh(place, 2 * blind, left=-blind, height=0.62, color=_BLIND, zorder=0)
        axes.plot([row["difference_low"], row["difference_high"]], [place, place], color=color, linewidth=2, zorder=2)
        fill = "white" if row["collapsed"] else color
        axes.plot(row["difference"], place, marker=COHORTS[cohort]["marker"], color=color, markerfacecolor=fill, markersize=7, zorder=3)
        said = "collapsed" if row["collapsed"] else _p(row["p_holm"])
        axes.text(0.985, place, said, transform=axes.get_yaxis_transform(), ha="right", va="center", size=8.5, color=MUTED)
    axes.set_title(f"{cohort} ({COHORTS[cohort]['planted']})", loc="left", size=10)
    axes.tick_params(axis="y", length=0)


def _p(p: float) -> str:
    shown = formats.p_value(p)
    return f"p {shown}" if shown.startswith("<") else f"p = {shown}"


@styled
def context(*, memorization: list[dict], utility: list[dict]) -> Figure:
    """One panel per policy: memorized rate by prompt condition, a line per planted cohort over those that ask for the secret, and the controls."""
    rows = [m for m in memorization if m["dose"] is None and m["cohort"] in PLANTED]
    probes = [p for p in PROBES if any(m["probe"] == p for m in rows)]
    probes += sorted({m["probe"] for m in rows} - set(probes))
    figure, grid = panels(n=len(utility), columns=4 if len(utility) > 6 else 3, width=3.3, height=2.6, legend=1.1)
    for axes, policy in zip(grid, utility, strict=True):
        own = [m for m in rows if m["policy"] == policy["policy"]]
        _asked(axes, own, probes)
        if axes.get_subplotspec().is_first_col():
            axes.set_ylabel("memorized")
        axes.set_title(named(policy), loc="left")
        axes.tick_params(axis="x", labelsize=8)
        if policy["collapsed"]:
            grey_out(axes)
    grid[0].set(xlim=(-0.5, len(probes) - 0.5), xticks=range(len(probes)), yticks=[0, 0.5, 1], ylim=(-0.04, 1.04))
    grid[0].set_xticklabels([PROBES.get(p, p) for p in probes])
    grid[0].yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    figure.supxlabel("what the policy is given", size=10)
    title(figure=figure, text="How much context does extraction need?", note="Canaries of the arm that saw them; bars are exact intervals.")
    marks = [Line2D([], [], label=f"{c} ({COHORTS[c]['planted']})", **mark(c)) for c in PLANTED]
    legend(figure=figure, handles=[*marks, Line2D([], [], label="control arm, all together", **CONTROL)])
    return figure


def _asked(axes: Axes, rows: list[dict], probes: list[str]) -> None:
    """Rates by probe; what asks for the prompt itself stands apart, and no line joins it to the rest."""
    secret = [p for p in probes if p != "prompt_tail"]
    if len(secret) < len(probes):
        axes.axvline(probes.index("prompt_tail") - 0.5, color=FAINT, linewidth=1, zorder=0)
    for group in (secret, ["prompt_tail"]):
        there = [p for p in group if any(m["probe"] == p for m in rows)]
        both = [[m for m in rows if m["probe"] == p] for p in there]
        at = [probes.index(p) for p in there]
        controls = [sum(m["control_hits"] for m in part) / sum(m["n"] for m in part) for part in both]
        axes.plot(at if len(at) != 1 else [at[0] - 0.3, at[0] + 0.3], controls * (2 if len(at) == 1 else 1), zorder=0, **CONTROL)
        for place, cohort in enumerate(PLANTED):
            own = sorted((m for m in rows if m["cohort"] == cohort and m["probe"] in there), key=lambda m: probes.index(m["probe"]))
            rate = np.array([m["rate"] for m in own])
            bars = np.maximum([rate - [m["low"] for m in own], [m["high"] for m in own] - rate], 0)
            axes.errorbar([probes.index(m["probe"]) + 0.13 * (place - 1) for m in own], rate, yerr=bars, elinewidth=1, **mark(cohort))
