"""Which policy leaks least at equal utility: every policy with its leakage, its utility, and whether the two may be compared."""

from workflow_scripts.core import parquet
from workflow_scripts.core.job import job
from workflow_scripts.core.probing.schemas import EVALUATION
from workflow_scripts.core.results import leaderboard, pairs, tables
from workflow_scripts.core.results.schemas import TABLES

with job(snakemake) as j:
    rows = leaderboard.leaderboard(
        extraction=pairs.read(paths=j.input.extraction, measures=leaderboard.MEASURES),
        evaluation=parquet.read_frame(j.input.evaluation, EVALUATION, leaderboard.EVALUATION),
        utility=parquet.read_rows(j.input.utility, TABLES["utility"]),
        policies=j.params.aligned,
        reference=j.config["report.reference"],
        confidence=j.config["report.confidence"],
        band=j.config["report.utility_band"],
    )
    tables.write(rows=rows, kind="leaderboard", parquet=j.output.parquet, table=j.output.csv)
