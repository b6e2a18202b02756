"""The share of canaries that samples really gave away, beside the share computed for as many."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.tables import canary_pairs, files, presentations, sampled_attacks, utility

with job(snakemake) as j:
    rows = sampled_attacks.summarize(
        extraction=canary_pairs.read(j.input.extraction, sampled_attacks.COLUMNS),
        utility=files.read(j.input.utility, utility.SCHEMA),
        shown=presentations.read(j.input.audit, j.params.lineages),
        sampled_attacks=j.config["probes.sampled_attacks"],
        confidence=j.config["report.confidence"],
    )
    files.write(rows=rows, schema=sampled_attacks.SCHEMA, parquet=j.output.parquet, csv=j.output.csv)
