"""Near-verbatim leakage: how much of the secret comes back in one piece, and in order."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.tables import canary_pairs, files, presentations, recovery, utility

with job(snakemake) as j:
    rows = recovery.summarize(
        extraction=canary_pairs.read(j.input.extraction, recovery.COLUMNS),
        utility=files.read(j.input.utility, utility.SCHEMA),
        shown=presentations.read(j.input.audit, j.params.lineages),
        confidence=j.config["report.confidence"],
    )
    files.write(rows=rows, schema=recovery.SCHEMA, parquet=j.output.parquet, csv=j.output.csv)
