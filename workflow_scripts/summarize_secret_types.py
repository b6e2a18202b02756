"""Which types of secret come back: policy x cohort x type."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.tables import canary_pairs, files, secret_types, utility

with job(snakemake) as j:
    rows = secret_types.summarize(
        extraction=canary_pairs.read(j.input.extraction, secret_types.COLUMNS),
        utility=files.read(j.input.utility, utility.SCHEMA),
        confidence=j.config["report.confidence"],
    )
    files.write(rows=rows, schema=secret_types.SCHEMA, parquet=j.output.parquet, csv=j.output.csv)
