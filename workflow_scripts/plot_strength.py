"""Leakage of each method against the KL to the reference."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.figures import strength, style
from workflow_scripts.core.results.tables import leaderboard, on_policy
from workflow_scripts.core.results.tables.files import read

with job(snakemake) as j:
    rows, sampled = read(j.input.leaderboard, leaderboard.SCHEMA), read(j.input.on_policy, on_policy.SCHEMA)
    figure = strength.plot(leaderboard=rows, on_policy=sampled, reference=j.config["report.reference_policy"])
    style.save(figure, j.output.svg, j.output.png)
