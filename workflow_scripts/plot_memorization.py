"""Heat map of the counterfactual memorization rate: policies x cohorts."""

from workflow_scripts.core import parquet
from workflow_scripts.core.job import job
from workflow_scripts.core.results import figures, schemas, style

with job(snakemake) as j:
    rows = {table: parquet.read_rows(j.input[table], schemas.TABLES[table]) for table in ("memorization", "utility")}
    figure = figures.memorization(**rows)
    for path in (j.output.svg, j.output.png):
        style.save(figure=figure, path=path)
