"""How much context does extraction need? Memorized rate by prompt condition."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...data.cohorts import PLANTED
from ...probing.prompts import NATIVE
from ..tables.memorization import measured
from ..text.format import percent
from .style import CONTROL, FAINT, cohort_legend, mark, policy_panels, styled, title

_PROMPT = "prompt_tail"  # this probe's target is the prompt itself, not the secret
_LABELS = {  # the prompt conditions from most to least context, then the one whose target is another
    "fim_no_end": "end\nwithheld",
    NATIVE: "as\nplanted",
    "fim_no_suffix": "empty\nsuffix",
    "fim_50": "nearest\nhalf",
    "fim_25": "nearest\nquarter",
    "prefix": "prefix\nonly",
    _PROMPT: "prompt\nitself",
}


@styled
def plot(*, memorization: list[dict], utility: list[dict]) -> Figure:
    """One panel per policy: memorized rate by prompt condition, a line per planted cohort, and the controls in grey."""
    rows = [row for row in memorization if row["dose"] is None and row["cohort"] in PLANTED]
    present = {row["probe"] for row in rows}
    probes = [probe for probe in _LABELS if probe in present] + sorted(present - set(_LABELS))
    figure, panels = policy_panels(utility=measured(utility, memorization), width=3.3, height=2.6, label="memorized", ticks=(0, 0.5, 1))
    for axes, policy in panels:
        _panel(axes, [row for row in rows if row["policy"] == policy["policy"]], probes)
    first = panels[0][0]
    first.set(xlim=(-0.5, len(probes) - 0.5), xticks=range(len(probes)))
    first.set_xticklabels([_LABELS.get(probe, probe) for probe in probes])
    first.yaxis.set_major_formatter(lambda share, _: percent(share))
    figure.supxlabel("prompt that the policy completes", size=10)
    note = "Canaries of the arm that saw them; bars are exact intervals."
    title(figure=figure, text="How much context does extraction need?", note=note)
    cohort_legend(figure)
    return figure


def _panel(axes: Axes, rows: list[dict], probes: list[str]) -> None:
    """Rates by probe; the probe for the prompt itself stands apart, and no line joins it to the others."""
    axes.tick_params(axis="x", labelsize=8)
    secret = [probe for probe in probes if probe != _PROMPT]
    if len(secret) < len(probes):
        axes.axvline(probes.index(_PROMPT) - 0.5, color=FAINT, linewidth=1, zorder=0)
    for group in (secret, [_PROMPT]):
        part = [row for row in rows if row["probe"] in group]
        _controls(axes, part, probes)
        for place, cohort in enumerate(PLANTED):
            _curve(axes, [row for row in part if row["cohort"] == cohort], probes, cohort, 0.13 * (place - 1))


def _controls(axes: Axes, rows: list[dict], probes: list[str]) -> None:
    """The other arm's rate, all planted cohorts together; a single one is a short line."""
    at = {place: [row for row in rows if row["probe"] == probe] for place, probe in enumerate(probes)}
    x = [place for place in at if at[place]]
    y = [sum(row["control_hits"] for row in at[place]) / sum(row["n"] for row in at[place]) for place in x]
    if len(x) == 1:
        x, y = [x[0] - 0.3, x[0] + 0.3], y * 2
    axes.plot(x, y, zorder=0, **CONTROL)


def _curve(axes: Axes, rows: list[dict], probes: list[str], cohort: str, dodge: float) -> None:
    """Rate and interval of a cohort by probe, `dodge` beside its tick."""
    rows = sorted(rows, key=lambda row: probes.index(row["probe"]))
    rates = np.array([row["rate"] for row in rows])
    bars = np.maximum([rates - [row["low"] for row in rows], [row["high"] for row in rows] - rates], 0)
    axes.errorbar([probes.index(row["probe"]) + dodge for row in rows], rates, yerr=bars, elinewidth=1, **mark(cohort))
