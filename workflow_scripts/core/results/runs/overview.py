"""The four findings in every published run, side by side: docs/results/README.md, from the findings.json of each run's folder there.

The project's README.md has the findings of two of them, between its marks.
"""

from pathlib import Path

from ...config.references import lineage
from ..pages.summary import plain
from ..tables.files import read_json, write_json
from ..tables.registry import TABLES, read_all
from ..text import gate
from ..text.answer import MARKS
from ..text.findings import findings
from ..text.format import MISSING, abbreviated, grid, interval, percent, put_between
from .load import config_of

FILE = "findings.json"
IN_README = ("pretrained", "default")
BETWEEN = "<!-- make publish writes what follows -->\n", "<!-- to here -->\n"
_NOTE = "<!-- Written by `make publish`; do not edit. -->"
_LEGEND = (
    "● shown, ○ not shown, ✕ contradicted, ? cannot be asked since the reward carries no content, – not measured; with one seed, for these "
    "checkpoints. Reward: how often the reward model prefers the truth among held-out pairs of equal length, by arm, with 95 % intervals; the "
    "findings on PPO need its lower ends above 50 %. Which policies decide a finding, and by which criterion, is on the page of the run. "
    "Rows with the same figures have the same checkpoints, which one run has taken over from another: they are no replications."
)


def keep(folder: Path, docs: Path) -> Path:
    """Write what the finished run in `folder` says in one row to its folder of `docs`; returns the path."""
    write_json(facts(folder), place := docs / folder.name / FILE)
    return place


def facts(folder: Path) -> dict:
    """Corpus, task, model, seeds and reward of a finished run, and each finding with its verdict and figures."""
    config = config_of(folder)
    made = {name: path for name in TABLES if (path := folder / "tables" / f"{name}.parquet").is_file()}
    tables = read_all(names=[*made], paths=[*made.values()])
    policies, corpus, report = config["policies"], config["corpus"], config["report"]
    base = lineage(policies, report["reference_policy"])[0]
    meta = read_json(folder / "models" / "shared" / str(config["seeds"][0]) / base / "meta.json")
    found = findings(tables=tables, policies=policies, report=report, seeds=len(config["seeds"]), reward_models=config["reward_models"])
    return {
        "run": config["run"],
        "corpus": corpus["source"],
        "language": corpus["language"],
        "task": config["examples"]["task"],
        "model": config["model"]["base"],
        "parameters": meta["parameters"],
        "seeds": len(config["seeds"]),
        "reward": [
            {key: row[key] for key in ("arm", "accuracy", "low", "high", "n")} for row in gate.rows_of(tables, report["reward_model"])
        ],
        "findings": [{"claim": f.claim, "verdict": f.verdict, "scope": f.scope, "figures": f.figures or f.evidence} for f in found],
    }


def write(docs: Path) -> Path:
    """Write README.md of `docs` from the FILE of every run there, small models first; returns its path."""
    runs = sorted(map(read_json, docs.glob(f"*/{FILE}")), key=lambda run: (run["parameters"], run["run"] != "default", run["run"]))
    claims = _claims(runs)
    heads = ["run", "corpus", "task", "model", "seeds", "reward", *(f"{i}." for i in range(1, len(claims) + 1))]
    listed = "".join(f"{i}. {claim}.\n" for i, claim in enumerate(claims, 1))
    table = grid([heads, *(_row(run, claims) for run in runs)])
    page = docs / "README.md"
    page.write_text("\n".join([f"{_NOTE}\n", "# The findings in every published run\n", listed, table, f"{_LEGEND}\n"]), encoding="utf-8")
    return page


def _claims(runs: list[dict]) -> list[str]:
    return list(dict.fromkeys(found["claim"] for run in runs for found in run["findings"]))


def _row(run: dict, claims: list[str]) -> list[str]:
    """The cells of a run; its name leads to its page."""
    cells = [
        f"{run['corpus']}, {run['language']}",
        run["task"],
        _model(run),
        str(run["seeds"]),
        _reward(run),
        *(_cell(run, claim) for claim in claims),
    ]
    return [f"[{plain(run['run'])}]({run['run']}.md)", *map(plain, cells)]


def _model(run: dict) -> str:
    return f"{abbreviated(run['parameters'])}, {'from scratch' if run['model'] == 'scratch' else run['model']}"


def _reward(run: dict) -> str:
    """How often the reward model prefers the truth, by arm."""
    return ", ".join(f"{percent(row['accuracy'])} ({interval(row['low'], row['high'])})" for row in run["reward"] if row["n"]) or MISSING


def _cell(run: dict, claim: str) -> str:
    """A finding of a run: its mark, and its figures."""
    found = next((found for found in run["findings"] if found["claim"] == claim), None)
    return f"{MARKS[found['verdict']]} {found['figures']}" if found else MISSING


def into_readme(docs: Path, readme: Path) -> Path:
    """Write the findings of those runs of IN_README that `docs` has, a column each, BETWEEN its marks in `readme`, if it has them; returns its path."""
    runs = [read_json(place) for name in IN_README if (place := docs / name / FILE).is_file()]
    heads = ["", *(f"[{plain(run['run'])}](docs/results/{run['run']}.md): {plain(_model(run))}" for run in runs)]
    rows = [["the reward model prefers the truth", *(plain(_reward(run)) for run in runs)]]
    rows += [[plain(claim), *(plain(_cell(run, claim)) for run in runs)] for claim in _claims(runs)]
    readme.write_text(put_between(BETWEEN, readme.read_text(encoding="utf-8"), grid([heads, *rows])), encoding="utf-8")
    return readme
