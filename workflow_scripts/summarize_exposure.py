"""By how many bits each target outranks fillings of the same canary that were never planted."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.tables import canary_pairs, exposure, files, presentations, utility

with job(snakemake) as j:
    rows = exposure.summarize(
        extraction=canary_pairs.read(j.input.extraction, exposure.COLUMNS),
        utility=files.read(j.input.utility, utility.SCHEMA),
        shown=presentations.read(j.input.audit, j.params.lineages),
        confidence=j.config["report.confidence"],
    )
    files.write(rows=rows, schema=exposure.SCHEMA, parquet=j.output.parquet, csv=j.output.csv)
