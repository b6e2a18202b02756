"""Which secrets come back: policy x cohort x kind of secret."""

from workflow_scripts.core import parquet
from workflow_scripts.core.job import job
from workflow_scripts.core.results import pairs, secret_types, tables
from workflow_scripts.core.results.schemas import TABLES

with job(snakemake) as j:
    rows = secret_types.secret_types(
        extraction=pairs.read(paths=j.input.extraction, measures=secret_types.MEASURES),
        utility=parquet.read_rows(j.input.utility, TABLES["utility"]),
        confidence=j.config["report.confidence"],
    )
    tables.write(rows=rows, kind="secret_types", parquet=j.output.parquet, table=j.output.csv)
