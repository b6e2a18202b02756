"""Methods as curves: leakage of each cohort against the KL to the reference that a policy has paid."""

import itertools

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...data.cohorts import PLANTED
from ..tables.strengths import strengths
from ..text.format import method_in_words, percent
from .style import cohort_label, legend, only_text, panels, rate_curve, styled, title

_MARKERS = "os^Dv*PX<>"  # more than there are colours, so that no two of a dozen methods look alike
_COLORS = ("#222222", "#cc79a7", "#e69f00", "#56b4e9", "#0072b2", "#d55e00", "#009e73", "#666666")


@styled
def plot(*, leaderboard: list[dict], on_policy: list[dict], reference: str) -> Figure:
    """A panel per planted cohort: counterfactual rate against KL per completion, policies of one method joined by rising KL."""
    kl = {row["policy"]: row for row in on_policy if row["pool"] == "evaluation"}
    rows = {row["policy"]: row for row in leaderboard if row["policy"] in kl}
    cohorts = [cohort for cohort in PLANTED if any(row[f"{cohort}_n"] for row in rows.values())]
    figure, grid = panels(n=max(1, len(cohorts)), columns=3, width=3.5, height=3.0)
    note = f"A line joins policies of one method at several strengths; {reference} is at 0. Bars are exact intervals."
    title(figure=figure, text="How much does a method leak at the same distance from its start?", note=note)
    if not cohorts:
        return only_text(figure=figure, axes=grid[0], text="No canary was planted.")
    methods = strengths(list(rows.values()))
    looks = dict(zip(methods, zip(itertools.cycle(_MARKERS), itertools.cycle(_COLORS), strict=False), strict=False))
    for axes, cohort in zip(grid, cohorts, strict=True):
        for method, policies in methods.items():
            points = sorted(
                ((kl[row["policy"]]["kl"], row, f"{cohort}_") for row in policies if row[f"{cohort}_n"]), key=lambda point: point[0]
            )
            marker, color = looks[method]
            rate_curve(axes, points, marker=marker, color=color, linewidth=1.4)
        axes.set_title(cohort_label(cohort), loc="left", size=10)
        axes.margins(x=0.08)
    low, high = grid[0].get_xlim()
    grid[0].set(xlim=(low, high), xticks=[tick for tick in grid[0].get_xticks() if low <= tick <= high])
    grid[0].set(ylim=(-0.04, 1.04), yticks=(0, 0.5, 1), ylabel="counterfactual rate")
    grid[0].yaxis.set_major_formatter(lambda share, _: percent(share))
    figure.supxlabel(f"KL to {reference}, nats per completion", size=10)
    names = {method: method_in_words(policies[0]) for method, policies in methods.items()}
    legend(figure=figure, handles=[Line2D([], [], label=names[m], marker=marker, color=color) for m, (marker, color) in looks.items()])
    return figure
