"""What every job cost, and the versions that it ran with."""

from workflow_scripts.core.freshness import receipts
from workflow_scripts.core.job import job
from workflow_scripts.core.results.tables import cost, files

with job(snakemake) as j:
    jobs = [receipts.read(path) for path in j.input.receipts]
    files.write(rows=cost.summarize(jobs), schema=cost.SCHEMA, parquet=j.output.parquet, csv=j.output.csv)
    files.write_json(cost.versions(jobs), j.output.versions)
