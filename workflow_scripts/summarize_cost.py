"""What every job cost, and the versions that it ran with."""

import json
from pathlib import Path

from workflow_scripts.core.freshness import receipts
from workflow_scripts.core.job import job
from workflow_scripts.core.results import cost, tables

with job(snakemake) as j:
    paid = [receipts.read(path) for path in j.input.receipts]
    tables.write(rows=cost.cost(paid), kind="cost", parquet=j.output.parquet, table=j.output.csv)
    Path(j.output.versions).write_text(json.dumps(cost.versions(paid), indent=1) + "\n", encoding="utf-8")
