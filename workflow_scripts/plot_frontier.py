"""Leakage against utility: every policy of the leaderboard, and the front of the comparable ones."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.figures import frontier, style
from workflow_scripts.core.results.tables.files import read
from workflow_scripts.core.results.tables.leaderboard import SCHEMA as LEADERBOARD

with job(snakemake) as j:
    rows, band = read(j.input.leaderboard, LEADERBOARD), j.config["report.utility_band"]
    style.save(frontier.plot(leaderboard=rows, reference=j.config["report.reference_policy"], band=band), j.output.svg, j.output.png)
