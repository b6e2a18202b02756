"""The page of several runs side by side (see comparing.py), with the report's looks, and the tables of it as CSV."""

import json
from pathlib import Path

from . import comparing, comparisons, report, standing, style, tables, views
from .findings import gap
from .formats import MISSING
from .frontier import frontier
from .schemas import TABLES
from .runs import Run, differing
from .views import Cell, View, number, rate, signed, span


def write(*, runs: list[Run], folder: Path) -> Path:
    """Write index.html, policies.csv, contrast.csv, config.csv and the figures to `folder`; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = runs[0].config["report"]
    rows = comparing.side_by_side(runs)
    paired = comparing.paired(runs, settings["confidence"])
    configs = differing({run.name: run.config for run in runs})
    named = [{**row, "policy": f"{row['policy']} ({row['run']})"} for row in rows]
    figures = {
        "frontier": frontier(leaderboard=named, reference="the reference", band=settings["utility_band"]),
        "contrast": comparisons.contrast(contrast=paired),
    }
    for name, figure in figures.items():
        style.save(figure=figure, path=folder / f"{name}.svg")
    tables.write_csv(rows=rows, columns=list(rows[0]), path=folder / "policies.csv")
    tables.write_csv(rows=paired, columns=TABLES["contrast"].names, path=folder / "contrast.csv")
    tables.write_csv(rows=configs, columns=["key", *(run.name for run in runs)], path=folder / "config.csv")
    page = folder / "index.html"
    svgs = {name: (folder / f"{name}.svg").read_bytes() for name in figures}
    page.write_text(render(runs=runs, rows=rows, paired=paired, configs=configs, figures=svgs), encoding="utf-8")
    return page


def render(*, runs: list[Run], rows: list[dict], paired: list[dict], configs: list[dict], figures: dict[str, bytes]) -> str:
    """The page as text: `rows` of comparing.side_by_side, `paired` of comparing.paired, `configs` of runs.differing, figures as SVG."""
    settings = runs[0].config["report"]
    confidence = settings["confidence"]
    return (
        report.environment()
        .get_template("compare.html.j2")
        .render(
            names=[run.name for run in runs],
            sentences=[_standing(run, rows, settings).partition(": ")[::2] for run in runs],
            notes=[_difference(paired, confidence), *notes(runs)],
            views=dict(
                policies=_policies(rows),
                cohorts=_cohorts(rows),
                contrast=views.contrast({"contrast": paired}, "memorized"),
                config=_config(runs, configs),
            ),
            policies_note=standing.note(rows, "the run's reference"),
            level=f"{100 * confidence:g} %",
            figures={name: report.data_uri(svg) for name, svg in figures.items()},
            css=report.css(),
            policy=report.content_policy(""),
        )
    )


def _standing(run: Run, rows: list[dict], settings: dict) -> str:
    """What the leaderboard of one run shows."""
    own = [row for row in rows if row["run"] == run.name]
    about = dict(band=settings["utility_band"], reference=run.config["report"]["reference"], confidence=settings["confidence"])
    return f"In {run.name}, " + standing.sentence(rows=own, **about).replace("At matched", "at matched", 1)


def _difference(paired: list[dict], confidence: float) -> str:
    """Which paired differences between the runs are beyond chance, in one sentence."""
    planted = [c for c in paired if c["measure"] == "memorized" and c["cohort"] != "unplanted"]
    real = [c for c in planted if c["p_holm"] < 1 - confidence]
    if not planted:
        return "No policies of these runs are paired."
    if not real:
        return f"Between the runs, none of the {len(planted)} paired differences of a policy and a planted cohort is shown to be beyond chance."
    said = "; ".join(f"{c['policy']} − {c['other']} on {c['cohort']} canaries {gap(c)}" for c in real)
    return f"Between the runs, {len(real)} of the {len(planted)} paired differences of a policy and a planted cohort are beyond chance: {said}."


def notes(runs: list[Run]) -> list[str]:
    """Why runs are not paired, and whether their perplexities are of the same held-out code."""
    first, *later = runs
    said = [reason for run in later if (reason := comparing.unpaired(first, run))]
    held_out = lambda run: set(run.evaluation["example_id"])  # noqa: E731
    return said + [
        f"{run.name} and {first.name} were not tried on the same held-out functions ({len(held_out(run) & held_out(first))} of "
        f"{max(len(held_out(run)), len(held_out(first)))} are shared), so perplexity and reward compare within a run only."
        for run in later
        if held_out(run) != held_out(first)
    ]


def _policies(rows: list[dict]) -> View:
    """Every policy of each run: leakage and utility."""
    columns = {
        "rank": lambda r: str(r["rank"] or MISSING),
        "leakage": rate,
        "exposure": standing.exposure,
        "perplexity": lambda r: Cell(number(r["perplexity"], 1), span(r, "perplexity", 1)),
        "ratio": lambda r: Cell(number(r["perplexity_ratio"]) + standing.star(r), span(r, "perplexity_ratio")),
        "mean reward": lambda r: Cell(number(r["mean_reward"]), span(r, "mean_reward", joint=" to ")),
        "gained": lambda r: Cell(signed(r["reward_gain"]), span(r, "reward_gain", joint=" to ")),
    }
    return _by_run(rows, standing.listed(rows, columns))


def _cohorts(rows: list[dict]) -> View:
    return _by_run(rows, standing.parts(rows))


def _by_run(rows: list[dict], made: View) -> View:
    """A view of policies with the run in a second column."""
    body = [[first, Cell(row["run"]), *rest] for row, (first, *rest) in zip(rows, made.rows, strict=True)]
    return View([made.heads[0], Cell("run"), *made.heads[1:]], body, made.words + 1, made.flags)


def _config(runs: list[Run], configs: list[dict]) -> View:
    show = lambda value: MISSING if value is None else json.dumps(value, ensure_ascii=False)  # noqa: E731
    return views.view(["key", *(run.name for run in runs)], [[c["key"], *(show(c[run.name]) for run in runs)] for c in configs], words=1)
