"""Whether each policy still works on held-out code: perplexity, exact lines, parsing, length, reward and KL; and which have collapsed."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.tables import files, on_policy, utility

with job(snakemake) as j:
    rows = utility.summarize(
        evaluation=utility.read_evaluation(j.input.evaluation, utility.COLUMNS),
        on_policy=files.read(j.input.on_policy, on_policy.SCHEMA),
        policies=j.params.policies,
        bases=j.params.bases,
        reference=j.config["report.reference_policy"],
        confidence=j.config["report.confidence"],
        collapse_limits=j.config["report.collapse_limits"],
    )
    files.write(rows=rows, schema=utility.SCHEMA, parquet=j.output.parquet, csv=j.output.csv)
