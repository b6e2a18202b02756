"""What the reward model gives to a target that its chain was trained on, and to the same target unseen."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results import membership, pairs, tables

with job(snakemake) as j:
    rows = membership.reward_gap(
        extraction=pairs.read(paths=j.input.extraction, measures=membership.REWARDED),
        confidence=j.config["report.confidence"],
    )
    tables.write(rows=rows, kind="reward_gap", parquet=j.output.parquet, table=j.output.csv)
