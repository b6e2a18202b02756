"""What comes back: policy x cohort x dose, with controls and counterfactuals, and the headline table."""

import json
from pathlib import Path

import pandas as pd

from workflow_scripts.core import schemas
from workflow_scripts.core.job import job
from workflow_scripts.core.results import tables

with job(snakemake) as j:
    utility = schemas.read_rows(j.input.utility, "utility")
    extraction = pd.concat([schemas.read_frame(path, "extraction") for path in j.input.extraction])
    rows = tables.memorization(extraction=extraction, utility=utility, confidence=j.config["report.confidence"])
    tables.write(rows=rows, kind="memorization", parquet=j.output.parquet, table=j.output.csv)
    headline = tables.headline(memorization=rows, utility=utility)
    tables.write_csv(rows=headline, columns=list(headline[0]), path=j.output.headline)
    metrics = tables.metrics(memorization=rows, utility=utility)
    Path(j.output.metrics).write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
