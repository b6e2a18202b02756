"""What comes back: policy x cohort x dose, with controls and counterfactuals, and the headline table."""

import json
from pathlib import Path

from workflow_scripts.core import parquet
from workflow_scripts.core.job import job
from workflow_scripts.core.results import memorization, pairs, tables
from workflow_scripts.core.results.schemas import TABLES

with job(snakemake) as j:
    utility = parquet.read_rows(j.input.utility, TABLES["utility"])
    extraction = pairs.read(paths=j.input.extraction, measures=memorization.MEASURES)
    rows = memorization.memorization(extraction=extraction, utility=utility, confidence=j.config["report.confidence"])
    tables.write(rows=rows, kind="memorization", parquet=j.output.parquet, table=j.output.csv)
    headline = tables.headline(memorization=rows, utility=utility)
    tables.write_csv(rows=headline, columns=list(headline[0]), path=j.output.headline)
    metrics = tables.metrics(memorization=rows, utility=utility)
    Path(j.output.metrics).write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
