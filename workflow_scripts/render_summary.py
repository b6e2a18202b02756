"""The answer and the main tables as Markdown, for pasting."""

from pathlib import Path

from workflow_scripts.core import parquet
from workflow_scripts.core.job import job
from workflow_scripts.core.results import schemas, summary

with job(snakemake) as j:
    tables = {t: parquet.read_rows(path, schemas.TABLES[t]) for t, path in zip(j.params.tables, j.input.tables, strict=True)}
    Path(j.output.summary).write_text(summary.summary(config=j.config, tables=tables), encoding="utf-8")
