"""The page of several runs side by side (see align.py), with the report's look, and its tables as CSV."""

import json
from pathlib import Path

from ...data.cohorts import UNPLANTED
from ..figures import contrast as contrast_figure
from ..figures import frontier, style
from ..pages import change_views, html, leaderboard_views, views
from ..pages.leaderboard_views import by_policy, perplexity_ratio, rank
from ..pages.views import Cell, View, number_of, rate_cell, signed_of
from ..tables.contrast import SCHEMA as CONTRAST
from ..tables.files import write_csv
from ..text import leaderboard
from ..text.format import MISSING, level, points_with_interval
from .align import differing, paired, side_by_side, unpaired
from .load import Run


def write(*, runs: list[Run], folder: Path) -> Path:
    """Write index.html, policies.csv, contrast.csv, config.csv and the figures to `folder`; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = runs[0].config["report"]
    rows = side_by_side(runs)
    contrasts = paired(runs, settings)
    configs = differing({run.name: run.config for run in runs})
    write_csv(rows=rows, columns=list(rows[0]), path=folder / "policies.csv")
    write_csv(rows=contrasts, columns=CONTRAST.names, path=folder / "contrast.csv")
    write_csv(rows=configs, columns=["key", *(run.name for run in runs)], path=folder / "config.csv")
    figures = _figures(rows, contrasts, settings["utility_band"], folder)
    page = folder / "index.html"
    page.write_text(render(runs=runs, rows=rows, contrasts=contrasts, configs=configs, figures=figures), encoding="utf-8")
    return page


def _figures(rows: list[dict], contrasts: list[dict], band: dict, folder: Path) -> dict[str, bytes]:
    """The figures as SVG, by name, which are also written to `folder`."""
    named = [{**row, "policy": f"{row['policy']} ({row['run']})"} for row in rows]
    style.save(frontier.plot(leaderboard=named, reference="the reference", band=band), folder / "frontier.svg")
    style.save(contrast_figure.plot(contrast=contrasts), folder / "contrast.svg")
    return {name: (folder / f"{name}.svg").read_bytes() for name in ("frontier", "contrast")}


def render(*, runs: list[Run], rows: list[dict], contrasts: list[dict], configs: list[dict], figures: dict[str, bytes]) -> str:
    """The page as text: `rows` of side_by_side, `contrasts` of paired, `configs` of differing (align.py), figures as SVG."""
    settings = runs[0].config["report"]
    return html.render(
        "compare.html.j2",
        figures=figures,
        names=[run.name for run in runs],
        sentences=[_sentence(run, rows, settings) for run in runs],
        notes=[_differences(contrasts, settings["confidence"]), *notes(runs)],
        views=dict(
            policies=_policies(rows),
            cohorts=_with_run(rows, leaderboard_views.by_cohort(rows)),
            contrast=change_views.contrast({"contrast": contrasts}, "memorized"),
            config=_config(runs, configs),
        ),
        policies_note=leaderboard.note(rows, "the run's reference", is_full=False),
        level=level(settings["confidence"]),
        endpoints=settings["endpoints"],
    )


def _sentence(run: Run, rows: list[dict], settings: dict) -> tuple[str, str]:
    """What the leaderboard of one run shows."""
    own, reference = [row for row in rows if row["run"] == run.name], run.config["report"]["reference_policy"]
    lead, rest = leaderboard.sentence(rows=own, band=settings["utility_band"], reference=reference, confidence=settings["confidence"])
    return f"In {run.name}, {lead.replace('At matched', 'at matched', 1)}", rest


def _differences(contrasts: list[dict], confidence: float) -> str:
    """Which paired differences between the runs are beyond chance, in one sentence."""
    planted = [row for row in contrasts if row["measure"] == "memorized" and row["cohort"] != UNPLANTED]
    real = [row for row in planted if row["endpoint"] and row["p_holm"] < 1 - confidence]
    if not planted:
        return "No policies of these runs are paired."
    which = f"of the {len(planted)} paired differences of a policy and a planted cohort between the runs"
    if not real:
        return f"None {which} is shown to be beyond chance."
    gaps = "; ".join(f"{row['policy']} − {row['other']} on {row['cohort']} canaries {points_with_interval(row)}" for row in real)
    return f"{len(real)} {which} {'is' if len(real) == 1 else 'are'} beyond chance: {gaps}."


def notes(runs: list[Run]) -> list[str]:
    """Why runs are not paired, and whether their perplexities are of the same held-out code."""
    first, *later = runs
    held_out = {run.name: set(run.evaluation["example_id"]) for run in runs}
    reasons = [reason for run in later if (reason := unpaired(first, run))]
    return reasons + [
        f"{run.name} and {first.name} were not probed with the same held-out functions ({len(held_out[run.name] & held_out[first.name])} of "
        f"{max(len(held_out[run.name]), len(held_out[first.name]))} are shared), so perplexity and reward compare within a run only."
        for run in later
        if held_out[run.name] != held_out[first.name]
    ]


def _policies(rows: list[dict]) -> View:
    """Every policy of each run: leakage and utility."""
    columns = {
        "rank": rank,
        "leakage": rate_cell,
        "exposure": signed_of("exposure"),
        "perplexity": number_of("perplexity", 1),
        "ratio": perplexity_ratio,
        "mean reward": number_of("mean_reward", joint=" to "),
        "gained": signed_of("reward_gain"),
    }
    return _with_run(rows, by_policy(rows, columns))


def _with_run(rows: list[dict], view: View) -> View:
    """A view of policies with the run in a second column."""
    body = [[policy, Cell(row["run"]), *cells] for row, (policy, *cells) in zip(rows, view.rows, strict=True)]
    return View([view.heads[0], Cell("run"), *view.heads[1:]], body, view.word_columns + 1, view.flags)


def _config(runs: list[Run], configs: list[dict]) -> View:
    show = lambda value: MISSING if value is None else json.dumps(value, ensure_ascii=False)  # noqa: E731
    return views.view(["key", *(run.name for run in runs)], [[row["key"], *(show(row[run.name]) for run in runs)] for row in configs])
