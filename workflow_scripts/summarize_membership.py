"""Whether the target's likelihood tells planted canaries from their twins, and from the unplanted cohort."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.tables import canary_pairs, files, membership, presentations, utility

with job(snakemake) as j:
    rows = membership.summarize(
        extraction=canary_pairs.read(j.input.extraction, membership.COLUMNS),
        utility=files.read(j.input.utility, utility.SCHEMA),
        shown=presentations.read(j.input.audit, j.params.lineages),
        fpr=j.config["report.fpr"],
        confidence=j.config["report.confidence"],
    )
    files.write(rows=rows, schema=membership.SCHEMA, parquet=j.output.parquet, csv=j.output.csv)
