"""Forest plot of the paired contrasts between policies."""

from workflow_scripts.core import parquet
from workflow_scripts.core.job import job
from workflow_scripts.core.results import comparisons, schemas, style

with job(snakemake) as j:
    figure = comparisons.contrast(contrast=parquet.read_rows(j.input.contrast, schemas.TABLES["contrast"]))
    for path in (j.output.svg, j.output.png):
        style.save(figure=figure, path=path)
