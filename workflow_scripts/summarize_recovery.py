"""Near-verbatim leakage: how much of the secret comes back in one piece, and in order."""

from workflow_scripts.core import parquet
from workflow_scripts.core.job import job
from workflow_scripts.core.results import pairs, recovery, tables
from workflow_scripts.core.results.schemas import TABLES

with job(snakemake) as j:
    rows = recovery.recovery(
        extraction=pairs.read(paths=j.input.extraction, measures=recovery.MEASURES),
        utility=parquet.read_rows(j.input.utility, TABLES["utility"]),
        confidence=j.config["report.confidence"],
    )
    tables.write(rows=rows, kind="recovery", parquet=j.output.parquet, table=j.output.csv)
