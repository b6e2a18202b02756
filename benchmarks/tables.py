"""Tables over many probe rows: time and memory of every script that summarizes rows, each in a process of its own, from disk.

    python -m benchmarks.tables --rows 10000000

So many rows of `extraction` (probe_rows.py), as many of `evaluation`, and the parity rows of the same canaries.
Tables of other rows are left out: cost reads receipts, one per job, audit counts per canary, on_policy, ladder and
reward_accuracy a few samples; one_arm has no rows, as the policies here have both arms.
"""

import argparse
import json
import runpy
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.harness import Named, alone, config, peak_mb
from benchmarks.probe_rows import POLICIES, REFERENCE, generate
from workflow_scripts.core import parquet
from workflow_scripts.core.freshness.code import ROOT
from workflow_scripts.core.job import select
from workflow_scripts.core.results.tables.registry import TABLES

OTHERS = ("audit", "cost", "ladder", "on_policy", "one_arm", "reward_accuracy")  # made of other files, or of policies with one arm
SUMMARIZED = ["utility", *(name for name in TABLES if name not in ("utility", *OTHERS))]  # utility comes first: the others read it
REPORT_KEYS = ("confidence", "reference_policy", "reward_model", "collapse_limits", "fpr", "contrasts", "endpoints", "utility_band")


def measure(rows: int) -> list[dict]:
    """[{table, rows, seconds, peak_mb}]: of about `rows` probe rows; seconds include the start of Python and its imports."""
    with tempfile.TemporaryDirectory() as folder:
        generate(folder=Path(folder), rows=rows)
        return [summarize(folder=Path(folder), table=table) for table in SUMMARIZED]


def summarize(*, folder: Path, table: str) -> dict:
    """Run a table's script on the files in `folder`, in a fresh process: the time and memory that it takes."""
    began = time.perf_counter()
    peak = alone(run, folder, table)
    seconds = time.perf_counter() - began
    rows = sum(pq.read_metadata(path).num_rows for paths in _inputs(folder, table).values() for path in paths)
    return dict(table=table, rows=rows, seconds=round(seconds, 1), peak_mb=round(peak))


def _inputs(folder: Path, table: str) -> dict[str, list[Path]]:
    """The files of rows that a table is made from, by the name of its rule's input."""
    if table == "parity":
        return {"completions": [folder / "parity.parquet"]}
    probes = {"utility": ["evaluation"], "leaderboard": ["extraction", "evaluation"]}.get(table, ["extraction"])
    policies = [REFERENCE] if table == "reward_gap" else POLICIES
    return {rows: [folder / f"{rows}-{policy}.parquet" for policy in policies] for rows in probes}


def run(folder: Path, table: str) -> float:
    """Run the script as Snakemake would; returns the peak memory of this process in MB (that of its parent does not count in VmHWM)."""
    inputs, outputs = _inputs(folder, table), {"parquet": f"{table}.parquet", "csv": f"{table}.csv"}
    if table == "memorization":
        outputs |= {"headline": "headline.csv", "metrics": "metrics.json"}
    _others(folder)
    paths = (*(f"report.{key}" for key in REPORT_KEYS), "probes.extraction_n", "probes.extraction_p", "probes.sampled_attacks")
    later = list(POLICIES[POLICIES.index(REFERENCE) + 1 :])
    stand_in = Named(
        rule=f"summarize_{table}",
        wildcards={},
        log=[],
        config={},
        resources={},
        threads=1,
        input=Named(**inputs, **{name: f"{folder}/tables/{name}.parquet" for name in ("audit", "on_policy", "utility")}),
        output=Named(**{key: f"{folder}/tables/{name}" for key, name in outputs.items()}),
        params=Named(
            config=select(config(), paths, {}),
            bases=[POLICIES[0]],
            policies=[REFERENCE] if table == "parity" else list(POLICIES),
            aligned={policy: {"method": "ppo"} for policy in POLICIES},
            later=later,
            references=dict.fromkeys(later, REFERENCE),
            lineages={},
            sweeps=[{policy: 0.1 * place for place, policy in enumerate(later, 1)}],
        ),
    )
    runpy.run_path(str(ROOT / f"workflow_scripts/summarize_{table}.py"), init_globals={"snakemake": stand_in})
    return peak_mb()


def _others(folder: Path) -> None:
    """The tables of OTHERS that scripts read: no presentations, and policies that all sample alike."""
    parquet.write([], TABLES["audit"], folder / "tables/audit.parquet")
    alike = dict.fromkeys(TABLES["on_policy"].names, 1.0) | dict(pool="evaluation", n=1)
    parquet.write([alike | {"policy": policy} for policy in POLICIES], TABLES["on_policy"], folder / "tables/on_policy.parquet")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000, help="probe rows of extraction, and as many of evaluation")
    for row in measure(parser.parse_args().rows):
        print(json.dumps(row), flush=True)
