"""What policies with a checkpoint in one arm alone give back, beside canaries that were planted nowhere."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.tables import canary_pairs, files, one_arm, utility

with job(snakemake) as j:
    rows = one_arm.summarize(
        extraction=canary_pairs.read(j.input.extraction, one_arm.COLUMNS),
        utility=files.read(j.input.utility, utility.SCHEMA),
        confidence=j.config["report.confidence"],
    )
    files.write(rows=rows, schema=one_arm.SCHEMA, parquet=j.output.parquet, csv=j.output.csv)
