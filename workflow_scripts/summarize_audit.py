"""Were the canaries really in the training sets, and nowhere else? Sums of the counts."""

from workflow_scripts.core.data.schemas import AUDIT
from workflow_scripts.core.job import job
from workflow_scripts.core.parquet import read_frame
from workflow_scripts.core.results.tables import audit, files

with job(snakemake) as j:
    rows = audit.summarize(counts=read_frame([j.input.audit], AUDIT))
    files.write(rows=rows, schema=audit.SCHEMA, parquet=j.output.parquet, csv=j.output.csv)
