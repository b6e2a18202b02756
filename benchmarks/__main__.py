"""`make bench`: every stage beside the plain library way and beside the limit of this machine, as one table.

    python -m benchmarks [--only training ppo probing workflow growth tables] [--run results/default]

Rates are medians of at least five repetitions in which the sides take turns; a ratio is the median over these turns. The table goes
to benchmarks/table.csv and into docs/performance.md, between its marks.
"""

import argparse
import csv
import platform
import statistics
import sys
from pathlib import Path

from workflow_scripts.core.results.text.format import put_between

from . import growth, ppo, probing, tables, training, workflow
from .harness import rates

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs/performance.md"
COLUMNS = ["what", "unit", "ours", "plain", "limit", "to_plain", "to_limit", "peak_mb", "note"]
MARKS = "<!-- make bench writes what follows -->\n", "<!-- to here -->\n"


def machine() -> list[dict]:
    """The machine's matrix-product rate, one thread."""
    products = rates({"limit": ("benchmarks.training:matrix_products", dict(threads=1))})["limit"]
    return [dict(what="matrix products", unit="GFLOP/s, one thread", limit=statistics.median(products) / 1e9, note=platform.processor())]


def grown() -> list[dict]:
    """Rows of the data stages at two sizes: seconds per 10,000 snippets stay the same where time grows linearly."""
    return [
        dict(what=f"{r['step']}, {r['snippets']:,} snippets", unit="s per 10,000 snippets", ours=r["seconds_per_10k"], peak_mb=r["peak_mb"])
        for r in growth.measure([10_000, 100_000])
    ]


def tabulated(rows: int = 10_000_000) -> list[dict]:
    """Rows of the tables over ten million probe rows."""
    return [
        dict(what=f"table {r['table']}, {r['rows']:,} rows", unit="s", ours=r["seconds"], peak_mb=r["peak_mb"])
        for r in tables.measure(rows)
    ]


def markdown(rows: list[dict]) -> str:
    """The table for people."""
    lines = ["| | unit | ours | plain | limit | ours / plain | ours / limit | peak MB |", "|---|---|---|---|---|---|---|---|"]
    for r in rows:
        cells = [_number(r.get(c)) for c in ("ours", "plain", "limit", "to_plain", "to_limit", "peak_mb")]
        lines.append(f"| {r['what']} | {r['unit']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _number(value) -> str:
    if value in (None, ""):
        return ""
    value = float(value)
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def write(rows: list[dict]) -> None:
    """Replace what was measured now in table.csv, keep the rest, and show all of it on the page."""
    path, known = HERE / "table.csv", {}
    if path.exists():
        with open(path, encoding="utf-8", newline="") as stream:
            known = {row["what"]: row for row in csv.DictReader(stream)}
    known |= {row["what"]: {c: row.get(c, "") for c in COLUMNS} for row in rows}
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()} for row in known.values())
    PAGE.write_text(put_between(MARKS, PAGE.read_text(encoding="utf-8"), markdown(list(known.values()))), encoding="utf-8")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", default="results/default", help="folder of a finished run, whose models and data are used")
    parts = {
        "training": lambda run: machine() + training.measure(run),
        "ppo": ppo.measure,
        "probing": probing.measure,
        "workflow": lambda _: workflow.measure(),
        "growth": lambda _: grown(),
        "tables": lambda _: tabulated(),
    }
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    arguments = parser.parse_args()
    if not (Path(arguments.run) / "models/A/0/reward_model").is_dir():
        sys.exit(f"benchmarks need the models of {arguments.run}; run `make run` or `make restore` first")
    for part in arguments.only:
        rows = parts[part](arguments.run)
        write(rows)
        print(markdown(rows), flush=True)


if __name__ == "__main__":
    main()
