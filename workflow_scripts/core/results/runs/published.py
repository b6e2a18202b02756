"""What people read of a published run: its page, findings, headline tables and figures in docs/results, which git keeps."""

import shutil
from pathlib import Path

from . import overview

TABLES = ("headline", "leaderboard", "persistence", "cost")  # as CSV
FIGURES = {  # and what they show
    "memorization": "Counterfactual extraction rate by policy and cohort",
    "dose_response": "Memorized rate by dose",
    "frontier": "Leakage against utility",
    "strength": "Leakage against KL to the reference",
    "workflow": "The stages of this run",
}
_NOTE = "<!-- Written by `make publish` from results/{run}; do not edit. -->"


def write(*, run: str, overlay: Path | None, docs: Path = Path("docs/results"), results: Path = Path("results")) -> list[Path]:
    """Write docs/results/<run>.md, its folder of findings, tables and figures, and the page of all runs; returns their paths.

    `overlay` says what the run asks.
    """
    source, folder = results / run, docs / run
    folder.mkdir(parents=True, exist_ok=True)
    files = [source / "tables" / f"{name}.csv" for name in TABLES] + [source / "figures" / f"{name}.svg" for name in FIGURES]
    copies = [Path(shutil.copyfile(file, folder / file.name)) for file in files]
    page = docs / f"{run}.md"
    summary = (source / "summary.md").read_text(encoding="utf-8")
    title, _, rest = summary.partition("\n\n")
    intro = [line for line in (question(overlay), f"[Settings](../../{overlay})") if line] if overlay else []
    images = [f"![{words}]({run}/{name}.svg)" for name, words in FIGURES.items()]
    tables = "Tables: " + ", ".join(f"[{name}]({run}/{name}.csv)" for name in TABLES)
    page.write_text(
        "\n\n".join([_NOTE.format(run=run), title, *intro, rest.rstrip("\n"), "## Figures", *images, tables]) + "\n", encoding="utf-8"
    )
    return [page, *copies, overview.keep(source, docs), overview.write(docs)]


def question(overlay: Path) -> str:
    """The comment at the top of an overlay: its question, how to read the answer, and the time that it takes."""
    lines = []
    for line in overlay.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return "> " + " ".join(lines) if lines else ""
