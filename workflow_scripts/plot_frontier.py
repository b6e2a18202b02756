"""Leakage against utility: every policy of the leaderboard, and the front of the comparable ones."""

from workflow_scripts.core import parquet
from workflow_scripts.core.job import job
from workflow_scripts.core.results import frontier, schemas, style

with job(snakemake) as j:
    figure = frontier.frontier(
        leaderboard=parquet.read_rows(j.input.leaderboard, schemas.TABLES["leaderboard"]),
        reference=j.config["report.reference"],
        band=j.config["report.utility_band"],
    )
    for path in (j.output.svg, j.output.png):
        style.save(figure=figure, path=path)
