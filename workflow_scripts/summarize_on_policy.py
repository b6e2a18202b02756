"""Reward, KL, length, end and parsing of what each policy samples at full budget."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.tables import files, on_policy

with job(snakemake) as j:
    chains = len(j.input.samples) // len(j.params.policies)
    parts = [[*j.input.samples[i : i + chains]] for i in range(0, len(j.input.samples), chains)]
    rows = on_policy.summarize(
        samples={policy: on_policy.read(paths) for policy, paths in zip(j.params.policies, parts, strict=True)},
        confidence=j.config["report.confidence"],
    )
    files.write(rows=rows, schema=on_policy.SCHEMA, parquet=j.output.parquet, csv=j.output.csv)
