"""Reward, KL, length, end and parsing of what each policy samples at full budget, and which of a method's policies the rule chooses."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.tables import files, on_policy

with job(snakemake) as j:
    chains = len(j.input.samples) // len(j.params.methods)
    parts = [[*j.input.samples[i : i + chains]] for i in range(0, len(j.input.samples), chains)]
    rows = on_policy.summarize(
        samples={policy: on_policy.read(paths) for policy, paths in zip(j.params.methods, parts, strict=True)},
        methods=j.params.methods,
        kl_budget=j.config["report.kl_budget"],
        confidence=j.config["report.confidence"],
    )
    files.write(rows=rows, schema=on_policy.SCHEMA, parquet=j.output.parquet, csv=j.output.csv)
