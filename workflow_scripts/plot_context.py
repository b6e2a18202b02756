"""Memorized rate by prompt condition: how much context extraction needs."""

from workflow_scripts.core import parquet
from workflow_scripts.core.job import job
from workflow_scripts.core.results import comparisons, schemas, style

with job(snakemake) as j:
    rows = {table: parquet.read_rows(j.input[table], schemas.TABLES[table]) for table in ("memorization", "utility")}
    figure = comparisons.context(**rows)
    for path in (j.output.svg, j.output.png):
        style.save(figure=figure, path=path)
