"""Whether the target's likelihood tells planted canaries from their twins, and from the held-out cohort."""

from workflow_scripts.core import parquet
from workflow_scripts.core.job import job
from workflow_scripts.core.results import membership, pairs, tables
from workflow_scripts.core.results.schemas import TABLES

with job(snakemake) as j:
    rows = membership.membership(
        extraction=pairs.read(paths=j.input.extraction, measures=membership.SCORED),
        utility=parquet.read_rows(j.input.utility, TABLES["utility"]),
        fpr=j.config["report.fpr"],
        confidence=j.config["report.confidence"],
    )
    tables.write(rows=rows, kind="membership", parquet=j.output.parquet, table=j.output.csv)
