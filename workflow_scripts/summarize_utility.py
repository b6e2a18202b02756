"""Whether each policy still works: perplexity, exact lines, parsing, reward and KL on held-out code."""

from workflow_scripts.core import parquet
from workflow_scripts.core.job import job
from workflow_scripts.core.probing.schemas import EVALUATION
from workflow_scripts.core.results import tables, utility

with job(snakemake) as j:
    rows = utility.utility(
        evaluation=parquet.read_frame(j.input.evaluation, EVALUATION, utility.COLUMNS),
        policies=j.params.policies,
        reference=j.config["report.reference"],
        confidence=j.config["report.confidence"],
        collapse_ratio=j.config["report.collapse_ratio"],
    )
    tables.write(rows=rows, kind="utility", parquet=j.output.parquet, table=j.output.csv)
