"""Reward, KL, length, end and parsing of what each policy samples at full budget."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.tables import files, on_policy

with job(snakemake) as j:
    of = [*zip(j.params.sampled_by, j.input.samples, strict=True)]
    parts = {policy: [path for owner, path in of if owner == policy] for policy in dict.fromkeys(j.params.sampled_by)}
    rows = on_policy.summarize(
        samples={policy: on_policy.read(paths) for policy, paths in parts.items()},
        reference=j.config["report.reference_policy"],
        confidence=j.config["report.confidence"],
    )
    files.write(rows=rows, schema=on_policy.SCHEMA, parquet=j.output.parquet, csv=j.output.csv)
