"""Reward, KL and perplexity of policies that differ in their learning rate alone, and which of them the rule chooses."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.tables import files, ladder, on_policy

with job(snakemake) as j:
    rows = ladder.summarize(
        samples={policy: on_policy.read([path]) for policy, path in zip(j.params.policies, j.input.samples, strict=True)},
        ladders=j.params.ladders,
        methods=j.params.methods,
        reference=j.config["report.reference_policy"],
        collapse_limits=j.config["report.collapse_limits"],
        kl_budget=j.config["report.kl_budget"],
        confidence=j.config["report.confidence"],
    )
    files.write(rows=rows, schema=ladder.SCHEMA, parquet=j.output.parquet, csv=j.output.csv)
