"""Were the canaries really in the training sets, and nowhere else? Sums of the counts."""

from workflow_scripts.core import parquet
from workflow_scripts.core.data.schemas import AUDIT
from workflow_scripts.core.job import job
from workflow_scripts.core.results import auditing, tables

with job(snakemake) as j:
    rows = auditing.audit(counts=parquet.read_frame([j.input.audit], AUDIT))
    tables.write(rows=rows, kind="audit", parquet=j.output.parquet, table=j.output.csv)
