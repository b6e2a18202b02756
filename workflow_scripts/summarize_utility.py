"""Whether each policy still works: perplexity, exact lines, parsing, reward and KL on held-out code."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.tables import files, utility

with job(snakemake) as j:
    rows = utility.summarize(
        evaluation=utility.read_evaluation(j.input.evaluation, utility.COLUMNS),
        policies=j.params.policies,
        reference=j.config["report.reference_policy"],
        confidence=j.config["report.confidence"],
        collapse_ratio=j.config["report.collapse_ratio"],
    )
    files.write(rows=rows, schema=utility.SCHEMA, parquet=j.output.parquet, csv=j.output.csv)
