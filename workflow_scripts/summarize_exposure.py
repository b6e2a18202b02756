"""By how many bits each target outranks fillings of the same canary that were never planted."""

from workflow_scripts.core import parquet
from workflow_scripts.core.job import job
from workflow_scripts.core.results import likelihood, pairs, tables
from workflow_scripts.core.results.schemas import TABLES

with job(snakemake) as j:
    rows = likelihood.exposure(
        extraction=pairs.read(paths=j.input.extraction, measures=likelihood.RANKED),
        utility=parquet.read_rows(j.input.utility, TABLES["utility"]),
        confidence=j.config["report.confidence"],
    )
    tables.write(rows=rows, kind="exposure", parquet=j.output.parquet, table=j.output.csv)
