"""What every job cost, and the versions that it ran with."""

import json
from pathlib import Path

from workflow_scripts.core.job import job
from workflow_scripts.core.results import cost, tables

with job(snakemake) as j:
    root, models = f"results/{j.wildcards.run}", list(j.input.models)
    rows = cost.cost(benchmarks=list(j.input.benchmarks), benchmark_root=f"{root}/benchmarks", models=models, model_root=f"{root}/models")
    tables.write(rows=rows, kind="cost", parquet=j.output.parquet, table=j.output.csv)
    Path(j.output.versions).write_text(json.dumps(cost.versions(models=models), indent=1) + "\n", encoding="utf-8")
