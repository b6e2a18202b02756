"""Memorized rate against dose, one panel per policy."""

from workflow_scripts.core import figures, schemas, style
from workflow_scripts.core.job import job

with job(snakemake) as j:
    rows = {table: schemas.read_rows(j.input[table], table) for table in ("memorization", "utility")}
    figure = figures.dose_response(**rows)
    for path in (j.output.svg, j.output.png):
        style.save(figure=figure, path=path)
