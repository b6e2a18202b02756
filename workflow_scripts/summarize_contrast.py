"""Two policies on the same canaries: paired differences, corrected tests, and what this many canaries can show."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.tables import canary_pairs, contrast, files, utility

with job(snakemake) as j:
    used, pairs = files.read(j.input.utility, utility.SCHEMA), j.config["report.contrasts"]
    if pairs is None:
        policies = [row["policy"] for row in used]
        pairs = contrast.default_pairs(policies=policies, reference=j.config["report.reference_policy"], later=j.params.later)
    extraction = canary_pairs.read(j.input.extraction, contrast.COLUMNS)
    rows = contrast.summarize(
        extraction=extraction,
        utility=used,
        contrasts=pairs,
        endpoints=j.config["report.endpoints"],
        confidence=j.config["report.confidence"],
    )
    files.write(rows=rows, schema=contrast.SCHEMA, parquet=j.output.parquet, csv=j.output.csv)
