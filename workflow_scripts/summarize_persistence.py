"""Of what a policy's SFT policy memorized, the share that it still does."""

from workflow_scripts.core import parquet
from workflow_scripts.core.job import job
from workflow_scripts.core.results import memorization, pairs, tables
from workflow_scripts.core.results.schemas import TABLES

with job(snakemake) as j:
    rows = memorization.persistence(
        extraction=pairs.read(paths=j.input.extraction, measures=memorization.MEASURES),
        utility=parquet.read_rows(j.input.utility, TABLES["utility"]),
        references=j.params.references,
        confidence=j.config["report.confidence"],
    )
    tables.write(rows=rows, kind="persistence", parquet=j.output.parquet, table=j.output.csv)
