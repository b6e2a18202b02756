"""The first finding as a curve: what stays of the fine-tuning canaries, against the KL coefficient."""

import itertools

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..text.format import percent
from .style import legend, only_text, panels, rate_curve, styled, title

_LOOKS = list(
    zip("osD^vPX", ("#9ecae1", "#4292c6", "#08519c", "#222222", "#cc79a7", "#e69f00", "#666666"), strict=True)
)  # of doses, rising
_COHORT = "sft"


@styled
def plot(*, persistence: list[dict], persistence_trend: list[dict]) -> Figure:
    """One panel per sweep of kl_coef: share kept of what the reference memorized, with intervals, a line per dose."""
    rows = [row for row in persistence_trend if row["cohort"] == _COHORT]
    sweeps = {row["policies"]: (row["policies"].split(", "), [float(x) for x in row["kl_coefs"].split(", ")]) for row in rows}
    figure, grid = panels(n=max(1, len(sweeps)), columns=2, width=5.2, height=3.0)
    note = "Of the canaries that were memorized before, the share that stays; bars are exact intervals."
    title(figure=figure, text="Does a stronger KL penalty keep what fine-tuning memorized?", note=note)
    if not sweeps:
        return only_text(figure=figure, axes=grid[0], text="This run has one KL coefficient.")
    doses = sorted({row["dose"] for row in rows})
    looks = dict(zip(doses, itertools.cycle(_LOOKS), strict=False))
    for axes, (policies, coefs) in zip(grid, sweeps.values(), strict=True):
        kept = {(row["policy"], row["dose"]): row for row in persistence if row["cohort"] == _COHORT and row["rate"] is not None}
        for place, dose in enumerate(doses):
            at = [(x + 0.05 * (place - len(doses) / 2), kept.get((policy, dose))) for x, policy in enumerate(policies)]
            marker, color = looks[dose]
            rate_curve(axes, [(x, row, "") for x, row in at if row], marker=marker, color=color, linewidth=1.6)
        axes.set(xticks=range(len(coefs)), xlim=(-0.5, len(coefs) - 0.5), ylim=(-0.04, 1.04), yticks=(0, 0.5, 1))
        axes.set_xticklabels([f"{x:g}" for x in coefs])
        axes.yaxis.set_major_formatter(lambda share, _: percent(share))
    grid[0].set_ylabel("still memorized")
    figure.supxlabel("kl_coef", size=10)
    keys = [Line2D([], [], label=f"dose {dose}", marker=marker, color=color) for dose, (marker, color) in looks.items()]
    legend(figure=figure, handles=keys)
    return figure
