"""Does a stronger KL penalty keep more of what was memorized?"""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.tables import canary_pairs, files, persistence_trend, presentations, utility

with job(snakemake) as j:
    rows = persistence_trend.summarize(
        extraction=canary_pairs.read(j.input.extraction, persistence_trend.COLUMNS),
        utility=files.read(j.input.utility, utility.SCHEMA),
        shown=presentations.read(j.input.audit, j.params.lineages),
        sweeps=j.params.sweeps,
        references=j.params.references,
        confidence=j.config["report.confidence"],
    )
    files.write(rows=rows, schema=persistence_trend.SCHEMA, parquet=j.output.parquet, csv=j.output.csv)
