"""The share of canaries that a number of samples gives away, by the probability of it."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.tables import canary_pairs, extraction_probability, files, presentations, utility

with job(snakemake) as j:
    rows = extraction_probability.summarize(
        extraction=canary_pairs.read(j.input.extraction, extraction_probability.COLUMNS),
        utility=files.read(j.input.utility, utility.SCHEMA),
        shown=presentations.read(j.input.audit, j.params.lineages),
        extraction_n=j.config["probes.extraction_n"],
        extraction_p=j.config["probes.extraction_p"],
        confidence=j.config["report.confidence"],
    )
    files.write(rows=rows, schema=extraction_probability.SCHEMA, parquet=j.output.parquet, csv=j.output.csv)
