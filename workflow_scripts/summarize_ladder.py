"""Reward, KL and perplexity of policies that differ in their learning rate alone, and which of them the rule chooses."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.tables import files, ladder, on_policy

with job(snakemake) as j:
    policies = [policy for rates in j.params.ladders for policy in rates]
    rows = ladder.summarize(
        samples={policy: on_policy.read([path]) for policy, path in zip(policies, j.input.samples, strict=True)},
        ladders=j.params.ladders,
        methods=j.params.methods,
        kl_budget=j.config["report.kl_budget"],
        confidence=j.config["report.confidence"],
    )
    files.write(rows=rows, schema=ladder.SCHEMA, parquet=j.output.parquet, csv=j.output.csv)
