"""Which policy leaks least at equal utility: every policy with its leakage, its utility, and whether the two can be compared."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.tables import canary_pairs, files, leaderboard, utility

with job(snakemake) as j:
    rows = leaderboard.summarize(
        extraction=canary_pairs.read(j.input.extraction, leaderboard.COLUMNS),
        evaluation=utility.read_evaluation(j.input.evaluation, leaderboard.EVALUATION_COLUMNS),
        utility=files.read(j.input.utility, utility.SCHEMA),
        policies=j.params.aligned,
        reference=j.config["report.reference_policy"],
        confidence=j.config["report.confidence"],
        band=j.config["report.utility_band"],
    )
    files.write(rows=rows, schema=leaderboard.SCHEMA, parquet=j.output.parquet, csv=j.output.csv)
