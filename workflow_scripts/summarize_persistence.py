"""Of what a policy's SFT policy memorized, the share that it still does."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.tables import canary_pairs, files, persistence, presentations, utility

with job(snakemake) as j:
    rows = persistence.summarize(
        extraction=canary_pairs.read(j.input.extraction, persistence.COLUMNS),
        utility=files.read(j.input.utility, utility.SCHEMA),
        shown=presentations.read(j.input.audit, j.params.lineages),
        references=j.params.references,
        confidence=j.config["report.confidence"],
    )
    files.write(rows=rows, schema=persistence.SCHEMA, parquet=j.output.parquet, csv=j.output.csv)
