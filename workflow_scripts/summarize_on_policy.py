"""Reward, KL, length, end and parsing of what each policy samples at full budget, and which of a method's policies the rule chooses."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.tables import files, on_policy

with job(snakemake) as j:
    of = [*zip(j.params.sampled_by, j.input.samples, strict=True)]
    parts = {policy: [path for owner, path in of if owner == policy] for policy in j.params.methods}
    rows = on_policy.summarize(
        samples={policy: on_policy.read(paths) for policy, paths in parts.items()},
        methods=j.params.methods,
        kl_budget=j.config["report.kl_budget"],
        confidence=j.config["report.confidence"],
    )
    files.write(rows=rows, schema=on_policy.SCHEMA, parquet=j.output.parquet, csv=j.output.csv)
