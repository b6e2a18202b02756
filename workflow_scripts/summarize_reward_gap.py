"""The reward model's reward for a target that its chain was trained on, and for the same target unseen."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.tables import canary_pairs, files, presentations, reward_gap

with job(snakemake) as j:
    extraction = canary_pairs.read(j.input.extraction, reward_gap.COLUMNS)
    rows = reward_gap.summarize(
        extraction=extraction,
        shown=presentations.read(j.input.audit, j.params.lineages),
        reward_model=j.config["report.reward_model"],
        confidence=j.config["report.confidence"],
    )
    files.write(rows=rows, schema=reward_gap.SCHEMA, parquet=j.output.parquet, csv=j.output.csv)
