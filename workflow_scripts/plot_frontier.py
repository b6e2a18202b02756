"""Leakage against utility: counterfactual rate and held-out perplexity of every policy."""

from workflow_scripts.core import parquet
from workflow_scripts.core.job import job
from workflow_scripts.core.results import comparisons, kinds, style

with job(snakemake) as j:
    rows = {table: parquet.read_rows(j.input[table], kinds.TABLES[table]) for table in ("memorization", "utility")}
    figure = comparisons.frontier(**rows, collapse_ratio=j.config["report.collapse_ratio"])
    for path in (j.output.svg, j.output.png):
        style.save(figure=figure, path=path)
